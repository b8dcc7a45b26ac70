//! One assigned partition as the consumer's thread sees it: a queue to read, a channel to fill, progress to commit.
//!
//! Source: design section 5 (back-pressure by not polling a partition's queue).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::Message;
use rdkafka::consumer::ConsumerContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::message::{BorrowedMessage, Headers};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::progress::{Commit, Progress};
use crate::record::Record;

/// A partition's channel holds no more bytes than this, but always one record.
const QUEUED_BYTES: usize = 1024 * 1024;

/// An assigned partition.
pub(crate) struct Feed<C: ConsumerContext> {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) queue: PartitionQueue<C>,
    /// Set by librdkafka when the queue has records; cleared before the queue is read to its end.
    pub(crate) nonempty: Arc<AtomicBool>,
    /// Records that came through the main queue before the partition's own queue was split off.
    pub(crate) early: VecDeque<Record>,
    pub(crate) sender: mpsc::Sender<Record>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) stopping: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    /// What the broker has acknowledged.
    pub(crate) committed: Option<Arc<Commit>>,
    /// The offset of the newest record handed over; -1 for none.
    pub(crate) last: i64,
    /// The first record in `early` is not newer than `last`: the log went back, and nothing is handed over before the
    /// partition has a new task.
    pub(crate) went_back: bool,
    /// Tasks of the log as it was before it went back.
    pub(crate) former: Vec<Former>,
}

/// A task that finishes what was read before the log went back.
pub(crate) struct Former {
    pub(crate) progress: Arc<Progress>,
    pub(crate) task: JoinHandle<()>,
    /// The offset after the newest record it was given.
    pub(crate) end: i64,
    /// The offset that the log went back to. What it has before this may still be in the log.
    pub(crate) back_to: i64,
}

impl Former {
    /// Whether it has finished everything before `offset`.
    fn has_finished(&self, offset: i64) -> bool {
        self.progress.commit().is_some_and(|commit| commit.offset >= offset)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.has_finished(self.end)
    }

    fn holds_commits(&self) -> bool {
        !self.has_finished(self.back_to)
    }
}

impl<C: ConsumerContext> Feed<C> {
    /// Hands over up to `batch` records, as many as there is room for. Returns whether there may be more to hand over at
    /// once, after the other partitions had their turn.
    pub(crate) fn feed(&mut self, batch: usize) -> bool {
        if !self.nonempty.swap(false, Ordering::AcqRel) && self.early.is_empty() {
            return false;
        }
        for _ in 0..batch {
            if self.progress.queued_bytes() > QUEUED_BYTES {
                return self.wait_for_room();
            }
            let permit = match self.sender.try_reserve() {
                Ok(permit) => permit,
                Err(mpsc::error::TrySendError::Full(())) => return self.wait_for_room(),
                // The task has ended: the partition is about to be revoked.
                Err(mpsc::error::TrySendError::Closed(())) => return false,
            };
            let record = match self.early.pop_front() {
                Some(record) => record,
                None => match self.queue.poll(std::time::Duration::ZERO) {
                    None => return false,
                    Some(Ok(message)) => record(&message, &self.topic),
                    Some(Err(error)) => {
                        warn!(topic = %self.topic, partition = self.partition, %error, "partition cannot be read");
                        continue;
                    }
                },
            };
            if record.offset <= self.last {
                drop(permit);
                self.early.push_front(record);
                self.went_back = true;
                break;
            }
            self.last = record.offset;
            self.progress.queued(record.size_bytes());
            permit.send(record);
        }
        self.nonempty.store(true, Ordering::Release);
        true
    }

    /// Leaves the rest in the queue. The partition's task wakes the thread when it has taken some.
    fn wait_for_room(&self) -> bool {
        self.nonempty.store(true, Ordering::Release);
        self.progress.starve();
        // The task may have made room before it could see the flag.
        self.progress.queued_bytes() <= QUEUED_BYTES && self.sender.capacity() > 0
    }

    /// What may be committed. A former task's offset stands while it has records that the log may still have; its
    /// metadata does not, because it says nothing about the records that now have those offsets.
    pub(crate) fn commit(&self) -> Option<Arc<Commit>> {
        match self.former.iter().find(|former| former.holds_commits()) {
            Some(former) => {
                former.progress.seen();
                former
                    .progress
                    .commit()
                    .map(|commit| Arc::new(Commit { offset: commit.offset, metadata: String::new() }))
            }
            None => self.progress.commit(),
        }
    }

    /// Whether none of its tasks runs.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished() && self.former.iter().all(|former| former.task.is_finished())
    }

    /// Records read and not finished.
    pub(crate) fn open(&self) -> usize {
        self.progress.open() + self.former.iter().map(|former| former.progress.open()).sum::<usize>()
    }

    pub(crate) fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && &*self.topic == topic
    }
}

/// Whatever still runs is cut: its results would be of no use.
pub(crate) fn end<C: ConsumerContext>(feeds: Vec<Feed<C>>) {
    for feed in feeds {
        feed.task.abort();
        for former in feed.former {
            former.task.abort();
        }
    }
}

/// Copies a message into one allocation of our own.
pub(crate) fn record(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    let size = message.payload_len() + message.key_len() + 512;
    let mut builder = Record::builder(Arc::clone(topic), message.partition(), message.offset(), size);
    builder.timestamp_ms(message.timestamp().to_millis());
    if let Some(headers) = message.headers() {
        for index in 0..headers.count() {
            // The client library panics on a header name that is not UTF-8. Such a header means nothing to us, and
            // one record must not take the partition down.
            if let Ok(header) = catch_unwind(AssertUnwindSafe(|| headers.get(index))) {
                builder.header(header.key, header.value);
            }
        }
    }
    builder.key(message.key());
    builder.value(message.payload());
    builder.build()
}
