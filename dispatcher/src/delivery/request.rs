//! The request headers of a delivery: CloudEvents binary mode and what Knative adds.
//!
//! Pure. Source: dispatcher spec 3.1 and 8.2 (trace context).

use http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use millrace_event::{Event, http_binding};
use millrace_runtime::telemetry::{OpenSpan, TraceContext};

use super::Origin;
use super::retry::spread;
use crate::outcome::Failure;
use crate::route::Route;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const REPLY: HeaderValue = HeaderValue::from_static("reply");
const KN_NAMESPACE: HeaderName = HeaderName::from_static("kn-namespace");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Length of `version-traceid-parentid-flags` of version 00.
const TRACEPARENT_LENGTH: usize = 55;

/// The W3C trace context that the record carries; empty when it has none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trace<'a> {
    pub(crate) traceparent: Option<&'a [u8]>,
    pub(crate) tracestate: Option<&'a [u8]>,
    pub(crate) baggage: Option<&'a [u8]>,
    /// The span of handling the record, if its trace is recorded.
    pub(crate) span: Option<&'a OpenSpan>,
    /// The span of this attempt, if there is one.
    pub(crate) attempt: Option<TraceContext>,
}

impl<'a> Trace<'a> {
    /// Takes the context out of a record's headers; the last of equal names counts.
    pub(crate) fn of(headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Self {
        let mut trace = Self::default();
        for (name, value) in headers {
            match name {
                "traceparent" => trace.traceparent = value,
                "tracestate" => trace.tracestate = value,
                "baggage" => trace.baggage = value,
                _ => {}
            }
        }
        trace
    }
}

/// All headers of one attempt, but for those that the HTTP client adds (`Host`, `Content-Length`).
///
/// # Errors
///
/// [`Failure::Unsendable`] when an attribute cannot be a header.
pub(crate) fn headers(
    route: &Route,
    event: &Event<'_>,
    origin: &Origin<'_>,
    attempt: u32,
) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::with_capacity(16);
    http_binding::write_shared(event, &mut headers, &|text| origin.record.share(text))
        .map_err(|error| Failure::Unsendable(error.to_string()))?;
    headers.insert(PREFER, REPLY);
    let Some(namespace) = &route.namespace else {
        return Err(Failure::Unsendable("namespace is not a header value".to_owned()));
    };
    headers.insert(KN_NAMESPACE, namespace.clone());
    if let Some(user_agent) = &route.user_agent {
        headers.insert(USER_AGENT, user_agent.clone());
    }
    add_trace(&mut headers, origin, attempt);
    Ok(headers)
}

/// Continues the record's trace with a parent id of this attempt. Without a valid `traceparent` nothing is sent.
fn add_trace(headers: &mut HeaderMap, origin: &Origin<'_>, attempt: u32) {
    let own = origin.trace.attempt.and_then(|span| HeaderValue::try_from(span.traceparent()).ok());
    let next = || origin.trace.traceparent.and_then(|parent| next_parent(parent, origin, attempt));
    let Some(traceparent) = own.or_else(next) else { return };
    headers.insert(TRACEPARENT, traceparent);
    let others = [(TRACESTATE, origin.trace.tracestate), (BAGGAGE, origin.trace.baggage)];
    for (name, value) in others {
        if let Some(value) = value.filter(|value| !value.is_empty())
            && let Ok(value) = HeaderValue::from_bytes(value)
        {
            headers.insert(name, value);
        }
    }
}

fn next_parent(traceparent: &[u8], origin: &Origin<'_>, attempt: u32) -> Option<HeaderValue> {
    let text = std::str::from_utf8(traceparent).ok().filter(|text| text.len() == TRACEPARENT_LENGTH)?;
    let mut parts = text.split('-');
    let (version, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let legal = hex(version, 2) && version != "ff" && hex(trace_id, 32) && hex(parent_id, 16) && hex(flags, 2);
    if !legal || trace_id.bytes().all(|b| b == b'0') || parent_id.bytes().all(|b| b == b'0') {
        return None;
    }
    let high = spread(origin.record.partition, origin.record.offset, attempt).to_bits();
    let parent = u64::from_str_radix(parent_id, 16).ok()?;
    let span = parent.rotate_left(17) ^ high.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // All zeroes is not a legal id.
    let span = if span == 0 { 1 } else { span };
    HeaderValue::from_str(&format!("00-{trace_id}-{span:016x}-{flags}")).ok()
}

#[cfg(test)]
mod tests {
    //! Which trace contexts are continued.

    use super::*;
    use crate::record::Record;

    fn continued(traceparent: &str) -> Option<String> {
        let record = Record::builder("orders".into(), 0, 7, 0).build();
        let origin = Origin { record: &record, trace: Trace::default() };
        next_parent(traceparent.as_bytes(), &origin, 1).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_trace_goes_on_with_a_new_parent_id() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let next = continued(parent).unwrap();
        assert!(next.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{next}");
        assert!(next.ends_with("-01"), "{next}");
        assert_eq!(next.len(), parent.len());
        assert_ne!(next, parent);
    }

    #[test]
    fn what_is_no_trace_context_is_not_sent_on() {
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            assert_eq!(continued(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_last_trace_header_of_a_record_counts() {
        let headers = [("traceparent", Some(&b"a"[..])), ("other", None), ("traceparent", Some(&b"b"[..]))];
        assert_eq!(Trace::of(headers.into_iter()).traceparent, Some(&b"b"[..]));
    }
}
