//! The whole story of one record: decode, complete, filter, deliver, reply, dead letter, keep.
//!
//! Every branch ends in a named outcome or in `Abandoned`; only the former lets the offset move on. It neither
//! commits nor knows about partitions.
//! Source: dispatcher spec 3.2, 4, 6.4, 7; design row 1.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use millrace_event::{Event, EventError, kafka_binding, source_record};
use millrace_runtime::telemetry::OpenSpan;
use smallvec::SmallVec;
use tracing::{debug, error};

use crate::dead_letter;
use crate::delivery::request::Trace;
use crate::delivery::{Origin, Undelivered, deliver};
use crate::metrics::Role;
use crate::outcome::{Failure, Outcome};
use crate::pipeline::{Pipeline, SourceRules};
use crate::record::Record;
use crate::reply;
use crate::slot::later::Later;
use crate::slot::{Slot, Stopping};
use crate::spans;
use crate::undelivered;

/// Names and values; more of them than nearly all events have take an allocation.
type Headers<'a> = SmallVec<[(&'a str, Option<&'a [u8]>); 16]>;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dispatched {
    /// Nothing more is due: the offset may be committed.
    Finished(Outcome),
    /// Stopped on the way: the offset stays, the record is read again later, or goes on when its pause is over.
    Abandoned,
}

/// Takes one record to its end.
///
/// Dropping the future abandons the record; a request that is being sent is cut.
pub(crate) async fn dispatch(pipeline: &Pipeline, record: &Record, slot: &mut Slot) -> Dispatched {
    let started = Instant::now();
    let (trace, decoded) = decode(pipeline, record);
    let mut receiving = spans::receive(pipeline, record, trace);
    let event = match decoded {
        Ok(event) => event,
        Err(reason) => return invalid(pipeline, record, &reason),
    };
    spans::decoded(receiving.as_mut(), &event, slot);
    let trace = Trace { span: receiving.as_ref(), ..trace };
    let origin = Origin { record, trace };
    if let Some(later) = slot.later() {
        let resumed = Box::pin(resume(pipeline, record, &event, origin, later, slot)).await;
        return ended(pipeline, record, &event, resumed, receiving, slot);
    }
    let matches = match pipeline.reply_keys.passes(&pipeline.filter, &event, slot.stopping()).await {
        Ok(matches) => matches,
        Err(Stopping) => return Dispatched::Abandoned,
    };
    let decoded = Instant::now();
    if slot.attempts_before() == 0 {
        pipeline.metrics.processed(&event.ty, decoded.duration_since(started));
    }
    if !matches {
        return finished(pipeline, record, &event, Outcome::Filtered);
    }
    let body = kafka_binding::payload(&event).map_or_else(Bytes::new, |data| record.share(data));
    let sent = slot.first_sent(decoded);
    let failure = match send(pipeline, &event, &body, origin, slot).await {
        Ok(status) => {
            pipeline.metrics.dispatched(&event.ty, Some(status), sent.elapsed());
            return finished(pipeline, record, &event, Outcome::Delivered);
        }
        Err(Undelivered::Abandoned) => {
            spans::abandoned(receiving, slot);
            return Dispatched::Abandoned;
        }
        Err(Undelivered::Failed(failure)) => Arc::new(failure),
    };
    pipeline.metrics.dispatched(&event.ty, failure.status(), sent.elapsed());
    // Boxed, as is everything that few records need: what all of them carry along is small.
    let kept = Box::pin(keep(pipeline, record, &event, &body, origin, failure, slot)).await;
    ended(pipeline, record, &event, kept, receiving, slot)
}

/// To the subscriber, and its answer to where replies go.
async fn send(
    pipeline: &Pipeline,
    event: &Event<'_>,
    body: &Bytes,
    origin: Origin<'_>,
    slot: &mut Slot,
) -> Result<http::StatusCode, Undelivered> {
    let answer = deliver(pipeline, Role::Subscriber, &pipeline.subscriber, event, body, origin, slot).await?;
    let status = answer.status;
    reply::handle(pipeline, answer, origin, slot).await?;
    Ok(status)
}

/// Goes on with a record that was parked after its subscriber's turn. What was decided about it before stays: filters are
/// not asked again.
async fn resume(
    pipeline: &Pipeline,
    record: &Record,
    event: &Event<'_>,
    origin: Origin<'_>,
    later: Later,
    slot: &mut Slot,
) -> Result<Outcome, Undelivered> {
    let failure = match later {
        Later::Reply(answer) => {
            let (sent, status) = (slot.first_sent(Instant::now()), answer.status);
            match reply::go_on(pipeline, answer, origin, slot).await {
                Ok(()) => {
                    pipeline.metrics.dispatched(&event.ty, Some(status), sent.elapsed());
                    return Ok(Outcome::Delivered);
                }
                Err(Undelivered::Abandoned) => return Err(Undelivered::Abandoned),
                Err(Undelivered::Failed(failure)) => {
                    pipeline.metrics.dispatched(&event.ty, failure.status(), sent.elapsed());
                    Arc::new(failure)
                }
            }
        }
        Later::DeadLetter(failure) => failure,
        Later::Keep(failure) => return undelivered::keep(pipeline, record, &failure, slot).await,
    };
    let body = kafka_binding::payload(event).map_or_else(Bytes::new, |data| record.share(data));
    keep(pipeline, record, event, &body, origin, failure, slot).await
}

/// What the subscriber did not take goes to the dead letter sink, and what that does not take is kept in Kafka.
async fn keep(
    pipeline: &Pipeline,
    record: &Record,
    event: &Event<'_>,
    body: &Bytes,
    origin: Origin<'_>,
    failure: Arc<Failure>,
    slot: &mut Slot,
) -> Result<Outcome, Undelivered> {
    let mut failure = failure;
    if let Some(route) = &pipeline.dead_letter {
        slot.begin(Later::DeadLetter(Arc::clone(&failure)));
        match dead_letter::send(pipeline, route, event, body, origin, &failure, slot).await {
            Ok(()) => return Ok(Outcome::DeadLettered),
            Err(Undelivered::Abandoned) => return Err(Undelivered::Abandoned),
            Err(Undelivered::Failed(last)) => failure = Arc::new(last),
        }
    } else {
        // The peer's line, which operators look for.
        let (topic, partition, offset) = (&*record.topic, record.partition, record.offset);
        error!(egress = %pipeline.egress.uid, topic, partition, offset, "No dead letter sink set");
    }
    slot.begin(Later::Keep(Arc::clone(&failure)));
    undelivered::keep(pipeline, record, &failure, slot).await
}

/// The record's trace context, and the record as an event. Its headers are taken apart once for everybody.
fn decode<'a>(pipeline: &'a Pipeline, record: &'a Record) -> (Trace<'a>, Result<Event<'a>, EventError>) {
    let headers: Headers<'a> = record.headers().collect();
    (Trace::of(headers.iter().copied()), event(pipeline, record, &headers))
}

/// The record as an event, with where it was read and what the contract sets; the contract wins.
fn event<'a>(pipeline: &'a Pipeline, record: &'a Record, headers: &Headers<'a>) -> Result<Event<'a>, EventError> {
    let read = kafka_binding::read(headers.iter().copied(), record.value());
    let mut event = match (read, &pipeline.source_rules) {
        (Ok(event), _) => event,
        (Err(error), None) => return Err(error),
        (Err(_no_event), Some(rules)) => convert(rules, record)?,
    };
    event.extensions.set("knativekafkapartition", record.partition)?;
    event.extensions.set("knativekafkaoffset", record.offset)?;
    for (name, value) in &pipeline.overrides {
        event.extensions.set(name.as_str(), value.as_str())?;
    }
    Ok(event)
}

fn convert<'a>(rules: &SourceRules, record: &'a Record) -> Result<Event<'a>, EventError> {
    let plain = source_record::Record {
        topic: &record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp_millis: record.timestamp_ms,
        key: record.key(),
        payload: record.value(),
    };
    source_record::convert(&plain, record.headers(), rules.key_type, &rules.origin)
}

fn ended(
    pipeline: &Pipeline,
    record: &Record,
    event: &Event<'_>,
    result: Result<Outcome, Undelivered>,
    receiving: Option<OpenSpan>,
    slot: &Slot,
) -> Dispatched {
    match result {
        Ok(outcome) => finished(pipeline, record, event, outcome),
        Err(Undelivered::Abandoned) => {
            spans::abandoned(receiving, slot);
            Dispatched::Abandoned
        }
        Err(Undelivered::Failed(last)) => lost(pipeline, record, event, &last),
    }
}

fn finished(pipeline: &Pipeline, record: &Record, event: &Event<'_>, outcome: Outcome) -> Dispatched {
    pipeline.metrics.finished(outcome, record);
    debug!(
        event_id = %event.id,
        egress = %pipeline.egress.uid,
        subscription = %pipeline.egress.reference.name,
        topic = %record.topic,
        partition = record.partition,
        offset = record.offset,
        outcome = outcome.as_str(),
        "Event finished"
    );
    Dispatched::Finished(outcome)
}

fn invalid(pipeline: &Pipeline, record: &Record, reason: &EventError) -> Dispatched {
    pipeline.metrics.invalid();
    pipeline.metrics.finished(Outcome::Invalid, record);
    error!(
        egress = %pipeline.egress.uid,
        subscription = %pipeline.egress.reference.name,
        topic = %record.topic,
        partition = record.partition,
        offset = record.offset,
        %reason,
        "Invalid record received"
    );
    Dispatched::Finished(Outcome::Invalid)
}

fn lost(pipeline: &Pipeline, record: &Record, event: &Event<'_>, failure: &Failure) -> Dispatched {
    error!(
        event_id = %event.id,
        egress = %pipeline.egress.uid,
        subscription = %pipeline.egress.reference.name,
        topic = %record.topic,
        partition = record.partition,
        offset = record.offset,
        error = %failure,
        "Event lost"
    );
    finished(pipeline, record, event, Outcome::Lost)
}
