//! Exports to a collector, over both protocols, and what happens while it is away.

use std::collections::BTreeMap;

use millrace_config::env::{DispatcherEnv, Env};

use super::collector::Collector;
use super::*;

const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const LIMIT: Duration = Duration::from_secs(30);

fn service() -> ServiceEnv {
    ServiceEnv { name: "shop-ingress".to_owned(), namespace: "shop".to_owned() }
}

fn observability(values: &[(&str, &str)]) -> Observability {
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Observability::from_values(&values).unwrap()
}

fn otel(values: &[(&str, &str)]) -> OtelEnv {
    let values: BTreeMap<String, String> =
        values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let env: &dyn Env = &values;
    DispatcherEnv::read_anyway(env).0.otel
}

fn start(values: &[(&str, &str)], metrics: &Metrics) -> Telemetry {
    Telemetry::start(&observability(values), &service(), &otel(&[]), metrics).unwrap()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn parent() -> TraceContext {
    TraceContext::parse(PARENT).unwrap()
}

async fn check_traces(protocol: &str, path: &str, expected_path: &str) {
    let collector = Collector::start();
    let endpoint = format!("{}{path}", collector.url());
    let metrics = Metrics::new();
    let telemetry = start(&[("tracing-protocol", protocol), ("tracing-endpoint", &endpoint)], &metrics);
    let tracer = telemetry.tracer().unwrap();
    let mut span = tracer.begin(&parent(), "POST", Kind::Server).unwrap();
    span.set("http.method", "POST");
    let mut child = span.child("kafka_send", Kind::Producer).unwrap();
    child.fail("no broker");
    let (context, child_context) = (span.context(), child.context());
    drop((span, child));
    telemetry.finish(LIMIT).await;
    let (collector, spans) = blocking(move || {
        let spans = collector.spans(2);
        (collector, spans)
    })
    .await;
    let [server, producer] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((server.name.as_str(), server.kind.as_str(), server.error.as_deref()), ("POST", "Server", None));
    assert_eq!(server.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(server.parent_id, "00f067aa0ba902b7");
    assert_eq!(server.attributes["http.method"], "POST");
    assert_eq!((server.resource["service.name"].as_str(), server.scope.as_str()), ("shop-ingress", "io.vertx"));
    assert_eq!(server.resource["service.namespace"], "shop");
    assert!(context.traceparent().contains(&server.span_id));
    assert_eq!((producer.kind.as_str(), producer.error.as_deref()), ("Producer", Some("no broker")));
    assert_eq!((&producer.parent_id, &producer.trace_id), (&server.span_id, &server.trace_id));
    assert!(child_context.traceparent().contains(&producer.span_id));
    assert_eq!(collector.requests()[0].path, expected_path);
}

#[tokio::test]
async fn spans_arrive_over_http_at_the_endpoint_as_it_is_written() {
    check_traces("http/protobuf", "/own/path", "/own/path").await;
}

#[tokio::test]
async fn spans_arrive_over_grpc() {
    check_traces("grpc", "", "/opentelemetry.proto.collector.trace.v1.TraceService/Export").await;
}

#[tokio::test]
async fn traces_that_nobody_wants_recorded_are_not() {
    let telemetry = start(&[("tracing-protocol", "stdout")], &Metrics::new());
    let parent = TraceContext { flags: 0, ..parent() };
    assert!(telemetry.tracer().unwrap().begin(&parent, "POST", Kind::Server).is_none());
    telemetry.finish(LIMIT).await;
}

#[tokio::test]
async fn work_that_is_put_aside_and_taken_up_again_is_one_span() {
    let collector = Collector::start();
    let endpoint = collector.url();
    let telemetry = start(&[("tracing-protocol", "http/protobuf"), ("tracing-endpoint", &endpoint)], &Metrics::new());
    let tracer = telemetry.tracer().unwrap();
    let take_up = || tracer.take_up(&parent(), "kafka_receive", Kind::Consumer, &("orders", 7)).unwrap();
    let first = take_up();
    let attempt = first.child("POST", Kind::Client).unwrap();
    drop(attempt);
    first.discard();
    let mut second = take_up();
    second.began(Duration::from_secs(3));
    drop(second);
    telemetry.finish(LIMIT).await;
    let spans = blocking(move || collector.spans(2)).await;
    let [attempt, receive] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((attempt.name.as_str(), &attempt.parent_id), ("POST", &receive.span_id));
    assert!(receive.nanos >= 3_000_000_000, "{receive:?}");
}

#[tokio::test]
async fn without_an_export_there_is_no_tracer_and_nothing_to_wait_for() {
    let telemetry = start(&[("metrics-protocol", "prometheus"), ("tracing-sampling-rate", "1")], &Metrics::new());
    assert!(telemetry.tracer().is_none());
    telemetry.finish(Duration::ZERO).await;
}

#[tokio::test]
async fn a_batch_is_tried_again_while_the_collector_is_busy() {
    for protocol in ["http/protobuf", "grpc"] {
        let collector = Collector::start();
        collector.refuse(Some(503));
        let (metrics, endpoint) = (Metrics::new(), collector.url());
        let telemetry = start(&[("tracing-protocol", protocol), ("tracing-endpoint", &endpoint)], &metrics);
        drop(telemetry.tracer().unwrap().begin(&parent(), "POST", Kind::Server));
        let collector = blocking(move || {
            while collector.requests().is_empty() {
                std::thread::sleep(Duration::from_millis(10));
            }
            collector.refuse(None);
            assert_eq!(collector.spans(1).len(), 1);
            collector
        })
        .await;
        telemetry.finish(LIMIT).await;
        assert!(collector.requests().len() >= 2, "{protocol}");
        assert!(metrics.text().contains("millrace_spans_dropped_total 0\n"));
    }
}

#[tokio::test]
async fn spans_that_cannot_be_sent_are_dropped_and_counted_and_nothing_waits() {
    let collector = Collector::start();
    collector.refuse(Some(400));
    let (metrics, endpoint) = (Metrics::new(), collector.url());
    let telemetry = start(&[("tracing-protocol", "http/protobuf"), ("tracing-endpoint", &endpoint)], &metrics);
    let tracer = telemetry.tracer().unwrap();
    // One batch is on its way at most; everything else waits in the queue or is dropped.
    for _ in 0..20_000 {
        drop(tracer.begin(&parent(), "POST", Kind::Server));
    }
    telemetry.finish(LIMIT).await;
    drop(tracer.begin(&parent(), "POST", Kind::Server));
    assert!(metrics.text().contains("millrace_spans_dropped_total 20001\n"), "{}", metrics.text());
}

#[tokio::test]
async fn metrics_are_pushed_at_every_interval_and_at_the_end() {
    let collector = Collector::start();
    let (metrics, endpoint) = (Metrics::new(), format!("{}/v1/metrics", collector.url()));
    let counter = metrics.counter("millrace_ingress_things_total", "Things.").unwrap();
    let values =
        [("metrics-protocol", "http/protobuf"), ("metrics-endpoint", &endpoint), ("metrics-export-interval", "50ms")];
    let env = [
        ("OTEL_SERVICE_NAME", "named"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,pod=p"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x"),
    ];
    let telemetry = Telemetry::start(&observability(&values), &service(), &otel(&env), &metrics).unwrap();
    counter.inc();
    let (collector, point) = blocking(move || {
        let point = collector.point("millrace.ingress.things", |point| point.value > 0.0);
        (collector, point)
    })
    .await;
    assert_eq!((point.kind, point.value), ("sum", 1.0));
    assert_eq!((point.resource["service.name"].as_str(), point.resource["pod"].as_str()), ("named", "p"));
    counter.inc_by(4);
    telemetry.finish(LIMIT).await;
    let last = collector.points().pop().unwrap();
    assert_eq!(last.value, 5.0);
    assert_eq!(collector.requests()[0].headers["authorization"], "Bearer x");
    assert_eq!(collector.requests()[0].path, "/v1/metrics");
}

#[tokio::test]
async fn a_service_without_a_name_is_unknown_in_metrics() {
    let collector = Collector::start();
    let (metrics, endpoint) = (Metrics::new(), format!("{}/v1/metrics", collector.url()));
    metrics.build_info().unwrap();
    let telemetry = start(&[("metrics-protocol", "http/protobuf"), ("metrics-endpoint", &endpoint)], &metrics);
    telemetry.finish(LIMIT).await;
    assert_eq!(collector.points()[0].resource["service.name"], "unknown_service");
    assert_eq!(collector.points()[0].name, "millrace.build_info");
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_no_end() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/traces", silent.local_addr().unwrap());
    let metrics = Metrics::new();
    let telemetry = start(&[("tracing-protocol", "http/protobuf"), ("tracing-endpoint", &endpoint)], &metrics);
    drop(telemetry.tracer().unwrap().begin(&parent(), "POST", Kind::Server));
    let begun = std::time::Instant::now();
    telemetry.finish(LIMIT).await;
    let taken = begun.elapsed();
    assert!(taken >= LAST_EXPORT && taken < LIMIT / 2, "{taken:?}");
}
