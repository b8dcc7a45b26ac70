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
use crate::live::ParkedRecords;
use crate::offsets::Received;
use crate::offsets::metadata::{self, Scope};
use crate::progress::{Commit, Progress};
use crate::record::Record;
use crate::slot::room::Place;
use crate::slot::{Attempts, Member, Parked, Slot, Stopping};
use crate::window::{Item, Order, Window};

/// Progress is told at most this often: often enough for a commit every 100 ms, rarely enough to write metadata.
const TELL_INTERVAL: Duration = Duration::from_millis(50);

/// How soon a partition looks again for room at its subscriber, if none of its own deliveries ends before.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long a record waits whose delivery panicked, which only a bug can make it do.
const PANIC_PAUSE: Duration = Duration::from_secs(60);

/// Whether a record may start now.
pub(super) enum NextSlot {
    Free(Slot),
    /// For a record whose pause is over.
    Due(Slot),
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
    /// For the debug page.
    parked: Arc<ParkedRecords>,
    hasher: RandomState,
    running: usize,
    running_bytes: usize,
    /// When to look again for room at the subscriber; `None` while nothing is held back for want of it.
    look_at: Option<Instant>,
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
            parked: shared.pipeline.load().live.partition(),
            shared,
            scope,
            records,
            progress,
            stopping,
            hasher: RandomState::new(),
            running: 0,
            running_bytes: 0,
            look_at: None,
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
            Order::Partition | Order::Unordered => (None, None),
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
    pub(super) fn next_slot(&mut self) -> NextSlot {
        // Without a fair share of the slots, one of those that run has to end first.
        let next = self.window.next().filter(|_| self.member.may_start(self.running, self.running_bytes));
        // What would only wait for room there is left undecoded: it costs memory that is no longer in any cache. Records that
        // are due again wait all the same: theirs is the first place in that line.
        let held_back = next.is_some()
            && !self.window.has_due()
            && !self.member.may_send(self.running, &self.shared.pipeline.load().subscriber);
        if held_back {
            self.look_at.get_or_insert_with(|| Instant::now() + LOOK_AGAIN);
            return NextSlot::NotNow;
        }
        let size_bytes = next.map(|next| next.work.record.size_bytes());
        if let Some(slot) = size_bytes.and_then(|size| self.shared.slots.try_take(size, &self.stopping)) {
            return NextSlot::Free(slot);
        }
        match (self.reserved_slot(), size_bytes) {
            (Some(slot), _) => NextSlot::Due(slot),
            (None, Some(size)) => {
                NextSlot::Later(Box::pin(self.shared.slots.clone().take(size, self.stopping.clone())))
            }
            (None, None) => NextSlot::NotNow,
        }
    }

    /// A slot of those that are kept for records whose pause is over, if there is such a record.
    pub(super) fn reserved_slot(&self) -> Option<Slot> {
        if self.window.has_due() { self.shared.slots.try_take_reserved(&self.stopping) } else { None }
    }

    pub(super) fn start(&mut self, slot: Slot) -> Option<Running> {
        let item = self.window.start()?;
        Some(self.run(item, slot))
    }

    pub(super) fn start_due(&mut self, slot: Slot) -> Option<Running> {
        let item = self.window.start_due()?;
        Some(self.run(item, slot))
    }

    /// The pipeline is the one in force when the delivery starts.
    fn run(&mut self, mut item: Item<Work>, slot: Slot) -> Running {
        let size_bytes = item.work.record.size_bytes();
        self.running += 1;
        self.running_bytes += size_bytes;
        let mut slot = slot.resume(item.work.attempts.clone(), item.work.place.take(), &self.member.share, size_bytes);
        let pipeline = self.shared.pipeline.load();
        if self.shared.order == Order::Partition {
            pipeline.metrics.queued(&item.work.record, self.records.len());
        }
        Box::pin(async move {
            let delivery = AssertUnwindSafe(dispatch(&pipeline, &item.work.record, &mut slot)).catch_unwind();
            let dispatched = delivery.await.ok();
            Ended { item, dispatched, parked: slot.take_parked() }
        })
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
        let again = item.work.attempts.since.is_some();
        let record = if again { item.work.record } else { item.work.record.shrunk() };
        item.work = Work { record, attempts: parked.attempts, place: Some(parked.place) };
        self.window.park(item, parked.due);
        self.show_parked();
    }

    fn show_parked(&self) {
        let next_due_in = self.window.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        self.parked.are(self.window.parked(), next_due_in);
    }

    fn after_panic(&self, work: &Work) -> Parked {
        let Record { topic, partition, offset, .. } = &work.record;
        error!(%topic, partition, offset, "delivery panicked; it is tried again");
        let place = self.member.share.enter(work.record.size_bytes());
        Parked { due: Instant::now() + PANIC_PAUSE, attempts: work.attempts.clone(), place }
    }

    pub(super) fn wake_at(&self, stopped: bool) -> Option<Instant> {
        let due = self.window.next_due().filter(|_| !stopped);
        let look_at = self.look_at.filter(|_| !stopped);
        [due, look_at, self.tell_at].into_iter().flatten().min()
    }

    pub(super) fn wake(&mut self, now: Instant) {
        if self.window.wake(now) {
            self.show_parked();
        }
        self.look_at = self.look_at.filter(|look_at| *look_at > now);
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
