//! What an operator wants to know of a running egress that no metric tells: its last error, its next retry, its lag by
//! partition.
//!
//! Written where things happen, without locks; read by the debug page. It holds no payload, and no header of any request.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use millrace_config::snapshot::Snapshot;
use millrace_runtime::clock;
use serde::Serialize;

use crate::metrics::Role;
use crate::metrics::kafka::Lag;
use crate::outcome::Failure;

/// No retry is known to be due.
const NEVER: i64 = 0;

/// Kept over changes that do not concern Kafka.
#[derive(Debug, Default)]
pub(crate) struct Live {
    last_error: Snapshot<Option<LastError>>,
    next_retry_ms: AtomicI64,
    lag: Snapshot<Vec<Lag>>,
}

/// The last attempt that failed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LastError {
    /// Milliseconds since 1970.
    pub(crate) at_ms: i64,
    pub(crate) role: &'static str,
    pub(crate) attempt: u32,
    pub(crate) error: String,
}

impl Live {
    /// An attempt failed; another one follows after `retry_in`, if any.
    pub(crate) fn failed(&self, role: Role, attempt: u32, failure: &Failure, retry_in: Option<Duration>) {
        let at_ms = clock::now_millis();
        let error = LastError { at_ms, role: role.as_str(), attempt, error: failure.to_string() };
        self.last_error.publish(Some(error));
        if let Some(pause) = retry_in {
            self.retry_at(at_ms, at_ms.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)));
        }
    }

    /// The client told how far the group is behind.
    pub(crate) fn lag_is(&self, lag: Vec<Lag>) {
        self.lag.publish(lag);
    }

    pub(crate) fn last_error(&self) -> Option<LastError> {
        (*self.last_error.load()).clone()
    }

    /// Milliseconds since 1970 of the soonest retry known; `None` when none is to come.
    pub(crate) fn next_retry_ms(&self) -> Option<i64> {
        let next = self.next_retry_ms.load(Ordering::Relaxed);
        Some(next).filter(|next| *next != NEVER && *next >= clock::now_millis())
    }

    pub(crate) fn lag(&self) -> Vec<Lag> {
        (*self.lag.load()).clone()
    }

    /// Only the soonest is kept; once it has passed the next one to be scheduled counts.
    fn retry_at(&self, now_ms: i64, due_ms: i64) {
        let sooner = |known: i64| (known == NEVER || known < now_ms || due_ms < known).then_some(due_ms);
        match self.next_retry_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sooner) {
            // An error says that a sooner one is known, which then stays.
            Ok(_known) | Err(_known) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    //! Which retry counts as the next.

    use super::*;

    #[test]
    fn the_soonest_retry_to_come_is_the_next() {
        let live = Live::default();
        assert_eq!(live.next_retry_ms(), None);
        let now = clock::now_millis();
        for (due, expected) in
            [(now + 60_000, now + 60_000), (now + 90_000, now + 60_000), (now + 30_000, now + 30_000)]
        {
            live.retry_at(now, due);
            assert_eq!(live.next_retry_ms(), Some(expected));
        }
        live.retry_at(now + 30_001, now + 95_000);
        assert_eq!(live.next_retry_ms(), Some(now + 95_000), "the sooner ones have passed");
    }

    #[test]
    fn the_last_error_says_when_where_and_what() {
        let live = Live::default();
        live.failed(Role::Subscriber, 2, &Failure::Connect("refused".into()), None);
        let error = live.last_error().unwrap();
        assert_eq!(
            (error.role, error.attempt, error.error.as_str()),
            ("subscriber", 2, "cannot reach the target: refused")
        );
        assert!(error.at_ms > 0);
        assert_eq!(live.next_retry_ms(), None);
    }
}
