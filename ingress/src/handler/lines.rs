//! The log lines about events that were not taken, each kind at most once a second.
//!
//! An outage, or a sender that does not know better, must not become a flood of lines. The texts are the peer's, because
//! operators look for them; `suppressed` says how many were left out. Source: spec ingress 8.3.

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use millrace_runtime::startup::with_causes;
use millrace_runtime::throttle::EverySecond;
use tracing::{error, warn};

use crate::error::Rejection;
use crate::producer::ProduceError;
use crate::routes::Target;

/// One throttle for each kind of line, so that a flood of one hides no other.
#[derive(Debug, Default)]
pub(super) struct Lines {
    records: EverySecond,
    routes: EverySecond,
    methods: EverySecond,
    events: EverySecond,
}

impl Lines {
    /// Kafka has not taken a record, as far as is known. The sender is told, so the event is not lost; the first of the
    /// two lines is an error all the same, because it is one for the peer and alerts count it.
    pub(super) fn not_produced(&self, target: &Target, head: &Parts, error: &ProduceError) {
        if let Some(suppressed) = self.records.turn() {
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
            if let Some(suppressed) = self.routes.turn() {
                let host_header = head.headers.get(HOST).map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
                let authority = head.uri.authority().map(|authority| authority.as_str());
                let host = authority.or(host_header.as_deref());
                warn!(path, host, hostHeader = host_header.as_deref(), suppressed, "Resource not found");
            }
        } else if matches!(rejection, Rejection::MethodNotAllowed) {
            if let Some(suppressed) = self.methods.turn() {
                warn!(method = head.method.as_str(), path, suppressed, "Method not allowed:");
            }
        } else if matches!(
            rejection,
            Rejection::NotAnEvent(_) | Rejection::Batch { status: StatusCode::BAD_REQUEST, .. }
        ) && let Some(suppressed) = self.events.turn()
        {
            warn!(path, reason = %rejection, suppressed, "Failed to get cloudevent from request");
        }
    }
}
