//! What a collector sees of a record.

use std::time::Duration;

use millrace_config::env::{DispatcherEnv, ServiceEnv};
use millrace_config::observability::Observability;
use millrace_runtime::metrics::Metrics;
use millrace_runtime::telemetry::Telemetry;
use millrace_runtime::telemetry::collector::{Collector, SeenSpan};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::dispatch::{Dispatched, dispatch};
use crate::partition::Shared;
use crate::slot::Attempts;
use crate::testing::{Script, Subscriber, shared_with};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const LIMIT: Duration = Duration::from_secs(30);

fn telemetry(collector: &Collector) -> Telemetry {
    let values = [("tracing-protocol", "http/protobuf".to_owned()), ("tracing-endpoint", collector.url())];
    let values = values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let service = ServiceEnv { name: "kafka-channel-dispatcher".to_owned(), namespace: "shop".to_owned() };
    let env = std::collections::BTreeMap::<String, String>::new();
    let otel = DispatcherEnv::read_anyway(&env).0.otel;
    Telemetry::start(&Observability::from_values(&values).unwrap(), &service, &otel, &Metrics::new()).unwrap()
}

fn traced(offset: i64, flags: &str) -> Record {
    let mut builder = Record::builder("orders".into(), 0, offset, 256);
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    for (name, value) in [
        ("ce_specversion", "1.0"),
        ("ce_id", "7"),
        ("ce_source", "/shop"),
        ("ce_type", "order"),
        ("traceparent", &parent),
        ("tracestate", "vendor=1"),
        ("baggage", "user=7"),
    ] {
        builder.header(name, Some(value.as_bytes()));
    }
    builder.build()
}

async fn run(shared: &Shared, record: &Record, attempts: Attempts) -> (Dispatched, Option<Attempts>) {
    let slot = shared.slots.clone().take(1024, CancellationToken::new()).await.unwrap();
    let member = shared.slots.join();
    let mut slot = slot.resume(attempts, None, &member.share, 1024);
    let pipeline = shared.pipeline.load();
    let ended = tokio::time::timeout(LIMIT, dispatch(&pipeline, record, &mut slot)).await.unwrap();
    (ended, slot.take_parked().map(|parked| parked.attempts))
}

async fn spans(telemetry: Telemetry, collector: Collector, count: usize) -> Vec<SeenSpan> {
    telemetry.finish(LIMIT).await;
    let spans = tokio::task::spawn_blocking(move || collector.spans(count)).await.unwrap();
    assert_eq!(spans.len(), count, "{spans:#?}");
    spans
}

#[track_caller]
fn check_attributes(span: &SeenSpan, expected: &[(&str, &str)]) {
    let found: Vec<_> = span.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected, "{span:?}");
}

fn named<'a>(spans: &'a [SeenSpan], name: &str) -> Vec<&'a SeenSpan> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[tokio::test]
async fn a_record_is_a_receive_span_with_a_client_span_for_each_attempt() {
    let (collector, subscriber) = (Collector::start(), Subscriber::start().await);
    let telemetry = telemetry(&collector);
    subscriber.answer("/subscriber", &[Script::status(503), Script::status(202)]);
    // Too short a pause to be parked.
    let delivery = r#","egressConfig":{"retry":2,"backoffPolicy":"Linear","backoffDelay":"1"}"#;
    let shared = shared_with(telemetry.tracer(), &subscriber, delivery);
    let (ended, _) = run(&shared, &traced(3, "01"), Attempts::default()).await;
    assert!(matches!(ended, Dispatched::Finished(_)), "{ended:?}");
    let spans = spans(telemetry, collector, 3).await;
    let [receive] = named(&spans, "kafka_receive")[..] else { panic!("{spans:#?}") };
    assert_eq!((receive.kind.as_str(), receive.parent_id.as_str()), ("Consumer", CALLER));
    check_attributes(
        receive,
        &[
            ("consumer.name", "billing"),
            ("consumer.uuid", "e"),
            ("message_bus.destination", "orders"),
            ("messaging.destination.name", "orders"),
            ("messaging.message_id", "7"),
            ("messaging.message_source", "/shop"),
            ("messaging.message_type", "order"),
            ("network.peer.address", "127.0.0.1:1"),
            ("network.peer.port", "1"),
            ("peer.address", "127.0.0.1:1"),
            ("peer.hostname", "127.0.0.1"),
            ("peer.port", "1"),
            ("peer.service", "kafka"),
        ],
    );
    let [first, second] = named(&spans, "POST")[..] else { panic!("{spans:#?}") };
    let url = format!("{}/subscriber", subscriber.url);
    for (span, status) in [(first, "503"), (second, "202")] {
        assert_eq!((span.kind.as_str(), &span.parent_id, span.trace_id.as_str()), ("Client", &receive.span_id, TRACE));
        check_attributes(
            span,
            &[
                ("http.method", "POST"),
                ("http.request.method", "POST"),
                ("http.response.status_code", status),
                ("http.status_code", status),
                ("http.url", &url),
                ("url.full", &url),
            ],
        );
    }
    assert!(first.error.is_some() && second.error.is_none());
    let arrivals = subscriber.arrivals("/subscriber");
    for (arrival, span) in arrivals.iter().zip([first, second]) {
        assert_eq!(arrival.headers["traceparent"], format!("00-{TRACE}-{}-01", span.span_id));
        assert_eq!(arrival.headers["tracestate"], "vendor=1");
        assert_eq!(arrival.headers["baggage"], "user=7");
    }
}

#[tokio::test]
async fn a_parked_record_that_is_taken_up_again_is_one_receive_span() {
    let (collector, subscriber) = (Collector::start(), Subscriber::start().await);
    let telemetry = telemetry(&collector);
    subscriber.answer("/subscriber", &[Script::status(503), Script::status(202)]);
    let delivery = r#","egressConfig":{"retry":2,"backoffPolicy":"Linear","backoffDelay":"50"}"#;
    let shared = shared_with(telemetry.tracer(), &subscriber, delivery);
    let record = traced(4, "01");
    let (ended, parked) = run(&shared, &record, Attempts::default()).await;
    let (Dispatched::Abandoned, Some(attempts)) = (ended, parked) else { panic!("not parked: {ended:?}") };
    let (ended, _) = run(&shared, &record, attempts).await;
    assert!(matches!(ended, Dispatched::Finished(_)), "{ended:?}");
    let spans = spans(telemetry, collector, 3).await;
    let [receive] = named(&spans, "kafka_receive")[..] else { panic!("{spans:#?}") };
    assert!(named(&spans, "POST").iter().all(|span| span.parent_id == receive.span_id), "{spans:#?}");
}

#[tokio::test]
async fn a_reply_to_a_topic_is_a_producer_span_of_its_own() {
    let (collector, subscriber) = (Collector::start(), Subscriber::start().await);
    let telemetry = telemetry(&collector);
    let shared = shared_with(telemetry.tracer(), &subscriber, "");
    let pipeline = shared.pipeline.load();
    let record = traced(5, "01");
    let trace = Trace::of(record.headers());
    let receive = receive(&pipeline, &record, trace).unwrap();
    let context = receive.context();
    drop(reply(Trace { span: Some(&receive), ..trace }, "replies"));
    assert!(reply(trace, "replies").is_none());
    drop(receive);
    let spans = spans(telemetry, collector, 2).await;
    let [reply] = named(&spans, "kafka_send")[..] else { panic!("{spans:#?}") };
    assert_eq!(reply.kind, "Producer");
    assert!(context.traceparent().contains(&reply.parent_id));
    check_attributes(
        reply,
        &[
            ("message_bus.destination", "replies"),
            ("messaging.destination.name", "replies"),
            ("network.peer.address", ""),
            ("peer.address", ""),
            ("peer.service", "kafka"),
        ],
    );
}

#[tokio::test]
async fn what_is_not_sampled_or_not_exported_has_no_span_and_its_trace_goes_on() {
    let (collector, subscriber) = (Collector::start(), Subscriber::start().await);
    let telemetry = telemetry(&collector);
    for tracer in [telemetry.tracer(), None] {
        let shared = shared_with(tracer, &subscriber, "");
        run(&shared, &traced(6, "00"), Attempts::default()).await;
    }
    let shared = shared_with(None, &subscriber, "");
    run(&shared, &traced(7, "01"), Attempts::default()).await;
    telemetry.finish(LIMIT).await;
    assert!(collector.requests().is_empty());
    for (arrival, flags) in subscriber.arrivals("/subscriber").iter().zip(["-00", "-00", "-01"]) {
        let parent = arrival.headers["traceparent"].to_str().unwrap();
        assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with(flags), "{parent}");
        assert!(!parent.contains(CALLER), "{parent}");
    }
    assert_eq!(subscriber.arrivals("/subscriber").len(), 3);
}

#[test]
fn a_targets_user_and_password_stay_out_of_spans() {
    assert_eq!(url(&"https://user:secret@host:81/a?b=c".parse().unwrap()), "https://host:81/a?b=c");
    assert_eq!(url(&"http://host".parse().unwrap()), "http://host/");
    assert_eq!(first_broker("a:1, b:2"), Some(("a", "1")));
    assert_eq!(first_broker("a"), None);
}
