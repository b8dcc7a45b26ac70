//! One record's slot, and what becomes of it in the pauses between attempts.
//!
//! A record that waits for its next attempt gives up everything here: it is parked in `room`, which has a
//! bound of its own, without the future that delivers it.
//! Source: design row 6.

use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::later::Later;
use super::room::{Place, Share};
use super::{Slots, Stopping};

/// Shorter pauses are waited for in place: parking costs decoding the record again.
const SHORTEST_PARKED: Duration = Duration::from_millis(10);

/// What a record has behind it when it is taken up again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    /// Attempts of the step that it has come to, so far.
    pub(crate) made: u32,
    /// Milliseconds that it waited in this step for a target that was down.
    pub(crate) waited_ms: u32,
    /// When the first attempt at the subscriber started; `None` before it.
    pub(crate) since: Option<Instant>,
    /// What is to be done; `None` while it is the subscriber's turn.
    pub(crate) later: Option<Later>,
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
    slots: Slots,
    /// A slot of those kept for retries has none; the record has its place in the room then.
    bytes: Option<OwnedSemaphorePermit>,
    place: Option<Place>,
    stopping: CancellationToken,
    attempts: Attempts,
    parking: Option<(Share, usize)>,
    parked: Option<Parked>,
}

impl Slot {
    pub(super) fn new(
        slots: &Slots,
        count: OwnedSemaphorePermit,
        bytes: Option<OwnedSemaphorePermit>,
        stopping: &CancellationToken,
    ) -> Self {
        Self {
            count: Some(count),
            slots: slots.clone(),
            bytes,
            place: None,
            stopping: stopping.clone(),
            attempts: Attempts::default(),
            parking: None,
            parked: None,
        }
    }

    /// Cancelled when no further attempt may start.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Goes on after `attempts`; pauses before further ones may be spent parked in `share`. The record's `place` is given
    /// back unless the slot has no bytes of its own.
    pub(crate) fn resume(self, attempts: Attempts, place: Option<Place>, share: &Share, size_bytes: usize) -> Self {
        let place = place.filter(|_| self.bytes.is_none());
        Self { attempts, place, parking: Some((share.clone(), size_bytes)), ..self }
    }

    /// The record comes to this step, or goes on with it. Attempts are counted anew for each.
    pub(crate) fn begin(&mut self, step: Later) {
        if !self.attempts.later.as_ref().is_some_and(|current| current.is_same_step(&step)) {
            (self.attempts.made, self.attempts.waited_ms) = (0, 0);
        }
        self.attempts.later = Some(step);
    }

    /// Where to go on; `None` unless the record was parked after its subscriber's turn.
    pub(crate) fn later(&self) -> Option<Later> {
        self.attempts.later.clone()
    }

    /// Attempts of this step before this delivery: 0 unless the record was parked.
    pub(crate) fn attempts_before(&self) -> u32 {
        self.attempts.made
    }

    /// How long the record has waited in this step for a target that was down, before this delivery.
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

    /// Waits for the next attempt of this step, after `made` of them. Where there is room the record is parked: the delivery
    /// ends as if the partition stopped, and starts again when the pause is over.
    ///
    /// # Errors
    ///
    /// [`Stopping`] when this delivery makes no further attempt.
    pub(crate) async fn park(&mut self, made: u32, pause: Duration) -> Result<(), Stopping> {
        self.attempts.made = made;
        let Some(place) = self.place_for(pause) else { return self.pause(pause).await };
        let later = self.attempts.later.as_ref().map(Later::shrunk);
        let attempts = Attempts { later, ..self.attempts };
        self.parked = Some(Parked { due: tokio::time::Instant::now() + pause, attempts, place });
        Err(Stopping)
    }

    fn place_for(&mut self, pause: Duration) -> Option<Place> {
        let (share, size_bytes) = self.parking.as_ref().filter(|_| pause >= SHORTEST_PARKED)?;
        let size_bytes = size_bytes.saturating_add(self.attempts.later.as_ref().map_or(0, Later::size_bytes));
        let has = self.place.take_if(|place| place.holds(size_bytes));
        has.or_else(|| share.try_enter(size_bytes))
    }

    /// Gives the slot back for `pause`, then waits for another one.
    ///
    /// # Errors
    ///
    /// [`Stopping`] when the partition stops before the next attempt could start.
    pub(super) async fn pause(&mut self, pause: Duration) -> Result<(), Stopping> {
        self.count = None;
        let slots = &self.slots;
        // Boxed, because few deliveries pause here and all of them would carry it along.
        let again = Box::pin(async move {
            tokio::time::sleep(pause).await;
            slots.count_again().await
        });
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Stopping),
            count = again => {
                self.count = Some(count?);
                Ok(())
            }
        }
    }
}
