//! The spans of a record whose trace is recorded: receiving it, each attempt, a stored reply.
//!
//! They exist only under a sampled `traceparent` of the record and while traces are exported; without them nothing here
//! costs more than a look at an `Option`. Names and attributes are the peer's. Source: dispatcher spec 8.2.

use http::Uri;
use millrace_event::Event;
use millrace_runtime::telemetry::{Kind, OpenSpan, TraceContext};

use crate::delivery::request::Trace;
use crate::outcome::{Answer, Failure};
use crate::pipeline::Pipeline;
use crate::record::Record;
use crate::slot::Slot;

const KAFKA: &str = "kafka";

/// Handling one record, from decoding to its end. A parked record that is taken up again goes on with the same span.
pub(crate) fn receive(pipeline: &Pipeline, record: &Record, trace: Trace<'_>) -> Option<OpenSpan> {
    let tracer = pipeline.metrics.tracer.as_ref()?;
    let parent = TraceContext::parse(trace.traceparent?)?;
    let work = (&pipeline.egress.uid, record.partition, record.offset);
    let mut span = tracer.take_up(&parent, "kafka_receive", Kind::Consumer, &work)?;
    let brokers = pipeline.brokers.as_str();
    span.set("peer.address", brokers);
    span.set("network.peer.address", brokers);
    if let Some((host, port)) = first_broker(brokers) {
        span.set("peer.hostname", host);
        span.set("peer.port", port);
        span.set("network.peer.port", port);
    }
    span.set("peer.service", KAFKA);
    span.set("message_bus.destination", record.topic.as_ref());
    span.set("messaging.destination.name", record.topic.as_ref());
    span.set("consumer.uuid", pipeline.egress.uid.as_str());
    span.set("consumer.name", pipeline.egress.reference.name.as_str());
    Some(span)
}

/// Says which event the record holds, and since when it is being sent if it was parked.
pub(crate) fn decoded(span: Option<&mut OpenSpan>, event: &Event<'_>, slot: &Slot) {
    let Some(span) = span else { return };
    span.set("messaging.message_id", event.id.as_ref());
    span.set("messaging.message_source", event.source.as_ref());
    span.set("messaging.message_type", event.ty.as_ref());
    if let Some(since) = slot.sent_since() {
        span.began(since.elapsed());
    }
}

/// The record is not finished: the span of one that is parked is left to whoever takes it up.
pub(crate) fn abandoned(span: Option<OpenSpan>, slot: &Slot) {
    if let Some(span) = span.filter(|_| slot.is_parked()) {
        span.discard();
    }
}

/// One attempt at a target.
pub(crate) fn attempt(trace: Trace<'_>, target: &Uri) -> Option<OpenSpan> {
    let mut span = trace.span?.child("POST", Kind::Client)?;
    let url = url(target);
    span.set("http.url", url.as_str());
    span.set("url.full", url);
    span.set("http.method", "POST");
    span.set("http.request.method", "POST");
    Some(span)
}

/// How the attempt ended.
pub(crate) fn attempted(span: Option<OpenSpan>, result: &Result<Answer, Failure>) {
    let Some(mut span) = span else { return };
    let status = match result {
        Ok(answer) => Some(answer.status),
        Err(failure) => {
            span.fail(failure.to_string());
            failure.status()
        }
    };
    if let Some(status) = status {
        span.set("http.status_code", status.as_str());
        span.set("http.response.status_code", status.as_str());
    }
}

/// A reply that is stored in a topic.
pub(crate) fn reply(trace: Trace<'_>, topic: &str) -> Option<OpenSpan> {
    let mut span = trace.span?.child("kafka_send", Kind::Producer)?;
    // The peer does not fill in the address; both names are there all the same.
    for (name, value) in [
        ("peer.address", ""),
        ("network.peer.address", ""),
        ("peer.service", KAFKA),
        ("message_bus.destination", topic),
        ("messaging.destination.name", topic),
    ] {
        span.set(name, value);
    }
    Some(span)
}

fn first_broker(brokers: &str) -> Option<(&str, &str)> {
    brokers.split(',').next()?.trim().rsplit_once(':')
}

/// Without a user's name and password, which are nobody's business.
fn url(target: &Uri) -> String {
    let authority = target.authority();
    let host = authority.map_or("", |authority| authority.host());
    let port = authority.and_then(|authority| authority.port()).map(|port| format!(":{port}")).unwrap_or_default();
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    format!("{}://{host}{port}{path}", target.scheme_str().unwrap_or("http"))
}

#[cfg(test)]
mod tests;
