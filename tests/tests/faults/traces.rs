//! One trace through both processes, as a collector sees it.

use std::collections::BTreeMap;

use millrace_runtime::telemetry::collector::{Collector, SeenSpan};
use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::contract::{Channel, Reply, Subscription};
use millrace_tests::event::TestEvent;
use millrace_tests::journeys::Whole;
use millrace_tests::plane::Plane;
use millrace_tests::raw_http::request;
use millrace_tests::subscriber::{Answer, Subscriber};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// The only span of this name below that one.
#[track_caller]
fn child<'s>(spans: &'s [SeenSpan], name: &str, parent: &str) -> &'s SeenSpan {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name && span.parent_id == parent).collect();
    assert_eq!(found.len(), 1, "one {name} below {parent} in {spans:#?}");
    found[0]
}

#[test]
fn a_request_its_record_its_delivery_and_its_reply_are_one_trace() {
    let (broker, collector) = (EmbeddedBroker::start(), Collector::start());
    let subscriber = Subscriber::scripted(|arrival| match (arrival.header("ce-type"), arrival.attempt) {
        (Some("reply"), _) => Answer::status(202),
        // An attempt that fails is a span of its own.
        (_, 1) => Answer::status(503),
        _ => {
            let id = format!("reply-to-{}", arrival.id);
            let attributes =
                [("ce-specversion", "1.0"), ("ce-source", "/s"), ("ce-type", "reply"), ("ce-id", id.as_str())];
            Answer::respond(200, &attributes, "")
        }
    });
    let endpoint = format!("{}/v1/traces", collector.url());
    let keys = [("tracing-protocol", "http/protobuf"), ("tracing-endpoint", endpoint.as_str())];
    let plane = Plane::new(&broker).observed(&keys);
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered().retrying(2, 20);
    let channel = Channel::new("traced", &broker.bootstrap()).subscribed(subscription.replying(Reply::ToTopic));
    let mut whole = Whole::of(plane, &broker, channel, 1);
    let (mut headers, body) = TestEvent::new("a").binary();
    headers.push(("traceparent".to_owned(), format!("00-{TRACE}-{CALLER}-01")));
    headers.push(("tracestate".to_owned(), "vendor=1".to_owned()));
    let bytes = request("POST", &whole.channel.host(), &whole.channel.path(), &headers, &body);
    assert_eq!(whole.ingress.client().exchange(&bytes).unwrap().status, 202);
    // One that is not traced beside it.
    whole.post(&TestEvent::new("b"));
    subscriber.wait_for_ids("/in", &["a", "b", "reply-to-a", "reply-to-b"].map(str::to_owned), PATIENCE);
    whole.dispatcher.stop(PATIENCE);
    whole.ingress.process.stop(PATIENCE);
    let spans = collector.spans(8);
    assert!(spans.iter().all(|span| span.trace_id == TRACE), "one trace: {spans:#?}");
    let server = child(&spans, "POST", CALLER);
    let stored = child(&spans, "kafka_send", &server.span_id);
    let received = child(&spans, "kafka_receive", &stored.span_id);
    let attempts: Vec<_> =
        spans.iter().filter(|span| span.name == "POST" && span.parent_id == received.span_id).collect();
    assert_eq!(attempts.len(), 2, "{spans:#?}");
    let replied = child(&spans, "kafka_send", &received.span_id);
    let received_again = child(&spans, "kafka_receive", &replied.span_id);
    let delivered_again = child(&spans, "POST", &received_again.span_id);
    assert_eq!(spans.len(), 8, "and nothing else: {spans:#?}");
    let kinds: Vec<_> = [server, stored, received, attempts[0], replied, received_again, delivered_again]
        .iter()
        .map(|span| span.kind.as_str())
        .collect();
    assert_eq!(kinds, ["Server", "Producer", "Consumer", "Client", "Producer", "Consumer", "Client"]);
    // What the subscriber was told is the attempt that it saw.
    let mut told = BTreeMap::new();
    for arrival in subscriber.arrivals_on("/in") {
        let parent = arrival.header("traceparent").map(str::to_owned);
        assert!(arrival.id.ends_with('b') || arrival.header("tracestate") == Some("vendor=1"), "{arrival:?}");
        told.insert((arrival.id, arrival.attempt), parent);
    }
    let parent = |span: &SeenSpan| Some(format!("00-{TRACE}-{}-01", span.span_id));
    let of_a: Vec<_> = [1, 2].map(|attempt| told[&("a".to_owned(), attempt)].clone()).into();
    let mut of_attempts: Vec<_> = attempts.iter().map(|span| parent(span)).collect();
    if of_a != of_attempts {
        of_attempts.reverse();
    }
    assert_eq!(of_a, of_attempts);
    assert_eq!(told[&("reply-to-a".to_owned(), 1)], parent(delivered_again));
    assert!(told.iter().all(|((id, _), parent)| !id.ends_with('b') || parent.is_none()), "{told:?}");
}
