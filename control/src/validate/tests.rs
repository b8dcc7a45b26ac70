//! Which mistakes are found, and where they are said to be.

use super::*;

#[track_caller]
fn check_one(file: &str, content: &str, expected: &[&str]) {
    let texts = [Text { file: file.to_owned(), content: content.to_owned() }];
    let report = check(&texts, "knative-eventing");
    let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{content}");
}

const CHANNEL: &str = "apiVersion: messaging.knative.dev/v1\nkind: KafkaChannel\nmetadata:\n  name: orders\n";

#[test]
fn good_objects_have_no_findings() {
    check_one("a.yaml", &format!("{CHANNEL}spec:\n  numPartitions: 3\n"), &[]);
}

#[test]
fn wrong_and_unknown_fields_are_named_with_their_lines() {
    check_one(
        "a.yaml",
        &format!(
            "{CHANNEL}spec:\n  numPartitions: -3\n  delivery:\n    retry: -1\n---\n{CHANNEL}spec:\n  partitions: 3\n"
        ),
        &[
            "a.yaml:6: error: KafkaChannel default/orders: spec.numPartitions: must be between 1 and 100000, found -3",
            "a.yaml:8: error: KafkaChannel default/orders: spec.delivery.retry: must be 0 or more, found -1",
            "a.yaml:15: error: KafkaChannel default/orders: spec.partitions: unknown field, ignored",
        ],
    );
}

#[test]
fn what_is_not_ours_is_only_mentioned() {
    check_one(
        "a.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
        &["a.yaml:1: warning: kind: Service (v1) is not handled here; 1 document is ignored"],
    );
}

#[test]
fn what_a_feature_forbids_is_found_across_files() {
    let subscription = "apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata: {name: billing}
spec:
  channel: {apiVersion: messaging.knative.dev/v1, kind: KafkaChannel, name: orders}
  subscriber: {uri: 'http://billing/'}
  delivery:
    timeout: PT1S
    retryAfterMax: PT5S
";
    let features = "apiVersion: v1
kind: ConfigMap
metadata: {name: config-features, namespace: knative-eventing}
data:
  delivery-timeout: disabled
  delivery-retryafter: enabled
";
    check_one(
        "a.yaml",
        subscription,
        &["a.yaml:9: error: Subscription default/billing: spec.delivery.retryAfterMax: not allowed: the feature \
            delivery-retryafter is not enabled in config-features"],
    );
    check_one(
        "a.yaml",
        &format!("{features}---\n{subscription}"),
        &["a.yaml:15: error: Subscription default/billing: spec.delivery.timeout: not allowed: the feature \
            delivery-timeout is disabled in config-features"],
    );
}

#[test]
fn a_property_is_found_on_its_own_line() {
    let map = "apiVersion: v1
kind: ConfigMap
metadata:
  name: config-kafka-channel-data-plane
  namespace: knative-eventing
data:
  config-kafka-channel-producer.properties: |
    # a comment
    acks=all
    linger.ms=soon
  config-kafka-channel-webclient.properties: |
    idleTimeout=10000
    maxPoolsize=7
  other: text
";
    check_one(
        "a.yaml",
        map,
        &[
            "a.yaml:10: error: ConfigMap knative-eventing/config-kafka-channel-data-plane: \
             data.config-kafka-channel-producer.properties: linger.ms: \"soon\" is not a whole number from 0 to 900000",
            "a.yaml:13: warning: ConfigMap knative-eventing/config-kafka-channel-data-plane: \
             data.config-kafka-channel-webclient.properties: maxPoolsize: unknown key, ignored",
            "a.yaml:14: warning: ConfigMap knative-eventing/config-kafka-channel-data-plane: data.other: \
             is none of the data plane's files; nobody reads it",
        ],
    );
}

#[test]
fn a_properties_file_is_checked_by_its_name() {
    check_one(
        "x/config-kafka-channel-consumer.properties",
        "max.poll.records=50\nisolation.level=sometimes\n",
        &["x/config-kafka-channel-consumer.properties:2: error: isolation.level: \"sometimes\" is not one of \
            read_uncommitted, read_committed"],
    );
    check_one(
        "log4j.properties",
        "a=b\n",
        &[
            "log4j.properties: warning: not checked: the name must end in producer, consumer, webclient or httpserver.properties",
        ],
    );
}

#[test]
fn the_map_that_says_where_kafka_is_must_name_servers() {
    let map = |data: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: kafka-channel-config}}\ndata:\n  {data}\n")
    };
    check_one("a.yaml", &map("bootstrap.servers: a:9092, b:9092"), &[]);
    let named = "a.yaml:5: error: ConfigMap default/kafka-channel-config: data.bootstrap.servers";
    check_one("a.yaml", &map("bootstrap.servers: kafka"), &[&format!("{named}: \"kafka\" is not host:port")]);
    check_one("a.yaml", &map("bootstrap.servers: ','"), &[&format!("{named}: missing or empty")]);
}

#[test]
fn observability_is_checked_as_a_process_would() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config-observability}\ndata:\n  tracing-sampling-rate: '2'\n";
    check_one(
        "a.yaml",
        map,
        &["a.yaml:5: error: ConfigMap default/config-observability: data.tracing-sampling-rate: \
            \"2\" is not a number from 0 to 1"],
    );
}

#[test]
fn contracts_are_checked_as_a_data_plane_would() {
    let good = r#"{"generation":"1","resources":[{"uid":"a","topics":["t"],"bootstrapServers":"k:9092","ingress":{"path":"/a/b"}}]}"#;
    check_one("data", good, &[]);
    check_one(
        "data",
        "{\"resources\": [\n{\"uid\": \"a\", \"topics\": [], \"bootstrapServers\": \"k\"}]}",
        &["data:2: error: resource a: topics must name at least one topic and no blank one"],
    );
    check_one(
        "data",
        "{\"generation\": \"1\",\n\"resources\": [{\"uid\": 7}]}",
        &["data:2: error: resources[0].uid: invalid type: integer `7`, expected a string"],
    );
    // Alone it says nothing that could be wrong.
    let index = r#"{"generation":"1","resources":"elsewhere","shards":[{"number":1,"sha256":"00"}]}"#;
    check_one("data", index, &[]);
}

#[test]
fn errors_come_before_warnings_of_a_line_and_are_counted() {
    let texts = [
        Text { file: "b.yaml".to_owned(), content: "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n".to_owned() },
        Text { file: "a.yaml".to_owned(), content: format!("{CHANNEL}spec: 7\n") },
    ];
    let report = check(&texts, "knative-eventing");
    assert_eq!((report.files, report.good), (2, 0));
    assert_eq!((report.count(Severity::Error), report.count(Severity::Warning)), (1, 1));
    assert_eq!(report.findings[0].problem.file, "a.yaml");
}

fn map(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: knative-eventing}}\ndata:\n{data}")
}

#[test]
fn leader_election_that_would_not_be_taken_is_told() {
    let name = "config-kafka-leader-election";
    check_one(
        "a.yaml",
        &map(name, "  leaseDuration: 15s\n  renewDeadline: 10s\n  retryPeriod: 2s\n  buckets: '1'\n"),
        &[],
    );
    let place = "ConfigMap knative-eventing/config-kafka-leader-election: data";
    check_one(
        "a.yaml",
        &map(name, "  leaseDuration: 5s\n  renewDeadline: soon\n  buckets: '3'\n"),
        &[
            &format!(
                "a.yaml:5: error: {place}.leaseDuration: retryPeriod must be shorter than renewDeadline, and renewDeadline \
                 shorter than leaseDuration; otherwise the defaults apply to all three"
            ),
            &format!("a.yaml:6: error: {place}.renewDeadline: \"soon\" is no duration, such as 15s or 1m30s"),
            &format!(
                "a.yaml:7: error: {place}.buckets: there is one Lease: \"3\" would keep control and Knative's controller from \
                 excluding each other"
            ),
        ],
    );
}

#[test]
fn levels_that_are_none_are_told() {
    let good = "  config.xml: |\n    <configuration><root level=\"INFO\"/></configuration>\n";
    check_one("a.yaml", &map("kafka-config-logging", good), &[]);
    check_one(
        "a.yaml",
        &map(
            "kafka-config-logging",
            "  config.xml: |\n    <configuration><root level=\"LOUD\"/></configuration>\n  other: x\n",
        ),
        &[
            "a.yaml:5: error: ConfigMap knative-eventing/kafka-config-logging: data.config.xml: LOUD is not a level of logback",
            "a.yaml:7: warning: ConfigMap knative-eventing/kafka-config-logging: data.other: nobody reads it; levels are in \
             config.xml",
        ],
    );
    check_one(
        "a.yaml",
        &map("config-logging", "  loglevel.controller: loud\n  zap-logger-config: '{'\n"),
        &[
            "a.yaml:5: error: ConfigMap knative-eventing/config-logging: data.loglevel.controller: \"loud\" is none of debug, \
             info, warn, error, dpanic, panic, fatal",
            "a.yaml:6: error: ConfigMap knative-eventing/config-logging: data.zap-logger-config: is not JSON",
        ],
    );
}
