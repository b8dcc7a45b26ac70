//! What a partition's task has in hand, and each single step it takes; the loop around them is in `partition`.

use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Future, FutureExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{Partition, QUEUED_RECORDS, Shared};
use crate::dispatch::{Dispatched, dispatch};
use crate::offsets::Received;
use crate::offsets::metadata::{self, Scope};
use crate::progress::{Commit, Progress};
use crate::record::Record;
use crate::slot::room::Place;
use crate::slot::{Attempts, Member, Parked, Slot, Stopping};
use crate::window::{Item, Order, Window};

/// Progress is told at most this often: often enough for a commit every 100 ms, rarely enough to write metadata.
const TELL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a record waits whose delivery panicked, which only a bug can make it do.
const PANIC_PAUSE: Duration = Duration::from_secs(60);

/// Whether a record may start now.
pub(super) enum NextSlot {
    Free(Slot),
    Later(Taking),
    /// Nothing is ready, or nothing may start.
    NotNow,
}

/// A slot that is waited for.
pub(super) type Taking = Pin<Box<dyn Future<Output = Result<Slot, Stopping>> + Send>>;

/// A delivery under way. Boxed by the one who starts it: it has kilobytes, and would be moved from hand to hand.
pub(super) type Running = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// A record on its way through the partition.
pub(super) struct Work {
    pub(super) record: Record,
    pub(super) attempts: Attempts,
    /// Its room while it waits without being sent.
    pub(super) place: Option<Place>,
}

/// A delivery that ended.
pub(super) struct Ended {
    item: Item<Work>,
    /// `None` when it panicked.
    dispatched: Option<Dispatched>,
    parked: Option<Parked>,
}

/// The partition as its task holds it.
pub(super) struct Task {
    shared: Shared,
    scope: Scope,
    pub(super) records: mpsc::Receiver<Record>,
    progress: Arc<Progress>,
    pub(super) stopping: CancellationToken,
    window: Window<Work>,
    member: Member,
    hasher: RandomState,
    running: usize,
    running_bytes: usize,
    /// When to tell the thread about progress; `None` when it knows all.
    tell_at: Option<Instant>,
    told: Option<Instant>,
}

impl Task {
    pub(super) fn new(partition: Partition) -> Self {
        let Partition { shared, scope, finished, records, progress, stopping } = partition;
        Self {
            window: Window::new(shared.order, finished, shared.commit_metadata),
            member: shared.slots.join(),
            shared,
            scope,
            records,
            progress,
            stopping,
            hasher: RandomState::new(),
            running: 0,
            running_bytes: 0,
            tell_at: None,
            told: None,
        }
    }

    pub(super) fn may_take(&self) -> bool {
        self.window.may_receive() && self.member.share.has_room()
    }

    pub(super) fn receive(&mut self, record: Record) {
        let size_bytes = record.size_bytes();
        self.progress.taken(size_bytes, self.records.len() <= QUEUED_RECORDS / 4);
        let offset = record.offset;
        // Behind a record of its key it may wait for long, so it needs room; otherwise it goes at once or is the last.
        let (key, place) = match self.shared.order {
            Order::Key => {
                (record.key().map(|key| self.hasher.hash_one(key)), Some(self.member.share.enter(size_bytes)))
            }
            Order::Partition => {
                self.shared.pipeline.load().metrics.queued(&record, self.records.len());
                (None, None)
            }
            Order::Unordered => (None, None),
        };
        let work = Work { record, attempts: Attempts::default(), place };
        match self.window.receive(offset, key, work) {
            Received::Next { skipped } => self.skipped(skipped),
            Received::Finished { skipped } => {
                self.skipped(skipped);
                self.has_progress();
            }
            Received::Repeated => {}
        }
    }

    fn skipped(&self, offsets: u64) {
        if offsets > 0 {
            self.shared.pipeline.load().metrics.skipped(offsets);
        }
    }

    /// A slot for the record that should start next.
    pub(super) fn next_slot(&self) -> NextSlot {
        // Without a fair share of the slots, one of those that run has to end first.
        let next = self.window.next().filter(|_| self.member.may_start(self.running, self.running_bytes));
        let Some(next) = next else { return NextSlot::NotNow };
        let size_bytes = next.work.record.size_bytes();
        match self.shared.slots.try_take(size_bytes, &self.stopping) {
            Some(slot) => NextSlot::Free(slot),
            None => NextSlot::Later(Box::pin(self.shared.slots.clone().take(size_bytes, self.stopping.clone()))),
        }
    }

    /// The pipeline is the one in force when the delivery starts.
    pub(super) fn start(&mut self, slot: Slot) -> Option<Running> {
        let mut item = self.window.start()?;
        // What it needs now, the slot has.
        item.work.place = None;
        let size_bytes = item.work.record.size_bytes();
        self.running += 1;
        self.running_bytes += size_bytes;
        let mut slot = slot.resume(item.work.attempts, &self.member.share, size_bytes);
        let pipeline = self.shared.pipeline.load();
        Some(Box::pin(async move {
            let delivery = AssertUnwindSafe(dispatch(&pipeline, &item.work.record, &mut slot)).catch_unwind();
            let dispatched = delivery.await.ok();
            Ended { item, dispatched, parked: slot.take_parked() }
        }))
    }

    pub(super) fn settle(&mut self, ended: Ended) {
        let Ended { mut item, dispatched, parked } = ended;
        self.running -= 1;
        self.running_bytes -= item.work.record.size_bytes();
        let parked = match (dispatched, parked) {
            (Some(Dispatched::Finished(_outcome)), _) => {
                self.window.finished(item.offset, item.key);
                return self.has_progress();
            }
            (Some(Dispatched::Abandoned), Some(parked)) => parked,
            // The partition stops: whoever has it next reads the record again.
            (Some(Dispatched::Abandoned), None) => return,
            (None, _) => self.after_panic(&item.work),
        };
        // What was parked before is as small as it gets.
        let again = item.work.attempts.made > 0;
        let record = if again { item.work.record } else { item.work.record.shrunk() };
        item.work = Work { record, attempts: parked.attempts, place: Some(parked.place) };
        self.window.park(item, parked.due);
    }

    fn after_panic(&self, work: &Work) -> Parked {
        let Record { topic, partition, offset, .. } = &work.record;
        error!(%topic, partition, offset, "delivery panicked; it is tried again");
        let place = self.member.share.enter(work.record.size_bytes());
        Parked { due: Instant::now() + PANIC_PAUSE, attempts: work.attempts, place }
    }

    pub(super) fn wake_at(&self, stopped: bool) -> Option<Instant> {
        let due = self.window.next_due().filter(|_| !stopped);
        match (due, self.tell_at) {
            (Some(due), Some(tell_at)) => Some(due.min(tell_at)),
            (due, tell_at) => due.or(tell_at),
        }
    }

    pub(super) fn wake(&mut self, now: Instant) {
        self.window.wake(now);
        if self.tell_at.is_some_and(|tell_at| tell_at <= now) {
            self.tell_now();
        }
    }

    fn has_progress(&mut self) {
        if self.tell_at.is_none() {
            let now = Instant::now();
            self.tell_at = Some(self.told.map_or(now, |told| now.max(told + TELL_INTERVAL)));
        }
    }

    pub(super) fn tell_now(&mut self) {
        if self.tell_at.take().is_none() {
            return;
        }
        self.told = Some(Instant::now());
        if let Some(committable) = self.window.committable() {
            let metadata = metadata::write(&self.scope, committable.offset, &committable.finished);
            self.progress.advance(Commit { offset: committable.offset, metadata }, committable.unfinished);
        }
    }
}
