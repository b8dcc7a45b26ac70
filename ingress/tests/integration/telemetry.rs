//! What a collector sees of a request, and what the record carries on.

use std::collections::BTreeMap;

use millrace_ingress::app::Running;
use millrace_runtime::telemetry::collector::{Collector, SeenSpan};
use serde_json::json;

use super::harness::*;
use super::tls;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

/// One target at `/ns/name`, with these keys of config-observability.
async fn exporting(values: &[(&str, &str)]) -> (Harness, Broker, Running) {
    let broker = Broker::with_topic("orders");
    let mut harness = Harness::new();
    for (key, value) in values {
        harness.write(&format!("observability/{key}"), value);
    }
    harness.env.insert("SERVICE_NAME".to_owned(), "kafka-channel-receiver".to_owned());
    harness.env.insert("SERVICE_NAMESPACE".to_owned(), "shop".to_owned());
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    let running = harness.ready().await;
    (harness, broker, running)
}

async fn tracing_to(collector: &Collector) -> (Harness, Broker, Running) {
    let endpoint = format!("{}/v1/traces\n", collector.url());
    exporting(&[("tracing-protocol", "http/protobuf\n"), ("tracing-endpoint", &endpoint)]).await
}

async fn spans(collector: Collector, count: usize) -> Vec<SeenSpan> {
    tokio::task::spawn_blocking(move || collector.spans(count)).await.unwrap()
}

#[track_caller]
fn check_attributes(span: &SeenSpan, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(span.attributes, expected, "{span:?}");
}

#[tokio::test]
async fn a_traced_event_is_a_server_span_and_a_producer_span_which_the_record_carries_on() {
    let collector = Collector::start();
    let (_harness, broker, running) = tracing_to(&collector).await;
    let headers = [
        ("traceparent", traceparent("01")),
        ("tracestate", "vendor=1".to_owned()),
        ("baggage", "user=7".to_owned()),
        ("ce-traceparent", traceparent("00")),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = ask(running.address(), request("/ns/name?a=b", &headers, "hello")).await;
    assert_eq!(answer.status, 202);
    // Neither has a trace of its own to go on with.
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    let broken = request("/ns/name", &[("traceparent", "00-0-0-01")], "x");
    assert_eq!(ask(running.address(), broken).await.status, 202);
    assert!(running.drain().await);
    let mut spans = spans(collector, 2).await;
    spans.sort_by_key(|span| span.kind.clone());
    let [producer, server] = &spans[..] else { panic!("exactly two spans: {spans:#?}") };
    assert_eq!((server.name.as_str(), server.kind.as_str(), server.parent_id.as_str()), ("POST", "Server", CALLER));
    check_attributes(
        server,
        &[
            ("http.method", "POST"),
            ("http.request.method", "POST"),
            ("http.response.status_code", "202"),
            ("http.scheme", "http"),
            ("http.status_code", "202"),
            ("http.url", "http://localhost/ns/name?a=b"),
            ("messaging.message_id", "1"),
            ("messaging.message_source", "/test"),
            ("messaging.message_type", "test.type"),
            ("url.path", "/ns/name"),
            ("url.query", "a=b"),
        ],
    );
    assert_eq!((producer.name.as_str(), producer.parent_id.as_str()), ("kafka_send", server.span_id.as_str()));
    check_attributes(
        producer,
        &[
            ("message_bus.destination", "orders"),
            ("messaging.destination.name", "orders"),
            ("network.peer.address", ""),
            ("peer.address", ""),
            ("peer.service", "kafka"),
        ],
    );
    for span in &spans {
        assert_eq!((span.trace_id.as_str(), span.error.as_deref(), span.scope.as_str()), (TRACE, None, "io.vertx"));
        assert_eq!(span.resource["service.name"], "kafka-channel-receiver");
        assert_eq!(span.resource["service.namespace"], "shop");
    }
    let records = broker.read("orders", 3);
    let (traced, others): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.header("traceparent").is_some());
    assert_eq!((traced.len(), others.len()), (1, 2));
    assert_eq!(traced[0].header("traceparent").unwrap(), format!("00-{TRACE}-{}-01", producer.span_id));
    assert_eq!((traced[0].header("tracestate"), traced[0].header("baggage")), (Some("vendor=1"), Some("user=7")));
    assert_eq!(traced[0].header("ce_traceparent"), Some(traceparent("00").as_str()));
    assert!(others.iter().all(|record| record.header("baggage").is_none()));
}

#[tokio::test]
async fn a_span_tells_that_its_request_came_over_tls() {
    let collector = Collector::start();
    let (broker, pair) = (Broker::with_topic("orders"), tls::pair());
    let harness = tls::harness_with(&broker, Some(&pair));
    harness.write("observability/tracing-protocol", "http/protobuf");
    harness.write("observability/tracing-endpoint", &format!("{}/v1/traces", collector.url()));
    let running = harness.ready().await;
    let connector = tls::connector(&[&pair], &[], rustls::ALL_VERSIONS);
    let mut client = Client::over(tls::connect(&connector, &running).await.unwrap());
    let traced = request("/ns/name", &[("traceparent", &traceparent("01"))], "x");
    assert_eq!(client.ask(traced).await.status, 202);
    // Leaves while the connection over TLS is open; the spans are sent all the same.
    assert!(running.drain().await);
    let spans = spans(collector, 2).await;
    let server = spans.iter().find(|span| span.kind == "Server").unwrap();
    let told = (server.attributes["http.scheme"].as_str(), server.attributes["http.url"].as_str());
    assert_eq!(told, ("https", "https://localhost/ns/name"));
}

#[tokio::test]
async fn what_is_not_sampled_has_no_span_and_goes_on_as_it_came() {
    let collector = Collector::start();
    let (_harness, broker, running) = tracing_to(&collector).await;
    let plain = request("/ns/name", &[("traceparent", &traceparent("00"))], "x");
    assert_eq!(ask(running.address(), plain).await.status, 202);
    // A span that comes later shows that none came before it.
    let refused = request("/unknown", &[("traceparent", &traceparent("01"))], "x");
    assert_eq!(ask(running.address(), refused).await.status, 404);
    assert!(running.drain().await);
    let spans = spans(collector, 1).await;
    let [refused] = &spans[..] else { panic!("exactly one span: {spans:#?}") };
    assert_eq!((refused.attributes["http.status_code"].as_str(), refused.error.as_deref()), ("404", None));
    let records = broker.read("orders", 1);
    assert_eq!(records[0].header("traceparent"), Some(traceparent("00").as_str()));
}

#[tokio::test]
async fn a_record_that_kafka_refuses_fails_both_spans() {
    let collector = Collector::start();
    let (mut harness, _broker, running) = tracing_to(&collector).await;
    harness.write("config/producer.properties", "enable.idempotence=false\nmax.block.ms=500\n");
    // Nobody listens there.
    harness.contract(&[resource("uid-2", "unreachable", "127.0.0.1:1", json!({"path": "/away"}))]);
    let request = request("/away", &[("traceparent", &traceparent("01"))], "x");
    until_status(running.address(), &request, 503).await;
    running.drain().await;
    let spans = spans(collector, 2).await;
    let of = |kind: &str| spans.iter().rev().find(|span| span.kind == kind).unwrap_or_else(|| panic!("{spans:#?}"));
    assert!(of("Producer").error.as_deref().is_some_and(|error| error.contains("unreachable")), "{spans:#?}");
    assert_eq!(of("Server").error.as_deref(), Some("Service Unavailable"));
}

#[tokio::test]
async fn every_event_of_a_batch_has_a_producer_span_of_its_own() {
    let collector = Collector::start();
    let (_harness, broker, running) = tracing_to(&collector).await;
    let event = |id: u32| json!({"specversion": "1.0", "id": id.to_string(), "source": "/s", "type": "t"});
    let body = json!([event(1), event(2)]).to_string();
    let parent = traceparent("01");
    let headers = [("traceparent", parent.as_str()), ("content-type", "application/cloudevents-batch+json")];
    assert_eq!(ask(running.address(), request("/ns/name", &headers, &body)).await.status, 202);
    assert!(running.drain().await);
    let spans = spans(collector, 3).await;
    let producers: Vec<_> = spans.iter().filter(|span| span.kind == "Producer").collect();
    assert_eq!((spans.len(), producers.len()), (3, 2), "{spans:#?}");
    let server = spans.iter().find(|span| span.kind == "Server").unwrap();
    assert_eq!(server.attributes["messaging.batch.message_count"], "2");
    let named: std::collections::BTreeSet<_> =
        producers.iter().map(|span| span.attributes["messaging.message_id"].as_str()).collect();
    assert_eq!(named, ["1", "2"].into());
    let carried: std::collections::BTreeSet<_> =
        broker.read("orders", 2).iter().map(|record| record.header("traceparent").unwrap().to_owned()).collect();
    let expected = producers.iter().map(|span| format!("00-{TRACE}-{}-01", span.span_id)).collect();
    assert_eq!(carried, expected);
}

#[tokio::test]
async fn metrics_are_pushed_under_the_peers_dotted_names() {
    let collector = Collector::start();
    let endpoint = format!("{}/v1/metrics", collector.url());
    let values =
        [("metrics-protocol", "http/protobuf"), ("metrics-endpoint", &endpoint), ("metrics-export-interval", "100ms")];
    let (_harness, _broker, running) = exporting(&values).await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    let point = tokio::task::spawn_blocking(move || {
        collector.point("kn.eventing.dispatch.latency", |point| point.value == 1.0)
    });
    let point = point.await.unwrap();
    assert_eq!((point.kind, point.unit.as_str()), ("histogram", "ms"));
    let expected = [
        ("cloudevents.type", "test.type"),
        ("http.response.status_code", "202"),
        ("kn.kafkachannel.name", "uid-1"),
        ("kn.kafkachannel.namespace", "ns"),
    ];
    let found: Vec<_> = point.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
    assert_eq!(point.resource["service.name"], "unknown_service");
}

#[tokio::test]
async fn producers_are_measured_under_the_peers_names_unless_that_is_disabled() {
    for (disabled, shown) in [("false", true), ("TRUE", false)] {
        let broker = Broker::with_topic("orders");
        let mut harness = Harness::new();
        harness.env.insert("DISABLE_KAFKA_CLIENTS_METRICS".to_owned(), disabled.to_owned());
        harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
        let running = harness.ready().await;
        let metrics = admin(&running, "/metrics").await;
        let line = "kafka_producer_record_error_total{client_id=\"producer-1\",kafka_version=\"librdkafka\"} 0\n";
        assert_eq!((metrics.contains(line), metrics.contains("kafka_producer_")), (shown, shown), "{metrics}");
        running.drain().await;
    }
}

#[tokio::test]
async fn a_collector_that_is_away_delays_neither_events_nor_the_end() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/traces", silent.local_addr().unwrap());
    let (_harness, _broker, running) =
        exporting(&[("tracing-protocol", "http/protobuf"), ("tracing-endpoint", &endpoint)]).await;
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        let request = request("/ns/name", &[("traceparent", &traceparent("01"))], "x");
        assert_eq!(ask(running.address(), request).await.status, 202);
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(8), "{:?}", begun.elapsed());
    running.drain().await;
    // Within the ten seconds of the harness.
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}
