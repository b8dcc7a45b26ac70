//! A number of permits that can be changed while they are out.
//!
//! Waiting is in the order of asking, but a retry passes all first attempts but one (`line`). When the number goes down,
//! permits that are out are owed: they disappear when they come back.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::line::{Line, Turn};

#[derive(Debug)]
pub(crate) struct Permits {
    semaphore: Semaphore,
    line: Line,
    waiting: AtomicU32,
    owed: AtomicU32,
}

/// One of the permits; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    permit: Option<SemaphorePermit<'a>>,
    owed: &'a AtomicU32,
}

impl Permits {
    pub(crate) fn new(number: u32) -> Self {
        Self {
            semaphore: Semaphore::new(count(number)),
            line: Line::default(),
            waiting: AtomicU32::new(0),
            owed: AtomicU32::new(0),
        }
    }

    pub(crate) fn try_take(&self) -> Option<Permit<'_>> {
        self.semaphore.try_acquire().ok().map(|permit| self.permit(permit))
    }

    pub(crate) fn has_room(&self) -> bool {
        self.semaphore.available_permits() > 0
    }

    /// Waits for a permit. Dropping the future gives up the place in the queue.
    pub(crate) async fn take(&self, turn: Turn) -> Option<Permit<'_>> {
        let _waiting = Waiting::begin(&self.waiting);
        let _head = self.line.enter(turn).await;
        self.semaphore.acquire().await.ok().map(|permit| self.permit(permit))
    }

    /// How many wait for a permit.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// There were to be `from`, now there are to be `to`.
    pub(crate) fn resize(&self, from: u32, to: u32) {
        if to < from {
            let less = from - to;
            let forgotten = u32::try_from(self.semaphore.forget_permits(count(less))).unwrap_or(less);
            self.owed.fetch_add(less - forgotten.min(less), Ordering::AcqRel);
            return;
        }
        let more = to - from;
        let owed = self.owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |owed| Some(owed - owed.min(more)));
        let forgiven = match owed {
            Ok(owed) | Err(owed) => owed.min(more),
        };
        self.semaphore.add_permits(count(more - forgiven));
    }

    fn permit<'a>(&'a self, permit: SemaphorePermit<'a>) -> Permit<'a> {
        Permit { permit: Some(permit), owed: &self.owed }
    }
}

/// One of those who wait.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if self.owed.load(Ordering::Acquire) == 0 {
            return;
        }
        if self.owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |owed| owed.checked_sub(1)).is_ok() {
            permit.forget();
        }
    }
}

fn count(permits: u32) -> usize {
    usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    //! How many permits are out while their number changes.

    use super::*;

    #[tokio::test]
    async fn fewer_permits_take_effect_as_they_come_back() {
        let permits = Permits::new(3);
        let mut out: Vec<_> = (0..3).map(|_| permits.try_take().unwrap()).collect();
        permits.resize(3, 1);
        drop(out.pop());
        drop(out.pop());
        assert!(permits.try_take().is_none(), "one is still out, which is all there may be");
        drop(out.pop());
        let _only = permits.try_take().unwrap();
        assert!(permits.try_take().is_none());
    }

    #[tokio::test]
    async fn more_permits_first_forgive_those_that_are_owed() {
        let permits = Permits::new(4);
        let out: Vec<_> = (0..4).map(|_| permits.try_take().unwrap()).collect();
        permits.resize(4, 1);
        permits.resize(1, 6);
        let _two = [permits.try_take().unwrap(), permits.try_take().unwrap()];
        assert!(permits.try_take().is_none(), "six are out");
        drop(out);
        let again: Vec<_> = std::iter::from_fn(|| permits.try_take()).collect();
        assert_eq!(again.len(), 4);
    }

    #[tokio::test]
    async fn permits_that_are_not_out_go_at_once() {
        let permits = Permits::new(10);
        permits.resize(10, 2);
        let out: Vec<_> = std::iter::from_fn(|| permits.try_take()).collect();
        assert_eq!(out.len(), 2);
    }
}
