//! The results that a delivery attempt and a whole record can have, and how answers are classified.
//!
//! Pure. Every way an event can end is named here; `dispatch` maps each to what happens to the offset.
//! Source: dispatcher spec 4.1.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::pressure::limit::Signal;

/// Response headers with this prefix become extensions of the dead letter.
pub(crate) const EXTENSION_PREFIX: &str = "kne-";

/// How a record ended. Each of these lets the offset move on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The subscriber took it, and its reply, if any, is where it belongs.
    Delivered,
    /// The egress' filters do not pass it.
    Filtered,
    /// The subscriber did not take it, the dead letter sink did.
    DeadLettered,
    /// Neither subscriber nor dead letter sink took it; it is in the undelivered topic.
    Undelivered,
    /// It is not a CloudEvent, and this egress does not convert such records.
    Invalid,
    /// Nobody took it and nothing keeps it. Counted and logged as an error.
    Lost,
}

impl Outcome {
    /// The word used in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Filtered => "filtered",
            Self::DeadLettered => "dead_lettered",
            Self::Undelivered => "undelivered",
            Self::Invalid => "invalid",
            Self::Lost => "lost",
        }
    }
}

/// An answer with a status below 300, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a header costs in a map, besides its bytes.
const HEADER_BYTES: usize = 128;

impl Answer {
    /// What of it is an event, in no more memory than that needs.
    pub(crate) fn shrunk(&self) -> Self {
        let headers = copied(&self.headers, |name| name.starts_with("ce-") || name == "content-type");
        Self { status: self.status, headers, body: Bytes::copy_from_slice(&self.body) }
    }

    /// About what it occupies.
    pub(crate) fn size_bytes(&self) -> usize {
        self.body.len() + size_bytes(&self.headers)
    }
}

/// Of the headers of a failed answer those that are looked at: when to try again, and what a dead letter carries.
pub(crate) fn telling(headers: &HeaderMap) -> HeaderMap {
    copied(headers, |name| name.starts_with(EXTENSION_PREFIX) || name == http::header::RETRY_AFTER)
}

/// Copied, because the original values keep the whole buffer they were read into.
fn copied(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> HeaderMap {
    let mut copy = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _value)| wanted(name.as_str())) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            copy.append(name, value);
        }
    }
    copy
}

fn size_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES).sum()
}

/// Why an attempt or a whole delivery failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("answered {status}")]
    Status {
        status: StatusCode,
        /// Those that somebody reads, see [`telling`].
        headers: Box<HeaderMap>,
        /// The beginning of the body, as much as a dead letter carries.
        body: Bytes,
    },
    #[error("no complete answer within {0:?}")]
    TimedOut(Duration),
    #[error("cannot reach the target: {0}")]
    Connect(String),
    #[error("connection failed: {0}")]
    Transport(String),
    /// As many wait for a connection as `maxWaitQueueSize` allows.
    #[error("{waiting} deliveries already wait for a connection")]
    Crowded { waiting: usize },
    #[error("answer is longer than {limit_bytes} bytes")]
    AnswerTooLarge { limit_bytes: usize },
    #[error("the event cannot be sent: {0}")]
    Unsendable(String),
    #[error("answer is neither empty nor a CloudEvent: {0}")]
    MalformedReply(String),
    #[error("reply not stored in topic {topic}: {reason}")]
    ReplyNotStored { topic: String, reason: String },
    /// Nothing was sent.
    #[error("the target asks for tokens for audience {audience}, and the egress has no service account")]
    NoServiceAccount { audience: String },
    /// Nothing was sent.
    #[error("no token for the target: {0}")]
    Token(String),
}

impl Failure {
    /// Whether sending the same event again may succeed.
    pub(crate) fn retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => retryable_status(*status),
            Self::TimedOut(_) | Self::Connect(_) | Self::Transport(_) | Self::Crowded { .. } | Self::Token(_) => true,
            Self::AnswerTooLarge { .. }
            | Self::Unsendable(_)
            | Self::MalformedReply(_)
            | Self::ReplyNotStored { .. }
            | Self::NoServiceAccount { .. } => false,
        }
    }

    /// Whether anybody answered. Gateways say with 502, 503 and 504 that nobody did. `None`: nothing was sent.
    pub(crate) fn reached(&self) -> Option<bool> {
        match self {
            Self::Status { status, .. } => Some(!matches!(status.as_u16(), 502..=504)),
            Self::TimedOut(_) | Self::Connect(_) | Self::Transport(_) => Some(false),
            Self::AnswerTooLarge { .. } | Self::MalformedReply(_) => Some(true),
            Self::Crowded { .. }
            | Self::Unsendable(_)
            | Self::ReplyNotStored { .. }
            | Self::NoServiceAccount { .. }
            | Self::Token(_) => None,
        }
    }

    /// What it says about how much the target can take; `None` when nothing.
    pub(crate) fn signal(&self) -> Option<Signal> {
        match self {
            Self::Status { status, .. } if matches!(status.as_u16(), 429 | 503) => Some(Signal::Refused),
            Self::Status { .. } | Self::AnswerTooLarge { .. } | Self::MalformedReply(_) => Some(Signal::Answered),
            Self::TimedOut(_) => Some(Signal::TimedOut),
            Self::Connect(_)
            | Self::Transport(_)
            | Self::Crowded { .. }
            | Self::Unsendable(_)
            | Self::ReplyNotStored { .. }
            | Self::NoServiceAccount { .. }
            | Self::Token(_) => None,
        }
    }

    /// About what it occupies.
    pub(crate) fn size_bytes(&self) -> usize {
        let own = size_of::<Self>() + size_of::<HeaderMap>();
        match self {
            Self::Status { headers, body, .. } => own + body.len() + size_bytes(headers),
            Self::ReplyNotStored { topic, reason } => own + topic.len() + reason.len(),
            Self::Connect(text)
            | Self::Transport(text)
            | Self::Unsendable(text)
            | Self::MalformedReply(text)
            | Self::NoServiceAccount { audience: text }
            | Self::Token(text) => own + text.len(),
            Self::TimedOut(_) | Self::Crowded { .. } | Self::AnswerTooLarge { .. } => own,
        }
    }

    /// The status of the answer, if there was one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.answer().map(|(status, _headers)| status)
    }

    /// What the answer's `Retry-After` asks for, in seconds or as a date; a date that has passed asks for nothing.
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let (_status, headers) = self.answer()?;
        let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
        match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_no_number) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
        }
    }

    fn answer(&self) -> Option<(StatusCode, &HeaderMap)> {
        match self {
            Self::Status { status, headers, .. } => Some((*status, headers)),
            Self::TimedOut(_)
            | Self::Connect(_)
            | Self::Transport(_)
            | Self::Crowded { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Unsendable(_)
            | Self::MalformedReply(_)
            | Self::ReplyNotStored { .. }
            | Self::NoServiceAccount { .. }
            | Self::Token(_) => None,
        }
    }
}

/// 404, 408, 409, 429 and everything from 500 on may heal; redirects and other client errors do not.
fn retryable_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 404 | 408 | 409 | 429 | 500..)
}

#[cfg(test)]
mod tests {
    //! The classification table, over every status there is.

    use super::*;

    fn failure(status: u16, retry_after: Option<&str>) -> Failure {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(http::header::RETRY_AFTER, value.parse().unwrap());
        }
        Failure::Status {
            status: StatusCode::from_u16(status).unwrap(),
            headers: Box::new(headers),
            body: Bytes::new(),
        }
    }

    #[test]
    fn only_the_statuses_that_may_heal_are_retried() {
        for status in 300..=599_u16 {
            let expected = [404, 408, 409, 429].contains(&status) || status >= 500;
            assert_eq!(failure(status, None).retryable(), expected, "status {status}");
        }
    }

    #[test]
    fn network_trouble_is_retried_and_a_malformed_reply_is_not() {
        assert!(Failure::TimedOut(Duration::from_secs(1)).retryable());
        assert!(Failure::Connect("refused".into()).retryable());
        assert!(Failure::Transport("reset".into()).retryable());
        assert!(!Failure::MalformedReply("text".into()).retryable());
        assert!(!Failure::Unsendable("header".into()).retryable());
        assert!(Failure::Token("the API server is away".into()).retryable());
        assert!(!Failure::NoServiceAccount { audience: "sink".into() }.retryable());
    }

    #[test]
    fn what_a_failure_says_of_its_target() {
        let transport = Failure::Transport("reset".into());
        for (failure, reached, signal) in [
            (failure(429, None), Some(true), Some(Signal::Refused)),
            (failure(500, None), Some(true), Some(Signal::Answered)),
            (failure(502, None), Some(false), Some(Signal::Answered)),
            (failure(503, None), Some(false), Some(Signal::Refused)),
            (failure(404, None), Some(true), Some(Signal::Answered)),
            (Failure::TimedOut(Duration::ZERO), Some(false), Some(Signal::TimedOut)),
            (Failure::Connect("refused".into()), Some(false), None),
            (transport, Some(false), None),
            (Failure::Crowded { waiting: 1 }, None, None),
            (Failure::Unsendable("header".into()), None, None),
        ] {
            assert_eq!((failure.reached(), failure.signal()), (reached, signal), "{failure}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let asked = |value| failure(503, value).retry_after(now);
        assert_eq!(asked(Some("7")), Some(Duration::from_secs(7)));
        assert_eq!(asked(Some("Sun, 06 Nov 1994 08:49:40 GMT")), Some(Duration::from_secs(3)));
        for nothing in [Some("Sun, 06 Nov 1994 08:49:30 GMT"), Some("soon"), Some("-1"), None] {
            assert_eq!(asked(nothing), None, "{nothing:?}");
        }
    }
}
