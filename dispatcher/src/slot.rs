//! The bound on work in flight of one egress: a slot is held while a record is being delivered and given back
//! while it waits for its next attempt.
//!
//! A few more slots are kept for records whose pause is over: the others may all be held by events that have had no
//! attempt yet and wait for their turn at a slow target.
//! Source: design rows 6 and 9. At the bound nothing fails: partitions stop taking records, so the consumer stops
//! reading their queues, and Kafka keeps the rest.

mod held;
pub(crate) mod later;
pub(crate) mod room;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::route::Route;
pub(crate) use held::{Attempts, Parked, Slot};
use room::{Room, Share};

/// Of so many slots there is one more for records whose pause is over. They were in flight before and have their bytes in
/// the room for waiting records, so what they add is this part of the futures.
const RESERVED_PART: usize = 4;

/// The slots of one egress, counted and in KiB of record. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    count: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
    kibibytes_max: u32,
    room: Room,
    partitions: AtomicUsize,
}

/// The partition is to stop: no further attempt may start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stopping;

impl Slots {
    /// `max` records and `max_bytes` bytes may be in flight; at least one record always may. Records that wait without being
    /// sent may have `waiting_bytes` more.
    pub(crate) fn new(max: usize, max_bytes: usize, waiting_bytes: usize) -> Self {
        let kibibytes_max = u32::try_from((max_bytes / 1024).max(1)).unwrap_or(u32::MAX);
        let kibibytes = usize::try_from(kibibytes_max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Bounds {
            count: Arc::new(Semaphore::new(max)),
            reserve: Arc::new(Semaphore::new(max / RESERVED_PART)),
            kibibytes: Arc::new(Semaphore::new(kibibytes)),
            kibibytes_max,
            room: Room::new(waiting_bytes),
            partitions: AtomicUsize::new(0),
        }))
    }

    /// One more partition uses these slots, until the value is dropped.
    pub(crate) fn join(&self) -> Member {
        self.0.partitions.fetch_add(1, Ordering::Relaxed);
        Member { slots: self.clone(), share: self.0.room.share() }
    }

    /// A slot for a record of this size, if one is free now.
    pub(crate) fn try_take(&self, size_bytes: usize, stopping: &CancellationToken) -> Option<Slot> {
        let bytes = Arc::clone(&self.0.kibibytes).try_acquire_many_owned(self.kibibytes(size_bytes)).ok()?;
        let count = Arc::clone(&self.0.count).try_acquire_owned().ok()?;
        Some(Slot::new(self, count, Some(bytes), stopping))
    }

    /// A slot for a record whose pause is over, if one is free of those that are kept for them. The record keeps its place
    /// in the room.
    pub(crate) fn try_take_reserved(&self, stopping: &CancellationToken) -> Option<Slot> {
        let count = Arc::clone(&self.0.reserve).try_acquire_owned().ok()?;
        Some(Slot::new(self, count, None, stopping))
    }

    /// Waits, in the order of asking, for a slot for a record of this size.
    pub(crate) async fn take(self, size_bytes: usize, stopping: CancellationToken) -> Result<Slot, Stopping> {
        let kibibytes = self.kibibytes(size_bytes);
        // The count last: records that wait for a retry keep their bytes and want a count, so nobody may hold a count
        // while it waits for bytes.
        let bytes = Arc::clone(&self.0.kibibytes).acquire_many_owned(kibibytes).await.map_err(|_closed| Stopping)?;
        let count = Arc::clone(&self.0.count).acquire_owned().await.map_err(|_closed| Stopping)?;
        Ok(Slot::new(&self, count, Some(bytes), &stopping))
    }

    /// Waits for a count, of whichever kind, for a record whose pause is over.
    async fn count_again(&self) -> Result<OwnedSemaphorePermit, Stopping> {
        let count = tokio::select! {
            biased;
            count = Arc::clone(&self.0.count).acquire_owned() => count,
            count = Arc::clone(&self.0.reserve).acquire_owned() => count,
        };
        count.map_err(|_closed| Stopping)
    }

    /// A record larger than the whole bound takes all of it.
    fn kibibytes(&self, size_bytes: usize) -> u32 {
        u32::try_from(size_bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, self.0.kibibytes_max)
    }
}

/// One partition among those that share the slots.
#[derive(Debug)]
pub(crate) struct Member {
    slots: Slots,
    pub(crate) share: Share,
}

impl Member {
    /// Whether a partition that has this many records and bytes in flight may start another one. No partition takes more
    /// than it leaves to the others, so that one whose deliveries hang never has all slots; alone it may have them all,
    /// and each may always have one.
    pub(crate) fn may_start(&self, running: usize, running_bytes: usize) -> bool {
        let bounds = &self.slots.0;
        let alone = bounds.partitions.load(Ordering::Relaxed) < 2;
        alone
            || running == 0
            || (running <= bounds.count.available_permits()
                && running_bytes / 1024 <= bounds.kibibytes.available_permits())
    }
}

impl Member {
    /// Whether a partition that has so many deliveries under way may start one more to this target. A fair share of what
    /// the target takes at a time it may always have, even if these then wait; more only if there is room at once.
    pub(crate) fn may_send(&self, running: usize, route: &Route) -> bool {
        let partitions = self.slots.0.partitions.load(Ordering::Relaxed).max(1);
        running < (route.at_a_time() / partitions).max(1) || route.has_room()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.slots.0.partitions.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
