//! Holds attempts back as far as the rate asks for it; the rule is in `rate`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::line::{Line, Turn};
use super::rate::Rate;

/// The rate of one target and what of it is used up.
#[derive(Debug)]
pub(super) struct Meter {
    rate: Rate,
    started: Instant,
    full_at: AtomicU64,
    line: Line,
}

impl Meter {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, started: Instant::now(), full_at: AtomicU64::new(0), line: Line::default() }
    }

    /// Waits for a token, in the order of asking; a retry passes all first attempts but one. Dropping the future while it
    /// waits may cost a token.
    pub(super) async fn pass(&self, turn: Turn) {
        let _head = self.line.enter(turn).await;
        let wait = self.take();
        if !wait.is_zero() {
            debug!(wait_ms = wait.as_millis(), "Rate limiter, tokens unavailable");
            tokio::time::sleep(wait).await;
        }
    }

    fn take(&self) -> Duration {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let (next, wait) = self.rate.take(full_at, now);
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_replaced) => return wait,
                Err(changed) => full_at = changed,
            }
        }
    }
}
