//! What a partition's task and the consumer's thread tell each other, without locks.
//!
//! The task writes how far the partition may be committed; the thread reads it. The thread says when it could not hand
//! over a record; the task wakes it when there is room again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;

use millrace_config::snapshot::Snapshot;

/// What is to be committed for one partition. Offset and metadata belong together: the metadata counts from the offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The next offset to read.
    pub(crate) offset: i64,
    /// Which later records are finished; empty for none.
    pub(crate) metadata: String,
}

/// Shared by one partition's task and the thread of its consumer.
#[derive(Debug)]
pub(crate) struct Progress {
    /// `None` until a record is finished.
    commit: Snapshot<Option<Arc<Commit>>>,
    /// Records handed over and not finished.
    open: AtomicUsize,
    queued_bytes: AtomicUsize,
    starved: AtomicBool,
    /// Set when `commit` has changed since the thread last took it.
    fresh: AtomicBool,
    thread: Thread,
}

impl Progress {
    /// `thread` is woken when there is something to commit, or room for records again.
    pub(crate) fn new(thread: Thread) -> Self {
        Self {
            commit: Snapshot::default(),
            open: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
            fresh: AtomicBool::new(false),
            thread,
        }
    }

    /// Called by the task, once in a while, when records have been finished.
    pub(crate) fn advance(&self, commit: Commit, open: usize) {
        self.open.store(open, Ordering::Relaxed);
        self.commit.publish(Some(Arc::new(commit)));
        // The thread is woken for the first of many: it then knows by itself when the next commit is due.
        if !self.fresh.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }

    /// Called by the thread before it commits: the next progress wakes it again.
    pub(crate) fn seen(&self) {
        self.fresh.store(false, Ordering::Release);
    }

    /// What to commit, if any record is finished.
    pub(crate) fn commit(&self) -> Option<Arc<Commit>> {
        Option::clone(&self.commit.load())
    }

    /// The offset to commit, if any record is finished.
    #[cfg(test)]
    pub(crate) fn committable(&self) -> Option<i64> {
        self.commit().map(|commit| commit.offset)
    }

    /// Records read and not finished.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Called by the thread when it hands a record over.
    pub(crate) fn queued(&self, size_bytes: usize) {
        self.queued_bytes.fetch_add(size_bytes, Ordering::Relaxed);
    }

    /// Bytes handed over and not yet taken.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Acquire)
    }

    /// Called by the thread when there is no room for the next record.
    pub(crate) fn starve(&self) {
        self.starved.store(true, Ordering::SeqCst);
    }

    /// Called by the task when it has taken a record; `room` tells whether it is worth waking the thread.
    pub(crate) fn taken(&self, size_bytes: usize, room: bool) {
        self.queued_bytes.fetch_sub(size_bytes, Ordering::SeqCst);
        if room && self.starved.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}
