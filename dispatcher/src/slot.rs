//! The bound on work in flight of one egress: a slot is held while a record is being delivered and given back
//! while it waits for its next attempt.
//!
//! A record that waits for the subscriber's next attempt gives up everything here: it is parked in `room`, which has a
//! bound of its own, without the future that delivers it.
//! Source: design rows 6 and 9. At the bound nothing fails: partitions stop taking records, so the consumer stops
//! reading their queues, and Kafka keeps the rest.

pub(crate) mod room;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use room::{Place, Room, Share};

/// Shorter pauses are waited for in place: parking costs decoding the record again.
const SHORTEST_PARKED: Duration = Duration::from_millis(10);

/// The slots of one egress, counted and in KiB of record.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    count: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
    kibibytes_max: u32,
    room: Room,
    partitions: Arc<AtomicUsize>,
}

/// The partition is to stop: no further attempt may start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stopping;

impl Slots {
    /// `max` records and `max_bytes` bytes may be in flight; at least one record always may.
    pub(crate) fn new(max: usize, max_bytes: usize) -> Self {
        let kibibytes_max = u32::try_from((max_bytes / 1024).max(1)).unwrap_or(u32::MAX);
        let kibibytes = usize::try_from(kibibytes_max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            count: Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS))),
            kibibytes: Arc::new(Semaphore::new(kibibytes)),
            kibibytes_max,
            room: Room::new(max_bytes),
            partitions: Arc::default(),
        }
    }

    /// Records that wait without being sent may have `max_bytes` bytes more; otherwise as many as those in flight.
    pub(crate) fn with_room(self, max_bytes: usize) -> Self {
        Self { room: Room::new(max_bytes), ..self }
    }

    /// One more partition uses these slots, until the value is dropped.
    pub(crate) fn join(&self) -> Member {
        self.partitions.fetch_add(1, Ordering::Relaxed);
        Member { slots: self.clone(), share: self.room.share() }
    }

    /// A slot for a record of this size, if one is free now.
    pub(crate) fn try_take(&self, size_bytes: usize, stopping: &CancellationToken) -> Option<Slot> {
        let bytes = Arc::clone(&self.kibibytes).try_acquire_many_owned(self.kibibytes(size_bytes)).ok()?;
        let count = Arc::clone(&self.count).try_acquire_owned().ok()?;
        Some(self.slot(count, bytes, stopping))
    }

    /// Waits, in the order of asking, for a slot for a record of this size.
    pub(crate) async fn take(self, size_bytes: usize, stopping: CancellationToken) -> Result<Slot, Stopping> {
        let kibibytes = self.kibibytes(size_bytes);
        // The count last: records that wait for a retry keep their bytes and want a count, so nobody may hold a count
        // while it waits for bytes.
        let bytes = Arc::clone(&self.kibibytes).acquire_many_owned(kibibytes).await.map_err(|_closed| Stopping)?;
        let count = Arc::clone(&self.count).acquire_owned().await.map_err(|_closed| Stopping)?;
        Ok(self.slot(count, bytes, &stopping))
    }

    fn slot(&self, count: OwnedSemaphorePermit, bytes: OwnedSemaphorePermit, stopping: &CancellationToken) -> Slot {
        Slot {
            count: Some(count),
            slots: Arc::clone(&self.count),
            _bytes: bytes,
            stopping: stopping.clone(),
            attempts: Attempts::default(),
            parking: None,
            parked: None,
        }
    }

    /// A record larger than the whole bound takes all of it.
    fn kibibytes(&self, size_bytes: usize) -> u32 {
        u32::try_from(size_bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, self.kibibytes_max)
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
        let alone = self.slots.partitions.load(Ordering::Relaxed) < 2;
        alone
            || running == 0
            || (running <= self.slots.count.available_permits()
                && running_bytes / 1024 <= self.slots.kibibytes.available_permits())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.slots.partitions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a record has behind it when it is taken up again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempts {
    /// Attempts at the subscriber so far.
    pub(crate) made: u32,
    /// Milliseconds that it waited for a subscriber that was down.
    pub(crate) waited_ms: u32,
    /// When the first one started; `None` before it.
    pub(crate) since: Option<Instant>,
}

/// How a record waits for its next attempt.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) due: tokio::time::Instant,
    pub(crate) attempts: Attempts,
    pub(crate) place: Place,
}

/// A record's share of the bound. The bytes are held until it is dropped, the count only while not paused.
#[derive(Debug)]
pub(crate) struct Slot {
    count: Option<OwnedSemaphorePermit>,
    slots: Arc<Semaphore>,
    _bytes: OwnedSemaphorePermit,
    stopping: CancellationToken,
    attempts: Attempts,
    parking: Option<(Share, usize)>,
    parked: Option<Parked>,
}

impl Slot {
    /// Cancelled when no further attempt may start.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Goes on after `attempts`; pauses before further ones may be spent parked in `share`.
    pub(crate) fn resume(self, attempts: Attempts, share: &Share, size_bytes: usize) -> Self {
        Self { attempts, parking: Some((share.clone(), size_bytes)), ..self }
    }

    /// Attempts at the subscriber before this delivery: 0 unless the record was parked.
    pub(crate) fn attempts_before(&self) -> u32 {
        self.attempts.made
    }

    /// How long the record has waited for a subscriber that was down, before this delivery.
    pub(crate) fn waited_before(&self) -> Duration {
        Duration::from_millis(self.attempts.waited_ms.into())
    }

    /// How long it has waited by now.
    pub(crate) fn note_waited(&mut self, waited: Duration) {
        self.attempts.waited_ms = u32::try_from(waited.as_millis()).unwrap_or(u32::MAX);
    }

    /// When the record was first sent: `now`, unless it was parked since.
    pub(crate) fn first_sent(&mut self, now: Instant) -> Instant {
        *self.attempts.since.get_or_insert(now)
    }

    /// When the record was first sent, if it was parked since.
    pub(crate) fn sent_since(&self) -> Option<Instant> {
        self.attempts.since
    }

    /// Whether the delivery ended because the record was parked.
    pub(crate) fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// How the record waits, if the delivery ended because it was parked.
    pub(crate) fn take_parked(&mut self) -> Option<Parked> {
        self.parked.take()
    }

    /// Waits for the next attempt at the subscriber, `made` of which have failed. Where there is room the record is
    /// parked: the delivery ends as if the partition stopped, and starts again when the pause is over.
    ///
    /// # Errors
    ///
    /// [`Stopping`] when this delivery makes no further attempt.
    pub(crate) async fn park(&mut self, made: u32, pause: Duration) -> Result<(), Stopping> {
        let place = match &self.parking {
            Some((share, size_bytes)) if pause >= SHORTEST_PARKED => share.try_enter(*size_bytes),
            Some(_) | None => None,
        };
        let Some(place) = place else { return self.pause(pause).await };
        let attempts = Attempts { made, ..self.attempts };
        self.parked = Some(Parked { due: tokio::time::Instant::now() + pause, attempts, place });
        Err(Stopping)
    }

    /// Gives the slot back for `pause`, then waits for another one.
    ///
    /// # Errors
    ///
    /// [`Stopping`] when the partition stops before the next attempt could start.
    pub(crate) async fn pause(&mut self, pause: Duration) -> Result<(), Stopping> {
        self.count = None;
        let slots = Arc::clone(&self.slots);
        let again = async move {
            tokio::time::sleep(pause).await;
            slots.acquire_owned().await
        };
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Stopping),
            permit = again => {
                self.count = Some(permit.map_err(|_closed| Stopping)?);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! What the bounds let through, with paused time.

    use super::*;

    #[tokio::test]
    async fn the_bound_on_records_holds_the_next_one_back() {
        let slots = Slots::new(2, 1024 * 1024);
        let stopping = CancellationToken::new();
        let first = slots.try_take(10, &stopping).unwrap();
        let _second = slots.try_take(10, &stopping).unwrap();
        assert!(slots.try_take(10, &stopping).is_none());
        drop(first);
        assert!(slots.try_take(10, &stopping).is_some());
    }

    #[tokio::test]
    async fn the_bound_on_bytes_holds_the_next_one_back_but_never_the_only_one() {
        let slots = Slots::new(100, 4096);
        let stopping = CancellationToken::new();
        let whole = slots.try_take(1_000_000, &stopping).unwrap();
        assert!(slots.try_take(1, &stopping).is_none());
        drop(whole);
        let _some = slots.try_take(3000, &stopping).unwrap();
        assert!(slots.try_take(3000, &stopping).is_none());
        assert!(slots.try_take(1024, &stopping).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_retry_frees_its_slot() {
        let slots = Slots::new(1, 1024 * 1024);
        let stopping = CancellationToken::new();
        let mut waiting = slots.try_take(10, &stopping).unwrap();
        let pause = waiting.pause(Duration::from_secs(60));
        tokio::pin!(pause);
        assert!(futures_util::poll!(&mut pause).is_pending());
        let other = slots.try_take(10, &stopping).expect("the pausing record holds no slot");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(futures_util::poll!(&mut pause).is_pending(), "no attempt without a slot");
        drop(other);
        assert_eq!(pause.await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_waits_for_bytes_keeps_no_retry_from_its_slot() {
        let slots = Slots::new(1, 1024);
        let stopping = CancellationToken::new();
        let mut retrying = slots.try_take(1024, &stopping).unwrap();
        let next = slots.clone().take(1024, stopping.clone());
        tokio::pin!(next);
        {
            let pause = retrying.pause(Duration::from_secs(1));
            tokio::pin!(pause);
            assert!(futures_util::poll!(&mut pause).is_pending());
            assert!(futures_util::poll!(&mut next).is_pending(), "the retrying record holds all bytes");
            let again = tokio::time::timeout(Duration::from_secs(60), pause).await;
            assert_eq!(again, Ok(Ok(())), "the other record holds the only slot while it waits");
        }
        drop(retrying);
        assert!(tokio::time::timeout(Duration::from_secs(60), next).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_a_pause_at_once() {
        let slots = Slots::new(1, 1024);
        let stopping = CancellationToken::new();
        let mut slot = slots.try_take(10, &stopping).unwrap();
        stopping.cancel();
        assert_eq!(slot.pause(Duration::from_secs(600)).await, Err(Stopping));
    }
}
