//! What one partition does next: which record may start, which waits for what, and how far it may be committed.
//!
//! Pure: no tasks, no clock, no HTTP; `partition` feeds it and acts. A record that was received is in one of four
//! places until it is finished: behind an earlier record of its key, ready to start (for the first time, or because it is
//! due again), started, or parked until its next attempt is due.
//! Source: dispatcher spec 2; design rows 3, 6 and 10.

mod keys;

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use crate::offsets::ranges::Ranges;
use crate::offsets::{Received, Tracker};
use keys::Keys;

/// A partition holds at most this many records between the oldest unfinished one and the newest. Their payloads have
/// bounds of their own; this one is for what remains of each, 16 bytes in the tracker.
const OPEN_RECORDS: usize = 200_000;

/// Which records wait for which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// One record of a partition at a time.
    Partition,
    /// One record of a key at a time; records without a key do not wait.
    Key,
    /// None waits for another.
    Unordered,
}

/// A record that is not finished.
#[derive(Debug)]
pub(crate) struct Item<W> {
    pub(crate) offset: i64,
    /// The hash of its key; `None` where keys do not matter.
    pub(crate) key: Option<u64>,
    /// What the owner of the window needs to work on it.
    pub(crate) work: W,
}

/// What may be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committable {
    /// The next offset to read after a restart.
    pub(crate) offset: i64,
    /// What needs no second delivery beyond it.
    pub(crate) finished: Ranges,
    pub(crate) unfinished: usize,
}

/// The unfinished records of one partition.
#[derive(Debug)]
pub(crate) struct Window<W> {
    order: Order,
    /// Whether what is finished beyond the committed offset has to fit into a commit's metadata.
    bounded: bool,
    tracker: Tracker,
    keys: Keys<Item<W>>,
    ready: VecDeque<Item<W>>,
    /// Those whose pause is over.
    due: VecDeque<Item<W>>,
    /// Where both want to start, they take turns.
    due_before: bool,
    started: usize,
    parked: BTreeMap<(Instant, i64), Item<W>>,
}

impl<W> Window<W> {
    /// `finished` is what the last commit's metadata said; `bounded` tells whether the next commit carries some too.
    pub(crate) fn new(order: Order, finished: Ranges, bounded: bool) -> Self {
        Self {
            order,
            bounded,
            tracker: Tracker::resume(finished),
            keys: Keys::default(),
            ready: VecDeque::new(),
            due: VecDeque::new(),
            due_before: false,
            started: 0,
            parked: BTreeMap::new(),
        }
    }

    /// Whether another record may be read now.
    pub(crate) fn may_receive(&self) -> bool {
        match self.order {
            Order::Partition => self.tracker.unfinished() == 0,
            Order::Key | Order::Unordered => {
                self.ready.is_empty()
                    && self.tracker.open() < OPEN_RECORDS
                    && !(self.bounded && self.tracker.is_full(self.started))
            }
        }
    }

    /// Takes a record in, unless it is finished or known already. `key` is the hash of its key.
    pub(crate) fn receive(&mut self, offset: i64, key: Option<u64>, work: W) -> Received {
        let received = self.tracker.received(offset);
        if matches!(received, Received::Next { .. }) {
            let key = key.filter(|_| self.order == Order::Key);
            let item = Item { offset, key, work };
            let free = match key {
                Some(key) => self.keys.arrive(key, item),
                None => Some(item),
            };
            self.ready.extend(free);
        }
        received
    }

    /// The record that should start next: one whose pause is over before one that has not started yet, but not two of
    /// them in a row while one waits.
    pub(crate) fn next(&self) -> Option<&Item<W>> {
        if self.due_is_next() { self.due.front() } else { self.ready.front() }
    }

    /// Starts the record that [`Window::next`] names. It must be followed by `finished` or `park`.
    pub(crate) fn start(&mut self) -> Option<Item<W>> {
        if self.due_is_next() {
            self.due_before = true;
            return self.start_due();
        }
        let item = self.ready.pop_front()?;
        self.due_before = false;
        self.started += 1;
        Some(item)
    }

    fn due_is_next(&self) -> bool {
        !self.due.is_empty() && (self.ready.is_empty() || !self.due_before)
    }

    /// Whether a parked record is due and has not been started yet.
    pub(crate) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Starts a record whose pause is over, whoever else waits.
    pub(crate) fn start_due(&mut self) -> Option<Item<W>> {
        let item = self.due.pop_front()?;
        self.started += 1;
        Some(item)
    }

    /// A started record needs nothing more.
    pub(crate) fn finished(&mut self, offset: i64, key: Option<u64>) {
        self.started -= 1;
        self.tracker.finished(offset);
        let next = key.and_then(|key| self.keys.finished(key));
        self.ready.extend(next);
    }

    /// A started record is due again later. Until then it holds back its own key, or its partition where that is
    /// ordered, and nothing else.
    pub(crate) fn park(&mut self, item: Item<W>, due: Instant) {
        self.started -= 1;
        self.parked.insert((due, item.offset), item);
    }

    /// Parked records that are due may start. Returns whether there are any.
    pub(crate) fn wake(&mut self, now: Instant) -> bool {
        let before = self.due.len();
        while let Some(first) = self.parked.first_entry().filter(|first| first.key().0 <= now) {
            self.due.push_back(first.remove());
        }
        self.due.len() > before
    }

    /// How many records wait for their next attempt.
    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// When [`Window::wake`] has something to do.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.parked.first_key_value().map(|((due, _offset), _item)| *due)
    }

    /// `None` before the first record.
    pub(crate) fn committable(&self) -> Option<Committable> {
        let offset = self.tracker.committable()?;
        let finished = if self.bounded { self.tracker.finished_beyond() } else { Ranges::default() };
        Some(Committable { offset, finished, unfinished: self.tracker.unfinished() })
    }
}

#[cfg(test)]
mod tests;
