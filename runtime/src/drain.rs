//! Leaving in good order: one token tells every part to stop taking work, one tracker waits for what is in flight, one
//! deadline bounds the wait.
//!
//! The order of a process's own steps (readiness off, stop accepting, finish, flush) is its own; this only carries the
//! signal and counts the tasks.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Shared between all parts of a process; clones are one drain.
#[derive(Clone, Debug)]
pub struct Drain {
    token: CancellationToken,
    tracker: TaskTracker,
    started: Arc<OnceLock<Instant>>,
    /// How long draining may take as a whole, from the signal to the exit.
    pub deadline: Duration,
}

impl Drain {
    /// Nothing is draining yet. A zero `deadline` waits for nothing.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self {
            token: CancellationToken::new(),
            tracker: TaskTracker::new(),
            started: Arc::new(OnceLock::new()),
            deadline,
        }
    }

    /// Cancelled when draining begins: stop taking new work, finish what was taken.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Every task that must finish before the process leaves is spawned on this tracker.
    #[must_use]
    pub fn tracker(&self) -> TaskTracker {
        self.tracker.clone()
    }

    /// Begins draining; the deadline counts from the first call, later calls change nothing.
    pub fn start(&self) {
        self.started.get_or_init(Instant::now);
        self.token.cancel();
    }

    /// True once `start` was called.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.token.is_cancelled()
    }

    /// What is left of the deadline; all of it while draining has not begun, zero when it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        match self.started.get() {
            Some(started) => self.deadline.saturating_sub(started.elapsed()),
            None => self.deadline,
        }
    }

    /// Waits for every tracked task, at most for what is left of the deadline. True when all of them finished.
    ///
    /// Starts the drain if nobody has. Dropping the future stops the waiting and nothing else.
    pub async fn finish(&self) -> bool {
        self.start();
        self.tracker.close();
        tokio::time::timeout(self.remaining(), self.tracker.wait()).await.is_ok()
    }
}

/// The signals that ask a process to leave, registered once so that none is missed between two waits.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes SIGTERM and SIGINT over from their default action, which is to kill.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to register a handler.
    pub fn register() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for either signal and returns its name. Dropping the future is safe: no signal is lost.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_tracked_tasks() {
        let drain = Drain::new(Duration::from_secs(10));
        let token = drain.token();
        let task = drain.tracker().spawn(async move {
            token.cancelled().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            "finished"
        });
        assert!(!drain.is_started());
        assert!(drain.finish().await);
        assert_eq!(task.await.expect("the task was not aborted"), "finished");
        assert_eq!(drain.remaining(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn draining_gives_up_at_the_deadline_that_counts_from_its_start() {
        let drain = Drain::new(Duration::from_secs(10));
        drain.tracker().spawn(std::future::pending::<()>());
        drain.start();
        tokio::time::sleep(Duration::from_secs(4)).await;
        drain.start();
        let before = Instant::now();
        assert!(!drain.finish().await);
        assert_eq!(before.elapsed(), Duration::from_secs(6));
    }
}
