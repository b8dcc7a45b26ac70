//! The variables of the peer's manifests, and everything that can be wrong with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

const INGRESS: &[(&str, &str)] = &[
    ("SERVICE_NAME", "kafka-channel-receiver"),
    ("SERVICE_NAMESPACE", "knative-eventing"),
    ("INGRESS_PORT", "8080"),
    ("INGRESS_TLS_PORT", "8443"),
    ("PRODUCER_CONFIG_FILE_PATH", "/etc/config/config-kafka-channel-producer.properties"),
    ("HTTPSERVER_CONFIG_FILE_PATH", "/etc/config/config-kafka-channel-httpserver.properties"),
    ("DATA_PLANE_CONFIG_FILE_PATH", "/etc/channels-subscriptions/data"),
    ("LIVENESS_PROBE_PATH", "/healthz"),
    ("READINESS_PROBE_PATH", "/readyz"),
    ("METRICS_PUBLISH_QUANTILES", "false"),
    ("METRICS_JVM_ENABLED", "false"),
    ("CONFIG_OBSERVABILITY_PATH", "/etc/observability"),
    ("CONFIG_FEATURES_PATH", "/etc/features"),
    ("HTTP2_DISABLE", "true"),
    ("WAIT_STARTUP_SECONDS", "8"),
    ("JAVA_TOOL_OPTIONS", "-XX:+CrashOnOutOfMemoryError"),
];

const DISPATCHER: &[(&str, &str)] = &[
    ("SERVICE_NAME", "kafka-channel-dispatcher"),
    ("SERVICE_NAMESPACE", "knative-eventing"),
    ("PRODUCER_CONFIG_FILE_PATH", "/etc/config/config-kafka-channel-producer.properties"),
    ("CONSUMER_CONFIG_FILE_PATH", "/etc/config/config-kafka-channel-consumer.properties"),
    ("WEBCLIENT_CONFIG_FILE_PATH", "/etc/config/config-kafka-channel-webclient.properties"),
    ("DATA_PLANE_CONFIG_FILE_PATH", "/etc/contract-resources/data"),
    ("EGRESSES_INITIAL_CAPACITY", "20"),
    ("INSTANCE_ID", "0d3fa2a1"),
    ("CONFIG_OBSERVABILITY_PATH", "/etc/observability"),
    ("WAIT_STARTUP_SECONDS", "8"),
];

fn env(base: &[(&str, &str)], changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    base.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_manifest_of_the_peers_receiver_is_understood() {
    let found = IngressEnv::read(&env(INGRESS, &[])).unwrap();
    assert_eq!((found.port, found.tls_port), (8080, 8443));
    assert_eq!((found.liveness_path.as_str(), found.readiness_path.as_str()), ("/healthz", "/readyz"));
    assert_eq!(found.contract, Path::new("/etc/channels-subscriptions/data"));
    assert_eq!(found.features.as_deref(), Some(Path::new("/etc/features")));
    assert_eq!(found.tls, Path::new("/etc/receiver-tls-secret"));
    assert_eq!(found.wait_startup, Duration::from_secs(8));
    assert_eq!(
        (found.service.name.as_str(), found.service.namespace.as_str()),
        ("kafka-channel-receiver", "knative-eventing")
    );
    let metrics = MetricsEnv {
        host: "0.0.0.0".to_owned(),
        pem: None,
        publish_quantiles: false,
        process: false,
        http_client: false,
        http_server: false,
        disable_event_type: false,
        disable_kafka_clients: false,
    };
    assert_eq!(found.metrics, metrics);
    assert_eq!(found.log, LogEnv::default());
    let admin = AdminEnv { address: None, health_file: PathBuf::from("/tmp/healthy"), drain: Duration::from_secs(25) };
    assert_eq!(found.admin, admin);
}

#[test]
fn the_manifest_of_the_peers_dispatcher_is_understood() {
    let found = DispatcherEnv::read(&env(DISPATCHER, &[])).unwrap();
    assert_eq!(found.http_client_config, Path::new("/etc/config/config-kafka-channel-webclient.properties"));
    assert_eq!(found.system_namespace, "knative-eventing");
}

#[test]
fn every_missing_variable_is_named_at_once() {
    let names = |errors: EnvErrors| {
        let mut names: Vec<String> = errors.0.into_iter().map(|error| error.name).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(
        names(IngressEnv::read(&env(&[], &[])).unwrap_err()),
        [
            "CONFIG_OBSERVABILITY_PATH",
            "DATA_PLANE_CONFIG_FILE_PATH",
            "HTTPSERVER_CONFIG_FILE_PATH",
            "INGRESS_PORT",
            "INGRESS_TLS_PORT",
            "LIVENESS_PROBE_PATH",
            "PRODUCER_CONFIG_FILE_PATH",
            "READINESS_PROBE_PATH",
            "WAIT_STARTUP_SECONDS",
        ]
    );
    assert_eq!(
        names(DispatcherEnv::read(&env(&[], &[])).unwrap_err()),
        [
            "CONFIG_OBSERVABILITY_PATH",
            "CONSUMER_CONFIG_FILE_PATH",
            "DATA_PLANE_CONFIG_FILE_PATH",
            "EGRESSES_INITIAL_CAPACITY",
            "PRODUCER_CONFIG_FILE_PATH",
            "SERVICE_NAMESPACE",
            "WAIT_STARTUP_SECONDS",
            "WEBCLIENT_CONFIG_FILE_PATH",
        ]
    );
}

#[test]
fn a_dispatcher_does_not_start_with_a_capacity_of_zero() {
    let errors = DispatcherEnv::read(&env(DISPATCHER, &[("EGRESSES_INITIAL_CAPACITY", "0")])).unwrap_err();
    assert_eq!(errors.to_string(), "EGRESSES_INITIAL_CAPACITY: must be above 0");
}

#[track_caller]
fn check_required(required: &[Required], errors: Vec<EnvError>) {
    let missing: Vec<_> = errors.into_iter().map(|error| error.name).collect();
    assert_eq!(required.iter().map(|variable| variable.name).collect::<Vec<_>>(), missing);
}

#[test]
fn help_names_exactly_what_a_process_cannot_start_without() {
    check_required(IngressEnv::REQUIRED, IngressEnv::read_anyway(&env(&[], &[])).1);
    check_required(DispatcherEnv::REQUIRED, DispatcherEnv::read_anyway(&env(&[], &[])).1);
    let examples =
        |required: &[Required]| required.iter().map(|it| (it.name.to_owned(), it.example.to_owned())).collect();
    assert!(IngressEnv::read(&examples(IngressEnv::REQUIRED) as &BTreeMap<_, _>).is_ok());
    assert!(DispatcherEnv::read(&examples(DispatcherEnv::REQUIRED) as &BTreeMap<_, _>).is_ok());
}

#[test]
fn a_bad_log_format_hides_neither_other_problems_nor_the_rest_of_logging() {
    let bad = env(INGRESS, &[("MILLRACE_LOG_FORMAT", "xml"), ("MILLRACE_LOG", "debug"), ("INGRESS_PORT", "")]);
    let log = LogEnv::read_anyway(&bad);
    assert_eq!((log.format, log.directives.as_deref()), (LogFormat::Json, Some("debug")));
    let (found, errors) = IngressEnv::read_anyway(&bad);
    let names: Vec<_> = errors.iter().map(|error| error.name.as_str()).collect();
    assert_eq!(names, ["INGRESS_PORT", "MILLRACE_LOG_FORMAT"]);
    assert_eq!(found.tls_port, 8443);
}

#[test]
fn problems_say_what_would_be_right() {
    let changes = [
        ("INGRESS_PORT", "http"),
        ("INGRESS_TLS_PORT", "65536"),
        ("READINESS_PROBE_PATH", " "),
        ("MILLRACE_LOG_FORMAT", "xml"),
        ("MILLRACE_ADMIN_ADDRESS", "9090"),
        ("MILLRACE_DRAIN_SECONDS", "-1"),
    ];
    let errors = IngressEnv::read(&env(INGRESS, &changes)).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "INGRESS_PORT: \"http\" is not a whole number from 0 to 65535; \
         INGRESS_TLS_PORT: \"65536\" is not a whole number from 0 to 65535; \
         READINESS_PROBE_PATH: is required; \
         MILLRACE_LOG_FORMAT: \"xml\" is neither json nor text; \
         MILLRACE_ADMIN_ADDRESS: \"9090\" is not host:port; \
         MILLRACE_DRAIN_SECONDS: \"-1\" is not a whole number from 0 to 4294967295"
    );
}

#[test]
fn our_own_variables_are_read() {
    let changes = [
        ("MILLRACE_ADMIN_ADDRESS", ":0"),
        ("MILLRACE_LOG_FORMAT", "text"),
        ("MILLRACE_LOG", "debug,rdkafka=warn"),
        ("MILLRACE_LOGGING_CONFIG_PATH", "/x/config.xml"),
        ("MILLRACE_HEALTH_FILE", "/x/healthy"),
        ("MILLRACE_DRAIN_SECONDS", "0"),
        ("MILLRACE_TLS_PATH", "/x/tls"),
        ("MILLRACE_OIDC_DISCOVERY_URL", " https://issuer.example "),
        ("CONFIG_FEATURES_PATH", ""),
    ];
    let found = IngressEnv::read(&env(INGRESS, &changes)).unwrap();
    assert_eq!(found.admin.address.as_deref(), Some("0.0.0.0:0"));
    assert_eq!((found.admin.health_file.as_path(), found.admin.drain), (Path::new("/x/healthy"), Duration::ZERO));
    let log = LogEnv {
        format: LogFormat::Text,
        directives: Some("debug,rdkafka=warn".to_owned()),
        config_path: PathBuf::from("/x/config.xml"),
    };
    assert_eq!(LogEnv::read(&env(INGRESS, &changes)), Ok(log.clone()));
    assert_eq!(found.oidc_discovery.as_deref(), Some("https://issuer.example"));
    for wrong in ["issuer.example", "ftp://issuer.example", "/keys"] {
        assert!(IngressEnv::read(&env(INGRESS, &[("MILLRACE_OIDC_DISCOVERY_URL", wrong)])).is_err(), "{wrong}");
    }
    assert_eq!((found.log, found.features, found.tls.as_path()), (log, None, Path::new("/x/tls")));
}

#[test]
fn the_variables_of_opentelemetry_are_lists_and_their_secrets_stay_hidden() {
    let list = "authorization=Bearer%20se%63ret, x-tenant = a=b ,";
    let changes = [
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=pod-1,service.version=2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", list),
    ];
    let found = IngressEnv::read(&env(INGRESS, &changes)).unwrap().otel;
    assert_eq!(found.service_name.as_deref(), Some("shop"));
    assert_eq!(found.resource_attributes["k8s.pod.name"], "pod-1");
    let headers: Vec<_> = found.headers.iter().collect();
    assert_eq!(headers, [("authorization", "Bearer secret"), ("x-tenant", "a=b")]);
    assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    for wrong in ["secret", "=secret", "a=%zz", "a=%f", "a=%ff"] {
        let errors = DispatcherEnv::read(&env(DISPATCHER, &[("OTEL_EXPORTER_OTLP_HEADERS", wrong)])).unwrap_err();
        let said = errors.to_string();
        assert!(said.contains("OTEL_EXPORTER_OTLP_HEADERS") && !said.contains(wrong), "{said}");
    }
}

#[test]
fn addresses_have_a_host_and_a_port() {
    let address = |text: &str| AdminEnv::read(&env(&[("MILLRACE_ADMIN_ADDRESS", text)], &[])).map(|it| it.address);
    for (text, expected) in [
        ("127.0.0.1:9090", "127.0.0.1:9090"),
        ("localhost:1", "localhost:1"),
        ("[::1]:2", "[::1]:2"),
        (" :3 ", "0.0.0.0:3"),
    ] {
        assert_eq!(address(text), Ok(Some(expected.to_owned())));
    }
    for text in ["localhost", "::1:2", "host:", "host:x", "host:70000"] {
        assert!(address(text).is_err(), "{text}");
    }
}

#[test]
fn only_the_word_true_switches_something_on() {
    let jvm = |value: &str| IngressEnv::read(&env(INGRESS, &[("METRICS_JVM_ENABLED", value)])).unwrap().metrics.process;
    for on in ["true", "TRUE", " True\n"] {
        assert!(jvm(on), "{on}");
    }
    for off in ["1", "yes", "on", ""] {
        assert!(!jvm(off), "{off}");
    }
}

#[test]
fn metrics_are_served_over_tls_only_with_both_files() {
    let pem = |changes: &[(&str, &str)]| IngressEnv::read(&env(INGRESS, changes)).unwrap().metrics.pem;
    let (certificate, key) = (("METRICS_PEM_CERT_PATH", "/c"), ("METRICS_PEM_KEY_PATH", "/k"));
    assert_eq!(pem(&[certificate, key]), Some((PathBuf::from("/c"), PathBuf::from("/k"))));
    assert_eq!(pem(&[certificate]), None);
    assert_eq!(pem(&[key]), None);
}

#[test]
fn the_names_of_the_control_plane_have_upstreams_defaults() {
    let found = ControlEnv::read(&env(&[], &[])).unwrap();
    let channel = PlaneEnv {
        data_plane_namespace: "knative-eventing".to_owned(),
        contract_config_map: "kafka-channel-channels-subscriptions".to_owned(),
        data_plane_config_map: "config-kafka-channel-data-plane".to_owned(),
        general_config_map: "kafka-channel-config".to_owned(),
        ingress_name: "kafka-channel-ingress".to_owned(),
        ingress_pod_port: 8080,
        ingress_pod_tls_port: 8443,
        system_namespace: "knative-eventing".to_owned(),
        default_backoff_delay: Duration::from_secs(1),
    };
    assert_eq!(found.channel, channel);
    assert_eq!(found.broker.contract_config_map, "kafka-broker-brokers-triggers");
    assert_eq!(
        (found.sink.ingress_name.as_str(), found.sink.general_config_map.as_str()),
        ("kafka-sink-ingress", "kafka-broker-config")
    );
    assert_eq!(found.cluster_domain, "cluster.local");
    assert_eq!((found.pod_name, found.objects), (None, None));
}

#[test]
fn every_name_of_the_control_plane_can_be_changed() {
    let found = ControlEnv::read(&env(
        &[("SYSTEM_NAMESPACE", "system")],
        &[
            ("CHANNEL_CONTRACT_CONFIG_MAP_NAME", "contract"),
            ("CHANNEL_DATA_PLANE_CONFIG_MAP_NAMESPACE", "plane"),
            ("CHANNEL_DATA_PLANE_CONFIG_CONFIG_MAP_NAME", "files"),
            ("CHANNEL_GENERAL_CONFIG_MAP_NAME", "general"),
            ("CHANNEL_INGRESS_NAME", "ingress"),
            ("CHANNEL_INGRESS_POD_PORT", "1"),
            ("CHANNEL_INGRESS_POD_TLS_PORT", "2"),
            ("CHANNEL_DEFAULT_BACKOFF_DELAY_MS", "3"),
            ("MILLRACE_OBJECTS_DIR", "/objects"),
            ("MILLRACE_STATE_DIR", "/state"),
            ("MILLRACE_KAFKA", "k:9092"),
            ("MILLRACE_EMBEDDED_BROKER", "http://127.0.0.1:1"),
            ("MILLRACE_INGRESS_URL", "http://127.0.0.1:2"),
        ],
    ))
    .unwrap();
    let channel = PlaneEnv {
        data_plane_namespace: "plane".to_owned(),
        contract_config_map: "contract".to_owned(),
        data_plane_config_map: "files".to_owned(),
        general_config_map: "general".to_owned(),
        ingress_name: "ingress".to_owned(),
        ingress_pod_port: 1,
        ingress_pod_tls_port: 2,
        system_namespace: "system".to_owned(),
        default_backoff_delay: Duration::from_millis(3),
    };
    assert_eq!(found.channel, channel);
    assert_eq!(found.broker.data_plane_namespace, "system");
    assert_eq!(
        (found.objects.as_deref(), found.state.as_deref()),
        (Some(Path::new("/objects")), Some(Path::new("/state")))
    );
    assert_eq!(found.kafka.as_deref(), Some("k:9092"));
    assert_eq!((found.embedded_broker.is_some(), found.ingress_url.is_some()), (true, true));
}

#[test]
fn a_contract_format_that_data_planes_cannot_read_is_refused() {
    let formats = [("CHANNEL_CONTRACT_CONFIG_MAP_FORMAT", "protobuf"), ("SINK_CONTRACT_CONFIG_MAP_FORMAT", "json")];
    let errors = ControlEnv::read(&env(&formats, &[])).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "CHANNEL_CONTRACT_CONFIG_MAP_FORMAT: \"protobuf\" is not json, the only format that data planes read"
    );
}

#[test]
fn the_environment_of_this_process_can_be_read() {
    // cargo sets it for every test.
    assert!(ProcessEnv.get("CARGO_PKG_NAME").is_some_and(|name| name == "millrace-config"));
    assert_eq!(ProcessEnv.get("MILLRACE_SURELY_NOT_SET"), None);
}

#[test]
fn the_peers_switches_that_change_nothing_are_named_when_they_are_on() {
    let read = |changes: &[(&str, &str)]| IngressEnv::read(&env(INGRESS, changes)).unwrap().metrics.without_effect();
    assert_eq!(read(&[]), []);
    let all = ["PUBLISH_QUANTILES", "JVM_ENABLED", "HTTP_CLIENT_ENABLED", "HTTP_SERVER_ENABLED"];
    let all = all.map(|name| format!("METRICS_{name}"));
    let on: Vec<_> = all.iter().map(|name| (name.as_str(), "TRUE")).collect();
    assert_eq!(read(&on).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), all);
}
