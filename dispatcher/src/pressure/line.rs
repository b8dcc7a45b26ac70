//! Who goes first where attempts have to wait: retries that are due, and first attempts one at a time between them.
//!
//! Of the first attempts only the head of the line stands where things are handed out in the order of asking; the others
//! wait behind it. A retry goes there at once. So it lets at most one first attempt pass, and the head waits for no more
//! retries than were there before it: neither is ever held up for long by the other.
//! Source: dispatcher spec 5 (a retry is due after its pause, however many events hang on the same target).

use tokio::sync::{Semaphore, SemaphorePermit};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The first attempt of an event at this target.
    First,
    /// An attempt after a pause.
    Retry,
}

/// The line of the first attempts.
#[derive(Debug)]
pub(super) struct Line(Semaphore);

impl Default for Line {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl Line {
    /// Waits until it is this one's turn to ask; it lasts until the value is dropped. Dropping the future gives up the place.
    pub(super) async fn enter(&self, turn: Turn) -> Option<SemaphorePermit<'_>> {
        match turn {
            // The line is never closed.
            Turn::First => self.0.acquire().await.ok(),
            Turn::Retry => None,
        }
    }
}
