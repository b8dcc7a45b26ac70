//! The W3C trace context of a request, as record headers, and the spans of a request whose trace is recorded.
//!
//! Carried on only when `traceparent` is valid, also when it says "not sampled". Not to be confused with the event's own
//! extension of that name. Spans exist only under a sampled `traceparent` and while traces are exported; without them
//! nothing is allocated and the context is passed on as it came. Source: spec ingress 8.2, W3C Trace Context level 2, W3C
//! Baggage.

use std::borrow::Cow;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Scheme;
use http::{StatusCode, Uri};
use millrace_event::Event;
use millrace_runtime::telemetry::{Kind, OpenSpan, TraceContext, Tracer};
use smallvec::SmallVec;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Name and value of a record header.
pub(crate) type TraceHeader<'a> = (&'static str, Cow<'a, [u8]>);

/// Headers in the order they are written; none when there is no valid `traceparent`.
type TraceHeaders<'a> = SmallVec<[TraceHeader<'a>; 3]>;

/// The trace of one request, from its head to its answer.
#[derive(Debug)]
pub(crate) struct RequestTrace<'a> {
    headers: TraceHeaders<'a>,
    span: Option<OpenSpan>,
}

/// One record on its way to Kafka, as part of a request's trace. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Sending<'a> {
    headers: Cow<'a, [TraceHeader<'a>]>,
    span: Option<OpenSpan>,
}

impl<'a> RequestTrace<'a> {
    /// Takes the context out of a request's head and begins its span.
    pub(crate) fn begin(tracer: Option<&Tracer>, head: &'a Parts) -> Self {
        let headers = read(&head.headers);
        let parent = tracer.zip(headers.first()).and_then(|(tracer, (_, parent))| {
            let span = tracer.begin(&TraceContext::parse(parent)?, head.method.as_str().to_owned(), Kind::Server)?;
            Some(describe(span, head))
        });
        Self { headers, span: parent }
    }

    /// Says which event the request brought.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        if let Some(span) = &mut self.span {
            name(span, event);
        }
    }

    /// Says which event the request brought if it is one, otherwise how many: they are named by the spans of their records.
    pub(crate) fn batch(&mut self, events: &[Event<'_>]) {
        match (events, &mut self.span) {
            ([event], Some(span)) => name(span, event),
            (events, Some(span)) => span.set("messaging.batch.message_count", events.len().to_string()),
            (_, None) => {}
        }
    }

    /// A record begins its way to a topic.
    pub(crate) fn send(&self, topic: &str) -> Sending<'_> {
        let headers = Cow::Borrowed(self.headers.as_slice());
        let Some(mut span) = self.span.as_ref().and_then(|span| span.child("kafka_send", Kind::Producer)) else {
            return Sending { headers, span: None };
        };
        // The peer does not fill in the address; both names are there all the same.
        for (name, value) in [
            ("peer.address", ""),
            ("network.peer.address", ""),
            ("peer.service", "kafka"),
            ("message_bus.destination", topic),
            ("messaging.destination.name", topic),
        ] {
            span.set(name, value);
        }
        let mut headers = headers.into_owned();
        if let Some((_, parent)) = headers.first_mut() {
            *parent = Cow::Owned(span.context().traceparent().into_bytes());
        }
        Sending { headers: Cow::Owned(headers), span: Some(span) }
    }

    /// The request is answered.
    pub(crate) fn answered(mut self, status: StatusCode) {
        let Some(span) = &mut self.span else { return };
        span.set("http.status_code", status.as_str());
        span.set("http.response.status_code", status.as_str());
        if status.is_server_error() {
            span.fail(status.canonical_reason().unwrap_or_default());
        }
    }
}

impl Sending<'_> {
    /// What the record carries.
    pub(crate) fn headers(&self) -> &[TraceHeader<'_>] {
        &self.headers
    }

    /// Says which event of a batch it is.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        if let Some(span) = &mut self.span {
            name(span, event);
        }
    }

    /// Kafka has not taken the record.
    pub(crate) fn fail(&mut self, error: &dyn std::error::Error) {
        if let Some(span) = &mut self.span {
            span.fail(error.to_string());
        }
    }
}

fn name(span: &mut OpenSpan, event: &Event<'_>) {
    span.set("messaging.message_id", event.id.as_ref());
    span.set("messaging.message_source", event.source.as_ref());
    span.set("messaging.message_type", event.ty.as_ref());
}

fn describe(mut span: OpenSpan, head: &Parts) -> OpenSpan {
    let scheme = head.extensions.get::<Scheme>().map_or("http", Scheme::as_str);
    let host = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = host.or_else(|| head.headers.get(HOST).map(HeaderValue::as_bytes)).unwrap_or_default();
    let host = String::from_utf8_lossy(host);
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    span.set("http.url", format!("{scheme}://{host}{target}"));
    span.set("http.method", head.method.as_str());
    span.set("http.request.method", head.method.as_str());
    span.set("http.scheme", scheme);
    span.set("url.path", head.uri.path());
    if let Some(query) = Uri::query(&head.uri) {
        span.set("url.query", query);
    }
    span
}

/// Picks the trace context out of a request's headers.
fn read(headers: &HeaderMap) -> TraceHeaders<'_> {
    let mut found = TraceHeaders::new();
    let parent = headers.get(TRACEPARENT).filter(|value| TraceContext::parse(value.as_bytes()).is_some());
    let Some(parent) = parent else { return found };
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
