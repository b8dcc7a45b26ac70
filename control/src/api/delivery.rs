//! `delivery` of a channel or subscription: retries, backoff, timeout, dead letter sink.
//!
//! Checks one block by itself. Whether a feature allows a field is decided where the features are known
//! (`reconcile`), and how two blocks combine in `contract::delivery`.
//! Source: control-plane spec 1.3, and section 10 for what is refused.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::meta::{Destination, FieldError, check_destination};

/// The shortest attempt timeout. Upstream counts in tenths of a second and refuses what that makes zero.
pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);

/// `delivery` as it stands in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeliverySpec {
    /// Where events go whose delivery failed for good.
    pub dead_letter_sink: Option<Destination>,
    /// Attempts after the first one.
    pub retry: Option<i64>,
    /// ISO-8601; limit for one attempt.
    pub timeout: Option<String>,
    /// `linear` or `exponential`.
    pub backoff_policy: Option<String>,
    /// ISO-8601; pause before the first retry.
    pub backoff_delay: Option<String>,
    /// ISO-8601; upper bound for a subscriber's Retry-After.
    pub retry_after_max: Option<String>,
    /// `json` or `binary`; accepted by upstream and sent nowhere.
    pub format: Option<String>,
}

/// How pauses between attempts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackoffPolicy {
    /// delay x attempt.
    Linear,
    /// delay x 2^attempt.
    Exponential,
}

/// A checked delivery block. Absent fields fall back to the channel's, then to defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Not resolved yet.
    pub dead_letter_sink: Option<Destination>,
    /// Attempts after the first one; 0 means none.
    pub retry: Option<u32>,
    /// Limit for one attempt.
    pub timeout: Option<Duration>,
    /// Absent: exponential.
    pub backoff_policy: Option<BackoffPolicy>,
    /// Pause before the first retry.
    pub backoff_delay: Option<Duration>,
    /// Upper bound for a subscriber's Retry-After. The contract has no field for it.
    pub retry_after_max: Option<Duration>,
}

/// Checks a delivery block; every problem is added to `errors` with a path below `path`.
pub(crate) fn check_delivery(spec: &DeliverySpec, path: &str, errors: &mut Vec<FieldError>) -> Delivery {
    if let Some(sink) = &spec.dead_letter_sink {
        check_destination(sink, &format!("{path}.deadLetterSink"), errors);
    }
    let retry = spec.retry.and_then(|retry| {
        let checked = i32::try_from(retry).ok().and_then(|retry| u32::try_from(retry).ok());
        if checked.is_none() {
            errors.push(FieldError::new(format!("{path}.retry"), format!("must be 0 or more, found {retry}")));
        }
        checked
    });
    let backoff_policy = spec.backoff_policy.as_deref().and_then(|policy| match policy {
        "linear" => Some(BackoffPolicy::Linear),
        "exponential" => Some(BackoffPolicy::Exponential),
        other => {
            let message = format!("must be linear or exponential, found {other:?}");
            errors.push(FieldError::new(format!("{path}.backoffPolicy"), message));
            None
        }
    });
    if let Some(format) = spec.format.as_deref()
        && format != "json"
        && format != "binary"
    {
        errors.push(FieldError::new(format!("{path}.format"), format!("must be json or binary, found {format:?}")));
    }
    let timeout = length(spec.timeout.as_deref(), &format!("{path}.timeout"), errors);
    if let Some(timeout) = timeout
        && timeout < SHORTEST_TIMEOUT
    {
        errors.push(FieldError::new(format!("{path}.timeout"), "must be at least PT0.1S"));
    }
    let retry_after_max = spec.retry_after_max.as_deref().and_then(|text| {
        let field = format!("{path}.retryAfterMax");
        if text.starts_with('-') {
            errors.push(FieldError::new(field, "must not be negative"));
            return None;
        }
        length(Some(text), &field, errors)
    });
    Delivery {
        dead_letter_sink: spec.dead_letter_sink.clone(),
        retry,
        timeout,
        backoff_policy,
        backoff_delay: length(spec.backoff_delay.as_deref(), &format!("{path}.backoffDelay"), errors),
        retry_after_max,
    }
}

/// A duration whose sign is ignored, as upstream takes the absolute value.
fn length(text: Option<&str>, field: &str, errors: &mut Vec<FieldError>) -> Option<Duration> {
    match duration::parse(text?) {
        Ok(signed) => Some(signed.length),
        Err(error) => {
            errors.push(FieldError::new(field, error.to_string()));
            None
        }
    }
}
