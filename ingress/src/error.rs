//! Every way to refuse a request, and the one place that decides what the sender is told.
//!
//! Refusals carry `application/problem+json` (RFC 9457). Statuses: spec ingress 1.5, and design rows 12 and 13 where we
//! say more than the peer.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use millrace_event::EventError;
use millrace_runtime::startup::with_causes;
use serde::Serialize;

use crate::auth::token::TokenError;
use crate::producer::ProduceError;

/// RFC 9457.
const PROBLEM: &str = "application/problem+json";

/// What goes back to the sender. Success has an empty body.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the request line is longer than {limit_bytes} bytes")]
    LineTooLong { limit_bytes: usize },
    #[error("the headers are larger than {limit_bytes} bytes")]
    HeadersTooLarge { limit_bytes: usize },
    #[error("the request is not well-formed HTTP/1.1")]
    NotHttp,
    #[error("only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here")]
    OtherVersion,
    #[error("Content-Length and Transfer-Encoding exclude each other")]
    TwoFramings,
    #[error("every line of the head must end in CR LF")]
    BareLineFeed,
    #[error("there may be one Host only")]
    TwoHosts,
    #[error("the only transfer coding is chunked, once")]
    TransferCoding,
    #[error("only POST is accepted")]
    MethodNotAllowed,
    #[error("HTTP/1.1 asks for a Host header")]
    NoHost,
    #[error("nothing accepts events here")]
    NoRoute,
    #[error("a bearer token is needed")]
    NoToken,
    #[error("more than one Authorization header")]
    TwoTokens,
    #[error("{0}")]
    BadToken(TokenError),
    #[error("tokens cannot be checked, because OIDC is not loaded")]
    TokensNotChecked,
    #[error("no event policy of this target names the sender")]
    NotAllowed,
    #[error("no event policy of this target lets the sender send this event")]
    EventNotAllowed,
    #[error("the event is larger than {limit_bytes} bytes")]
    BodyTooLarge { limit_bytes: usize },
    #[error("the body did not arrive within {limit:?}")]
    BodyTooSlow { limit: Duration },
    #[error("the body arrived slower than {bytes_per_second} bytes a second")]
    BodyStalled { bytes_per_second: u32 },
    #[error("the body is no {encoding} data, as its Content-Encoding says")]
    NotInflatable { encoding: &'static str },
    #[error("the body ended early")]
    BodyBroken,
    #[error("not a CloudEvent: {0}")]
    NotAnEvent(EventError),
    #[error("a batch may have {limit} events")]
    BatchTooLong { limit: usize },
    #[error("{detail}")]
    Batch { status: StatusCode, detail: String, results: Vec<EventResult>, retry_after: Duration },
    #[error("too many events for topic {topic} wait for Kafka")]
    Overloaded { topic: String, retry_after: Duration },
    #[error("{}", with_causes(error))]
    Produce { error: ProduceError, retry_after: Duration },
}

/// What became of one event of a batch.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct EventResult {
    /// Its place in the batch, from zero.
    pub(crate) index: usize,
    /// What it would have been answered alone.
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// The document of RFC 9457. The type is always `about:blank`: status and detail say everything.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// Our extension member, for batches.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    results: &'a [EventResult],
}

impl Rejection {
    /// The status, and the one header that goes with it where there is one.
    fn meaning(&self) -> (StatusCode, Option<(HeaderName, HeaderValue)>) {
        match self {
            Self::LineTooLong { .. } => (StatusCode::URI_TOO_LONG, None),
            Self::HeadersTooLarge { .. } => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, None),
            Self::OtherVersion => (StatusCode::NOT_IMPLEMENTED, None),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, HeaderValue::from_static("POST")))),
            Self::NotHttp
            | Self::TwoFramings
            | Self::BareLineFeed
            | Self::TwoHosts
            | Self::TransferCoding
            | Self::NoHost
            | Self::NotAnEvent(_)
            | Self::NotInflatable { .. }
            | Self::BodyBroken => (StatusCode::BAD_REQUEST, None),
            Self::NoRoute => (StatusCode::NOT_FOUND, None),
            Self::NoToken => challenge("Bearer"),
            Self::TwoTokens => challenge("Bearer error=\"invalid_request\""),
            Self::BadToken(_) => challenge("Bearer error=\"invalid_token\""),
            Self::NotAllowed | Self::EventNotAllowed => (StatusCode::FORBIDDEN, None),
            Self::TokensNotChecked => (StatusCode::INTERNAL_SERVER_ERROR, None),
            Self::BodyTooLarge { .. } | Self::BatchTooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Batch { status: StatusCode::SERVICE_UNAVAILABLE, retry_after, .. } => later(*retry_after),
            Self::Batch { status, .. } => (*status, None),
            Self::BodyTooSlow { .. } | Self::BodyStalled { .. } => (StatusCode::REQUEST_TIMEOUT, None),
            Self::Overloaded { retry_after, .. } => later(*retry_after),
            Self::Produce { error, retry_after } => match error {
                ProduceError::Event(_) => (StatusCode::BAD_REQUEST, None),
                ProduceError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, None),
                ProduceError::QueueFull { .. }
                | ProduceError::NoBroker { .. }
                | ProduceError::TimedOut { .. }
                | ProduceError::UnknownTopic { .. }
                | ProduceError::NotAllowed { .. }
                | ProduceError::Closed { .. }
                | ProduceError::Client { .. } => later(*retry_after),
            },
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.meaning().0
    }

    /// True when nothing more can be read from the connection sensibly.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::LineTooLong { .. }
                | Self::HeadersTooLarge { .. }
                | Self::NotHttp
                | Self::OtherVersion
                | Self::TwoFramings
                | Self::BareLineFeed
                | Self::TwoHosts
                | Self::TransferCoding
                | Self::BodyTooSlow { .. }
                | Self::BodyStalled { .. }
                | Self::BodyBroken
        )
    }

    fn results(&self) -> &[EventResult] {
        if let Self::Batch { results, .. } = self { results } else { &[] }
    }

    /// The document that says why.
    fn problem(&self) -> Vec<u8> {
        let (status, _) = self.meaning();
        let detail = with_causes(self);
        let problem = Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: &detail,
            results: self.results(),
        };
        // Serialising text and numbers cannot fail; an empty body would still carry the status.
        serde_json::to_vec(&problem).unwrap_or_default()
    }

    /// The whole answer as bytes of HTTP/1.1, the last on its connection: for requests that never were one to hyper.
    pub(crate) fn message(&self) -> Vec<u8> {
        let (status, body) = (self.status(), self.problem());
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {PROBLEM}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    pub(crate) fn answer(&self) -> Answer {
        let (status, extra) = self.meaning();
        let mut answer = empty(status);
        *answer.body_mut() = Full::new(self.problem().into());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some((name, value)) = extra {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

/// Kafka cannot take the event now. The header counts whole seconds, at least one.
fn later(retry_after: Duration) -> (StatusCode, Option<(HeaderName, HeaderValue)>) {
    let seconds = retry_after.as_millis().div_ceil(1000).max(1);
    let seconds = HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX));
    (StatusCode::SERVICE_UNAVAILABLE, Some((RETRY_AFTER, seconds)))
}

/// Who the sender is must be shown first (RFC 6750).
fn challenge(challenge: &'static str) -> (StatusCode, Option<(HeaderName, HeaderValue)>) {
    (StatusCode::UNAUTHORIZED, Some((WWW_AUTHENTICATE, HeaderValue::from_static(challenge))))
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests;
