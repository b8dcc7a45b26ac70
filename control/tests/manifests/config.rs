//! The ConfigMaps that are shipped, read by the parsers of the processes.

use std::collections::BTreeMap;

use millrace_config::observability::{MetricsExport, Observability};
use millrace_config::properties::{grammar, http_client, http_server, kafka};
use millrace_control::api::decode::{Decoded, decode};
use millrace_control::api::{Object, Source, Sourced};
use millrace_control::index::Index;
use millrace_control::{features, files, kafka_access};
use serde_json::Value;

use super::of_kind;

fn data(folder: &str, name: &str) -> BTreeMap<String, String> {
    let maps = of_kind(folder, "ConfigMap");
    let map = maps.into_iter().find(|map| map["metadata"]["name"] == name).unwrap_or_else(|| panic!("{name}"));
    serde_json::from_value(map["data"].clone()).unwrap()
}

fn index(folders: &[&str]) -> Index {
    let maps = folders.iter().flat_map(|folder| of_kind(folder, "ConfigMap"));
    let object = |map: Value| match decode(&map) {
        Decoded::Object { object, unknown } => {
            assert_eq!(unknown, Vec::<String>::new());
            Sourced { object: *object, source: Source::default() }
        }
        bad @ (Decoded::Bad { .. } | Decoded::Foreign(_)) => panic!("{bad:?}"),
    };
    let objects: Vec<Sourced> = maps.map(object).collect();
    assert!(objects.iter().all(|found| matches!(found.object, Object::ConfigMap(_))));
    Index::build(objects, "knative-eventing")
}

#[test]
fn properties_are_understood_without_a_warning() {
    let data = data("config", "config-kafka-channel-data-plane");
    let file = |kind: &str| {
        let text = &data[&format!("config-kafka-channel-{kind}.properties")];
        grammar::parse(text.as_bytes()).unwrap()
    };
    let none: [millrace_config::properties::Warning; 0] = [];
    assert_eq!(kafka::producer(&file("producer")).unwrap().warnings, none);
    assert_eq!(kafka::consumer(&file("consumer")).unwrap().warnings, none);
    assert_eq!(http_client::http_client(&file("webclient")).unwrap().warnings, none);
    assert_eq!(http_server::http_server(&file("httpserver")).unwrap().warnings, none);
    assert_eq!(data.len(), 4);
}

#[test]
fn properties_are_those_that_control_gives_where_there_is_no_config_map() {
    let data = data("config", "config-kafka-channel-data-plane");
    let mut problems = Vec::new();
    let defaults = files::build(&Index::build(Vec::new(), "knative-eventing"), "none", &mut problems);
    for (name, file) in defaults.properties {
        assert_eq!(data[name], file.default, "{name}");
    }
    let producer = grammar::parse(data["config-kafka-channel-producer.properties"].as_bytes()).unwrap();
    assert_eq!(producer.get("enable.idempotence"), Some("true"));
}

#[test]
fn features_and_servers_are_understood_without_a_problem() {
    let index = index(&["config", "overlays/standalone"]);
    assert_eq!(index.problems, []);
    let mut problems = Vec::new();
    let flags = features::read(&index, &mut problems);
    assert!(flags.channel_topic.is_ok() && flags.delivery_timeout && !flags.oidc && !flags.delivery_retry_after);
    drop(files::build(&index, "config-kafka-channel-data-plane", &mut problems));
    assert_eq!(problems, []);
    let map = &index.config_maps["kafka-channel-config"].object;
    assert_eq!(kafka_access::split_servers(map.text("bootstrap.servers").unwrap()).len(), 1);
}

#[test]
fn observability_is_understood_without_a_warning() {
    let found = Observability::from_values(&data("overlays/standalone", "config-observability")).unwrap();
    assert_eq!(found.warnings, []);
    assert_eq!(found.metrics, MetricsExport::Prometheus { port: 9090, path: "/metrics".to_owned() });
}

#[test]
fn every_key_that_upstream_ships_is_there() {
    let keys = |folder: &str, name: &str| data(folder, name).into_keys().collect::<Vec<_>>();
    for key in [
        "dispatcher-rate-limiter",
        "dispatcher-ordered-executor-metrics",
        "controller-autoscaler-keda",
        "triggers-consumergroup-template",
        "brokers-topic-template",
        "channels-topic-template",
    ] {
        assert!(keys("config", "config-kafka-features").iter().any(|found| found == key), "{key}");
    }
    let election = keys("config", "config-kafka-leader-election");
    for key in ["leaseDuration", "renewDeadline", "retryPeriod", "buckets"] {
        assert!(election.iter().any(|found| found == key), "{key}");
    }
    assert_eq!(election.iter().filter(|key| key.starts_with("map-lease-prefix.")).count(), 2);
    assert_eq!(keys("config", "kafka-config-logging"), ["config.xml"]);
    assert_eq!(keys("config", "kafka-channel-config"), ["bootstrap.servers"]);
}
