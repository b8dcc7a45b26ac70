//! The bound on records that wait in memory without being sent: for their next attempt, or for a record of their key.
//!
//! Counted in bytes, for all partitions of an egress together. No partition may hold more than what is left for the
//! others, so that one with failing records never takes everything: alone it gets half. At the bound nothing fails: a
//! record whose retry finds no room stays among those in flight, a partition that holds records back by key reads no
//! more.
//! Source: design rows 6, 9 and 10.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a waiting record costs besides its bytes: its places in the maps, its header table, its buffer's slack.
pub(crate) const OVERHEAD_BYTES: usize = 512;

/// The room of one egress; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    used: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// What one partition has of it.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    room: Room,
    held: Arc<AtomicUsize>,
}

/// Room for one record, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    share: Share,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { used: Arc::new(AtomicUsize::new(0)), max_bytes }
    }

    /// The share of one more partition.
    pub(crate) fn share(&self) -> Share {
        Share { room: self.clone(), held: Arc::new(AtomicUsize::new(0)) }
    }
}

impl Share {
    /// Room for a record of this size, if the partition may take it.
    pub(crate) fn try_enter(&self, size_bytes: usize) -> Option<Place> {
        let bytes = size_bytes.saturating_add(OVERHEAD_BYTES);
        let place = self.enter(size_bytes);
        let free = self.room.max_bytes.checked_sub(self.room.used.load(Ordering::Relaxed))?;
        // Together with this record, no more than what is left.
        (self.held.load(Ordering::Relaxed) <= free.saturating_add(bytes)).then_some(place)
    }

    /// Room for a record that is here already and has to wait. Its partition must not read on without
    /// [`Share::has_room`], so that each goes beyond the bound by one record at most.
    pub(crate) fn enter(&self, size_bytes: usize) -> Place {
        let bytes = size_bytes.saturating_add(OVERHEAD_BYTES);
        self.room.used.fetch_add(bytes, Ordering::Relaxed);
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Place { share: self.clone(), bytes }
    }

    /// Whether the partition may hold more than now.
    pub(crate) fn has_room(&self) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        let free = self.room.max_bytes.saturating_sub(self.room.used.load(Ordering::Relaxed));
        held == 0 || held < free
    }
}

impl Place {
    /// Whether it is room enough for a record of this size.
    pub(super) fn holds(&self, size_bytes: usize) -> bool {
        self.bytes >= size_bytes.saturating_add(OVERHEAD_BYTES)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.share.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.share.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    //! Who may wait where.

    use super::*;

    const RECORD: usize = 1024 - OVERHEAD_BYTES;

    fn fill(share: &Share) -> Vec<Place> {
        std::iter::from_fn(|| share.try_enter(RECORD)).collect()
    }

    #[test]
    fn a_partition_alone_gets_half_and_leaves_as_much_to_others() {
        let room = Room::new(100 * 1024);
        let (failing, healthy) = (room.share(), room.share());
        let held = fill(&failing);
        assert_eq!(held.len(), 50);
        assert!(!failing.has_room() && healthy.has_room());
        assert_eq!(fill(&healthy).len(), 25);
        drop(held);
        assert_eq!(fill(&failing).len(), 50, "room that is given back can be used again");
    }

    #[test]
    fn all_partitions_together_stay_within_the_bound() {
        let room = Room::new(64 * 1024);
        let shares: Vec<Share> = (0..40).map(|_| room.share()).collect();
        let held: Vec<Place> = shares.iter().flat_map(fill).collect();
        assert!(held.len() <= 64, "{} records of 1 KiB", held.len());
        assert!(held.len() > 60, "{} records of 1 KiB", held.len());
    }

    #[test]
    fn a_record_that_is_here_already_finds_a_place_and_then_none_follows() {
        let room = Room::new(1024);
        let share = room.share();
        assert!(share.has_room());
        let place = share.enter(1_000_000);
        assert!(!share.has_room() && share.try_enter(1).is_none());
        drop(place);
        assert!(share.has_room());
    }
}
