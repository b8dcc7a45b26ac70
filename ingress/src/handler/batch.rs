//! Many events in one request: all are stored, or the sender learns what became of each.
//!
//! Every element is read, and has its place, before the first record is made: a batch with anything wrong in it stores
//! nothing. After that, records stand for themselves. The answer is 202 when Kafka has all of them. Otherwise it is 503
//! if sending the batch again may help, which sends what was stored a second time, and the first refusal's status if not.
//! Source: design row 21; CloudEvents HTTP binding 1.0.2, section 3.3.

use futures_util::future::join_all;
use http::StatusCode;
use http::request::Parts;
use millrace_event::{Event, EventError, json};

use super::body::Received;
use super::{Asked, Ingress, say_produced, say_received};
use crate::auth::Permit;
use crate::error::{EventResult, Rejection};
use crate::metrics::UNKNOWN_TYPE;
use crate::producer::ProduceError;
use crate::routes::Target;

/// From a body to stored records. Each event is measured as if it had come alone.
pub(super) async fn accept(
    ingress: &Ingress,
    target: &Target,
    Asked { head, trace, started }: Asked<'_, '_>,
    (received, permit): (Received, Option<Permit<'_>>),
    limit: usize,
) -> Result<(), Rejection> {
    let unknown = |rejection: Rejection| {
        target.measure(UNKNOWN_TYPE, rejection.status(), started.elapsed());
        rejection
    };
    let events = events(&received.bytes, limit).map_err(unknown)?;
    if let Some(permit) = permit {
        permitted(&permit, &events)?;
    }
    let mut admissions = Vec::with_capacity(events.len());
    admissions.push(received.admission);
    for _ in events.iter().skip(1) {
        // The bytes of the whole body are admitted with the first one.
        admissions.push(target.admit(0).map_err(unknown)?);
    }
    trace.batch(&events);
    // In their order, so that events with one key stay in it. Each record has a span of its own under the request's.
    let begun: Vec<_> = events
        .iter()
        .zip(admissions)
        .map(|(event, admission)| {
            say_received(head, event);
            let mut sending = trace.send(target.topic());
            sending.event(event);
            (target.begin(event, sending.headers(), admission), sending)
        })
        .collect();
    let finishing = begun.into_iter().map(async |(begun, mut sending)| {
        let stored = async { target.finish(begun?).await }.await;
        stored.inspect_err(|error| sending.fail(error))
    });
    let stored = join_all(finishing).await;
    let mut outcomes = Vec::with_capacity(events.len());
    for (event, stored) in events.iter().zip(stored) {
        let outcome = stored.map_err(|error| refusal(ingress, target, head, error));
        let status = outcome.as_ref().map_or_else(Rejection::status, |_| StatusCode::ACCEPTED);
        target.measure(&event.ty, status, started.elapsed());
        if let Ok(delivered) = &outcome {
            target.learn(event);
            say_produced(target, head, event, *delivered, started);
        }
        outcomes.push(outcome.map(drop));
    }
    verdict(target, outcomes)
}

fn refusal(ingress: &Ingress, target: &Target, head: &Parts, error: ProduceError) -> Rejection {
    ingress.lines.not_produced(target, head, &error);
    Rejection::Produce { error, retry_after: target.retry_after }
}

/// Every event, if all of them are events.
fn events(body: &[u8], limit: usize) -> Result<Vec<Event<'_>>, Rejection> {
    let elements = json::read_batch(body).map_err(|error| {
        if let EventError::TooManyEvents { limit } = error {
            Rejection::BatchTooLong { limit }
        } else {
            Rejection::NotAnEvent(error)
        }
    })?;
    if elements.len() > limit {
        return Err(Rejection::BatchTooLong { limit });
    }
    let count = elements.len();
    let (mut events, mut results) = (Vec::with_capacity(count), Vec::new());
    for (index, element) in elements.into_iter().enumerate() {
        match element {
            Ok(event) => events.push(event),
            Err(error) => {
                let status = StatusCode::BAD_REQUEST.as_u16();
                results.push(EventResult { index, status, detail: error.to_string() });
            }
        }
    }
    if results.is_empty() {
        return Ok(events);
    }
    let detail = format!("{} of {count} events are not CloudEvents; none was stored", results.len());
    Err(Rejection::Batch { status: StatusCode::BAD_REQUEST, detail, results, retry_after: std::time::Duration::ZERO })
}

/// A batch with one event that may not be sent stores nothing.
fn permitted(permit: &Permit<'_>, events: &[Event<'_>]) -> Result<(), Rejection> {
    let refused = events.iter().enumerate().filter_map(|(index, event)| {
        let rejection = permit.check(event).err()?;
        Some(EventResult { index, status: rejection.status().as_u16(), detail: rejection.to_string() })
    });
    let results: Vec<_> = refused.collect();
    if results.is_empty() {
        return Ok(());
    }
    let detail = format!("{} of {} events may not be sent; none was stored", results.len(), events.len());
    Err(Rejection::Batch { status: StatusCode::FORBIDDEN, detail, results, retry_after: std::time::Duration::ZERO })
}

/// One answer for what became of all events.
fn verdict(target: &Target, outcomes: Vec<Result<(), Rejection>>) -> Result<(), Rejection> {
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err().map(Rejection::status));
    let Some(first) = refused.clone().next() else { return Ok(()) };
    let again = refused.clone().any(|status| status == StatusCode::SERVICE_UNAVAILABLE);
    let status = if again { StatusCode::SERVICE_UNAVAILABLE } else { first };
    let detail = format!("{} of {} events were not stored", refused.count(), outcomes.len());
    let results = outcomes.into_iter().enumerate().map(|(index, outcome)| match outcome {
        Ok(()) => EventResult { index, status: StatusCode::ACCEPTED.as_u16(), detail: String::new() },
        Err(rejection) => EventResult { index, status: rejection.status().as_u16(), detail: rejection.to_string() },
    });
    Err(Rejection::Batch { status, detail, results: results.collect(), retry_after: target.retry_after })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u32) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"}}"#)
    }

    #[test]
    fn a_batch_is_events_only_if_every_element_is_one() {
        let body = format!("[{},{}]", event(1), event(2));
        let ids: Vec<_> = events(body.as_bytes(), 2).unwrap().iter().map(|event| event.id.to_string()).collect();
        assert_eq!(ids, ["1", "2"]);
        assert!(matches!(events(body.as_bytes(), 1), Err(Rejection::BatchTooLong { limit: 1 })));
        assert!(matches!(events(b"{}", 1), Err(Rejection::NotAnEvent(_))));
        let mixed = format!("[{},7,{},{{}}]", event(1), event(2));
        let Err(Rejection::Batch { status, detail, results, .. }) = events(mixed.as_bytes(), 9) else {
            panic!("a batch with bad elements")
        };
        assert_eq!((status.as_u16(), detail.as_str()), (400, "2 of 4 events are not CloudEvents; none was stored"));
        assert_eq!(
            results.iter().map(|result| (result.index, result.status)).collect::<Vec<_>>(),
            [(1, 400), (3, 400)]
        );
    }
}
