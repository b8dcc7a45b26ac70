//! Where metrics and traces go, in the forms that people write.

use super::*;

fn read(entries: &[(&str, &str)]) -> Result<Observability, ObservabilityError> {
    Observability::from_values(&entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

#[track_caller]
fn check_prometheus(endpoint: &str, port: u16, path: &str) {
    let metrics = read(&[("metrics-protocol", "prometheus"), ("metrics-endpoint", endpoint)]).unwrap().metrics;
    assert_eq!(metrics, MetricsExport::Prometheus { port, path: path.to_owned() }, "{endpoint}");
}

#[track_caller]
fn check_error(entries: &[(&str, &str)], expected: &str) {
    assert_eq!(read(entries).unwrap_err().to_string(), expected);
}

#[test]
fn nothing_is_exported_unless_asked_for() {
    for entries in [&[][..], &[("metrics-protocol", "none"), ("tracing-protocol", "NONE")]] {
        assert_eq!(read(entries).unwrap(), Observability::default());
    }
}

#[test]
fn a_prometheus_endpoint_is_a_url_or_host_and_port() {
    check_prometheus("", 9090, "/metrics");
    check_prometheus("http://x:1234/p", 1234, "/p");
    check_prometheus("http://x:1234", 1234, "/metrics");
    check_prometheus("http://x/p/q?a=b#c", 9090, "/p/q");
    check_prometheus("http://x/", 9090, "/metrics");
    check_prometheus("0.0.0.0:9191", 9191, "/metrics");
    check_prometheus(":9191\n", 9191, "/metrics");
    check_prometheus("[::]:9191", 9191, "/metrics");
    check_prometheus("[::]", 9090, "/metrics");
    check_prometheus("localhost", 9090, "/metrics");
    check_prometheus(":0", 0, "/metrics");
    check_error(
        &[("metrics-protocol", "Prometheus"), ("metrics-endpoint", ":99999")],
        "metrics-endpoint: \":99999\" has no usable port",
    );
}

#[test]
fn otlp_metrics_need_a_url_and_may_have_an_interval() {
    let metrics = |interval: &str| {
        read(&[
            ("metrics-protocol", "http/protobuf"),
            ("metrics-endpoint", "http://collector:4318/v1/metrics"),
            ("metrics-export-interval", interval),
        ])
        .map(|observability| observability.metrics)
    };
    let expected = |seconds: u64| MetricsExport::OtlpHttp {
        endpoint: "http://collector:4318/v1/metrics".parse().unwrap(),
        interval: Duration::from_secs(seconds),
    };
    for (text, seconds) in [("", 60), ("30s", 30), ("2m", 120), ("PT10S", 10), ("1h", 3600)] {
        assert_eq!(metrics(text).unwrap(), expected(seconds), "{text}");
    }
    for text in ["soon", "0s", "-5s", "60"] {
        let error = metrics(text).unwrap_err().to_string();
        assert_eq!(error, format!("metrics-export-interval: {text:?} is not a time such as 60s"));
    }
    check_error(&[("metrics-protocol", "http/protobuf")], "metrics-endpoint: \"\" is not an http or https URL");
}

#[test]
fn unsupported_protocols_export_nothing_and_are_warned_about() {
    for (key, value) in [("metrics-protocol", "grpc"), ("metrics-protocol", "statsd"), ("tracing-protocol", "zipkin")] {
        let observability = read(&[(key, value)]).unwrap();
        assert_eq!(observability.warnings.len(), 1);
        assert_eq!(observability.warnings[0].key, key);
        assert_eq!((observability.metrics, observability.tracing), (MetricsExport::None, TracingExport::None));
    }
}

#[test]
fn traces_go_to_a_url_or_to_the_log() {
    let endpoint = ("tracing-endpoint", "http://collector:4317");
    let url: http::Uri = "http://collector:4317".parse().unwrap();
    let tracing = |protocol: &str| read(&[("tracing-protocol", protocol), endpoint]).unwrap().tracing;
    assert_eq!(tracing("grpc"), TracingExport::Grpc(url.clone()));
    assert_eq!(tracing("HTTP/protobuf"), TracingExport::HttpProtobuf(url));
    assert_eq!(tracing("stdout"), TracingExport::Stdout);
    check_error(&[("tracing-protocol", "grpc")], "tracing-endpoint: \"\" is not an http or https URL");
    check_error(
        &[("tracing-protocol", "grpc"), ("tracing-endpoint", "collector:4317")],
        "tracing-endpoint: \"collector:4317\" is not an http or https URL",
    );
}

#[test]
fn the_sampling_rate_is_a_part_of_one() {
    let rate = |text: &str| read(&[("tracing-sampling-rate", text)]).map(|observability| observability.sampling_rate);
    for (text, expected) in [("", 0.0), ("0.25", 0.25), ("1", 1.0), (" 0 ", 0.0)] {
        assert_eq!(rate(text).unwrap(), expected, "{text}");
    }
    for text in ["1.1", "-0.1", "half", "NaN"] {
        assert!(rate(text).is_err(), "{text}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    check_error(
        &[
            ("metrics-protocol", "http/protobuf"),
            ("metrics-endpoint", "x"),
            ("tracing-protocol", "grpc"),
            ("tracing-sampling-rate", "2"),
        ],
        "metrics-endpoint: \"x\" is not an http or https URL; tracing-endpoint: \"\" is not an http or https URL; \
         tracing-sampling-rate: \"2\" is not a number from 0 to 1",
    );
}

#[test]
fn a_mounted_directory_is_read_and_a_missing_one_exports_nothing() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("metrics-protocol"), "prometheus\n").unwrap();
    std::fs::write(directory.path().join("_example"), "long text").unwrap();
    let observability = Observability::read(directory.path()).unwrap();
    assert_eq!(observability.metrics, MetricsExport::Prometheus { port: 9090, path: "/metrics".to_owned() });
    let missing = Observability::read(&directory.path().join("absent")).unwrap();
    assert_eq!((missing.metrics, missing.warnings.len()), (MetricsExport::None, 1));
}
