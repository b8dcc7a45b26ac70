//! The W3C trace context of a request, as record headers.
//!
//! Carried on only when `traceparent` is valid, also when it says "not sampled". Not to be confused with the event's own
//! extension of that name. Source: spec ingress 8.2, W3C Trace Context level 2, W3C Baggage.

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Names and values in the order they are written; empty when there is no valid `traceparent`.
pub(crate) type TraceHeaders<'a> = SmallVec<[(&'static str, Cow<'a, [u8]>); 3]>;

/// Picks the trace context out of a request's headers.
pub(crate) fn read(headers: &HeaderMap) -> TraceHeaders<'_> {
    let mut found = TraceHeaders::new();
    let Some(parent) = headers.get(TRACEPARENT).filter(|value| is_valid(value.as_bytes())) else { return found };
    found.push(("traceparent", Cow::Borrowed(parent.as_bytes())));
    for (name, header) in [("tracestate", TRACESTATE), ("baggage", BAGGAGE)] {
        let value = joined(headers, &header);
        if !value.is_empty() {
            found.push((name, value));
        }
    }
    found
}

/// Both headers are lists that may be spread over several header lines.
fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Cow<'a, [u8]> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
    let Some(first) = values.next() else { return Cow::Borrowed(&[]) };
    let mut joined = Cow::Borrowed(first);
    for value in values {
        let list = joined.to_mut();
        list.push(b',');
        list.extend_from_slice(value);
    }
    joined
}

/// `version-traceid-parentid-flags` in lower-case hex; ids that are not all zero; a later version may say more.
fn is_valid(value: &[u8]) -> bool {
    let mut parts = value.splitn(5, |byte| *byte == b'-');
    let mut hex = |digits: usize| parts.next().filter(|part| part.len() == digits && part.iter().all(is_lower_hex));
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (hex(2), hex(32), hex(16), hex(2)) else {
        return false;
    };
    let some = |id: &[u8]| id.iter().any(|byte| *byte != b'0');
    version != b"ff" && some(trace) && some(parent) && (version != b"00" || parts.next().is_none())
}

fn is_lower_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], expected: &[(&str, &str)]) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let found = read(&map);
        let found: Vec<_> =
            found.iter().map(|(name, value)| (*name, std::str::from_utf8(value).unwrap().to_owned())).collect();
        let found: Vec<_> = found.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_valid_parent_brings_state_and_baggage_along_sampled_or_not() {
        check(&[("traceparent", PARENT)], &[("traceparent", PARENT)]);
        check(
            &[("baggage", "k=v"), ("tracestate", "a=1"), ("traceparent", PARENT), ("tracestate", "b=2")],
            &[("traceparent", PARENT), ("tracestate", "a=1,b=2"), ("baggage", "k=v")],
        );
        check(&[("traceparent", PARENT), ("tracestate", "")], &[("traceparent", PARENT)]);
    }

    #[test]
    fn without_a_valid_parent_nothing_is_carried_on() {
        check(&[("tracestate", "a=1"), ("baggage", "k=v")], &[]);
        for parent in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-00",
        ] {
            check(&[("traceparent", parent), ("tracestate", "a=1")], &[]);
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more-still";
        check(&[("traceparent", later)], &[("traceparent", later)]);
    }
}
