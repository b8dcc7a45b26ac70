//! What happens with the answer of a subscriber that took an event: nothing, or it is an event of its own.
//!
//! Source: dispatcher spec 4.2 to 4.4. An answer that is neither empty nor an event fails the delivery, as the
//! Knative data plane specification asks for malformed replies.

pub(crate) mod producers;
pub(crate) mod topic;

use std::sync::Arc;

use bytes::Bytes;
use millrace_event::{Event, http_binding, kafka_binding};
use tracing::error;

use crate::delivery::request::Trace;
use crate::delivery::{Origin, Undelivered, deliver};
use crate::metrics::Role;
use crate::outcome::{Answer, Failure};
use crate::pipeline::{Pipeline, ReplyRoute};
use crate::record::Record;
use crate::slot::Slot;
use crate::slot::later::Later;
use crate::spans;

/// Sends the reply, if the answer is one and replies are wanted.
///
/// # Errors
///
/// When the answer is malformed, or the reply could not be delivered or stored. The subscriber is not called again.
pub(crate) async fn handle(
    pipeline: &Pipeline,
    answer: Answer,
    origin: Origin<'_>,
    slot: &mut Slot,
) -> Result<(), Undelivered> {
    if matches!(pipeline.reply, ReplyRoute::Discard) {
        return Ok(());
    }
    let Some(event) = event_of(&answer).map_err(|failure| not_handled(pipeline, origin, failure))? else {
        return Ok(());
    };
    match &pipeline.reply {
        ReplyRoute::Discard => Ok(()),
        ReplyRoute::ToUrl(_) => Box::pin(go_on(pipeline, Arc::new(answer), origin, slot)).await,
        ReplyRoute::ToTopic(topic) => {
            Box::pin(store(pipeline, topic, &event, origin))
                .await
                .map_err(|failure| not_handled(pipeline, origin, failure))?;
            pipeline.learn(&event);
            Ok(())
        }
    }
}

/// Sends a reply that was held back, to where replies go by now.
///
/// # Errors
///
/// As [`handle`].
pub(crate) async fn go_on(
    pipeline: &Pipeline,
    answer: Arc<Answer>,
    origin: Origin<'_>,
    slot: &mut Slot,
) -> Result<(), Undelivered> {
    let Some(event) = event_of(&answer).map_err(|failure| not_handled(pipeline, origin, failure))? else {
        return Ok(());
    };
    match &pipeline.reply {
        ReplyRoute::Discard => return Ok(()),
        ReplyRoute::ToUrl(route) => {
            let body = kafka_binding::payload(&event).map_or_else(Bytes::new, Bytes::copy_from_slice);
            slot.begin(Later::Reply(Arc::clone(&answer)));
            deliver(pipeline, Role::Reply, route, &event, &body, origin, slot).await?;
        }
        ReplyRoute::ToTopic(topic) => {
            let stored = store(pipeline, topic, &event, origin).await;
            stored.map_err(|failure| not_handled(pipeline, origin, failure))?;
        }
    }
    pipeline.learn(&event);
    Ok(())
}

/// The text is the peer's; a reply to a URL says so itself when its attempts are used up. Source: dispatcher spec 8.3.
fn not_handled(pipeline: &Pipeline, origin: Origin<'_>, failure: Failure) -> Undelivered {
    let Record { topic, partition, offset, .. } = origin.record;
    let subscription = &*pipeline.egress.reference.name;
    error!(subscription, topic = &**topic, partition, offset, error = %failure, "Failed to handle subscriber response");
    Undelivered::Failed(failure)
}

async fn store(pipeline: &Pipeline, topic: &str, event: &Event<'_>, origin: Origin<'_>) -> Result<(), Failure> {
    let not_stored = |reason: String| Failure::ReplyNotStored { topic: topic.to_owned(), reason };
    let _in_flight = pipeline.metrics.in_flight(Role::Reply);
    let mut span = spans::reply(origin.trace, topic);
    let parent = span.as_ref().map(|span| span.context().traceparent());
    let trace =
        Trace { traceparent: parent.as_ref().map(String::as_bytes).or(origin.trace.traceparent), ..origin.trace };
    let stored = pipeline.producer.store_event(topic, event, trace).await;
    stored.map_err(|error| {
        if let Some(span) = &mut span {
            span.fail(error.to_string());
        }
        not_stored(error.to_string())
    })
}

/// `None` when the answer is empty and no event.
fn event_of(answer: &Answer) -> Result<Option<Event<'_>>, Failure> {
    match http_binding::read(&answer.headers, &answer.body) {
        Ok(event) => Ok(Some(event)),
        Err(_no_event) if answer.body.is_empty() => Ok(None),
        Err(error) => Err(Failure::MalformedReply(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    //! Which answers are replies.

    use http::{HeaderMap, StatusCode};

    use super::*;

    fn answer(headers: &[(&'static str, &'static str)], body: &'static str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Answer { status: StatusCode::OK, headers: map, body: Bytes::from_static(body.as_bytes()) }
    }

    const EVENT: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-id", "9"), ("ce-source", "/r"), ("ce-type", "reply")];

    #[test]
    fn an_empty_answer_is_no_reply() {
        assert!(event_of(&answer(&[], "")).unwrap().is_none());
        assert!(event_of(&answer(&[("content-type", "text/plain")], "")).unwrap().is_none());
        assert!(event_of(&answer(&[("ce-specversion", "9.9")], "")).unwrap().is_none());
    }

    #[test]
    fn an_event_is_a_reply_with_or_without_data() {
        assert_eq!(event_of(&answer(&EVENT, "")).unwrap().unwrap().id, "9");
        assert_eq!(event_of(&answer(&EVENT, "data")).unwrap().unwrap().ty, "reply");
        let structured = r#"{"specversion":"1.0","id":"7","source":"/r","type":"t"}"#;
        let answer = answer(&[("content-type", "application/cloudevents+json")], structured);
        assert_eq!(event_of(&answer).unwrap().unwrap().id, "7");
    }

    #[test]
    fn any_other_body_is_a_malformed_reply() {
        for (headers, body) in [
            (&[][..], "ok"),
            (&[("content-type", "application/json")][..], "{}"),
            (&[("content-type", "application/cloudevents+json")][..], "{}"),
            (&[("content-type", "application/cloudevents-batch+json")][..], "[]"),
            (&[("ce-specversion", "1.0")][..], "no id"),
        ] {
            let answer = answer(headers, body);
            assert!(matches!(event_of(&answer), Err(Failure::MalformedReply(_))), "{headers:?} {body}");
        }
    }
}
