//! The log lines about events that were not taken, each kind at most once a second.
//!
//! An outage, or a sender that does not know better, must not become a flood of lines. The texts are the peer's, because
//! operators look for them; `suppressed` says how many were left out. Source: spec ingress 8.3.

use std::sync::atomic::{AtomicU64, Ordering};

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use millrace_runtime::clock;
use millrace_runtime::startup::with_causes;
use tracing::{error, warn};

use crate::error::Rejection;
use crate::producer::ProduceError;
use crate::routes::Target;

/// One throttle for each kind of line, so that a flood of one hides no other.
#[derive(Debug, Default)]
pub(super) struct Lines {
    records: Throttle,
    routes: Throttle,
    methods: Throttle,
    events: Throttle,
}

/// Remembers the second of the last line and what was left unsaid since.
#[derive(Debug, Default)]
struct Throttle {
    second: AtomicU64,
    unsaid: AtomicU64,
}

impl Lines {
    /// Kafka has not taken a record, as far as is known. The sender is told, so the event is not lost; the first of the
    /// two lines is an error all the same, because it is one for the peer and alerts count it.
    pub(super) fn not_produced(&self, target: &Target, head: &Parts, error: &ProduceError) {
        if let Some(suppressed) = self.records.turn(now()) {
            let (error, topic, uid) = (with_causes(error), target.topic(), &target.resource.uid);
            let path = head.uri.path();
            error!(topic, uid, error, suppressed, "Failed to send record");
            warn!(path, topic, uid, error, suppressed, "Failed to produce record");
        }
    }

    /// A request was refused. Says nothing of the kinds that have no line of the peer's.
    pub(super) fn refused(&self, rejection: &Rejection, head: &Parts) {
        let path = head.uri.path();
        if matches!(rejection, Rejection::NoRoute | Rejection::NoHost) {
            if let Some(suppressed) = self.routes.turn(now()) {
                let host_header = head.headers.get(HOST).map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
                let authority = head.uri.authority().map(|authority| authority.as_str());
                let host = authority.or(host_header.as_deref());
                warn!(path, host, hostHeader = host_header.as_deref(), suppressed, "Resource not found");
            }
        } else if matches!(rejection, Rejection::MethodNotAllowed) {
            if let Some(suppressed) = self.methods.turn(now()) {
                warn!(method = head.method.as_str(), path, suppressed, "Method not allowed:");
            }
        } else if matches!(
            rejection,
            Rejection::NotAnEvent(_) | Rejection::Batch { status: StatusCode::BAD_REQUEST, .. }
        ) && let Some(suppressed) = self.events.turn(now())
        {
            warn!(path, reason = %rejection, suppressed, "Failed to get cloudevent from request");
        }
    }
}

impl Throttle {
    /// How many were left unsaid, when it is time to speak.
    fn turn(&self, now: u64) -> Option<u64> {
        if self.second.swap(now, Ordering::Relaxed) == now {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Ordering::Relaxed))
    }
}

fn now() -> u64 {
    clock::since_epoch().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_tells_how_many_were_left_out() {
        let throttle = Throttle::default();
        assert_eq!(throttle.turn(5), Some(0));
        assert_eq!((throttle.turn(5), throttle.turn(5)), (None, None));
        assert_eq!(throttle.turn(6), Some(2));
        assert_eq!(throttle.turn(7), Some(0));
    }
}
