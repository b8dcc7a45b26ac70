//! Tests of the data plane's files.

use super::*;
use crate::api::Sourced;
use crate::testing::{config_map, sourced};

const MAP: &str = "config-kafka-channel-data-plane";
const PRODUCER: &str = "config-kafka-channel-producer.properties";

fn files(objects: Vec<Sourced>) -> (Files, Vec<String>) {
    let mut problems = Vec::new();
    let files = build(&Index::build(objects, "knative-eventing"), MAP, &mut problems);
    (files, problems.iter().map(ToString::to_string).collect())
}

fn with_map(data: &[(&str, &str)]) -> (Files, Vec<String>) {
    files(vec![sourced(config_map("knative-eventing", MAP, data), "dp.yaml", 4)])
}

#[test]
fn without_a_config_map_upstreams_values_are_shipped_with_idempotence() {
    let (files, problems) = files(Vec::new());
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(files.properties.len(), 4);
    let value = |file: &str, key: &str| {
        let wanted = files.properties[file].wanted.clone().unwrap();
        grammar::parse(&wanted).unwrap().get(key).map(str::to_owned)
    };
    for (file, key, expected) in [
        (PRODUCER, "enable.idempotence", Some("true")),
        (PRODUCER, "acks", Some("all")),
        (PRODUCER, "linger.ms", Some("0")),
        ("config-kafka-channel-consumer.properties", "max.poll.records", Some("50")),
        ("config-kafka-channel-consumer.properties", "auto.offset.reset", None),
        ("config-kafka-channel-webclient.properties", "maxPoolSize", Some("100")),
        ("config-kafka-channel-httpserver.properties", "idleTimeout", Some("0")),
    ] {
        assert_eq!(value(file, key).as_deref(), expected, "{key}");
    }
}

#[test]
fn the_data_plane_can_use_what_is_shipped() {
    for (name, default, check) in PROPERTIES {
        check(&shipped(default)).unwrap_or_else(|errors| panic!("{name}: {errors}"));
    }
}

#[test]
fn a_users_file_is_taken_byte_for_byte_and_the_others_stay_shipped() {
    let text = "# mine\nacks=all\nlinger.ms=7\n";
    let (files, problems) = with_map(&[(PRODUCER, text), ("_example", "anything")]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(files.properties[PRODUCER].wanted.as_deref(), Some(text.as_bytes()));
    let other = &files.properties["config-kafka-channel-webclient.properties"];
    assert_eq!(other.wanted.as_deref(), Some(other.default.as_bytes()));
}

#[test]
fn a_bad_value_is_named_with_file_and_key_and_the_file_is_not_touched() {
    let (files, problems) = with_map(&[(PRODUCER, "linger.ms=soon\nacks=all\n")]);
    assert_eq!(files.properties[PRODUCER].wanted, None);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let expected = "dp.yaml:4: ConfigMap knative-eventing/config-kafka-channel-data-plane: \
                    data.config-kafka-channel-producer.properties: linger.ms: ";
    assert!(problems[0].starts_with(expected), "{problems:?}");
    assert!(problems[0].ends_with("the last good file stays"), "{problems:?}");
}

#[test]
fn an_unknown_key_is_reported_and_the_file_is_used() {
    let (files, problems) = with_map(&[(PRODUCER, "linger.mss=5\n"), ("typo.properties", "a=b")]);
    assert!(files.properties[PRODUCER].wanted.is_some());
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("linger.mss")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("data.typo.properties")), "{problems:?}");
}

#[test]
fn what_upstream_ships_makes_no_noise() {
    let upstream = include_str!("../defaults/config-kafka-channel-producer.properties")
        .replace("idempotence=true", "idempotence=false");
    let (_, problems) = with_map(&[
        (PRODUCER, &upstream),
        (
            "config-kafka-channel-consumer.properties",
            include_str!("../defaults/config-kafka-channel-consumer.properties"),
        ),
    ]);
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn features_and_observability_become_one_file_a_key() {
    let (files, problems) = files(vec![
        sourced(config_map("default", "config-features", &[("authentication-oidc", "enabled")]), "a.yaml", 1),
        sourced(config_map("other", "config-observability", &[("metrics-protocol", "prometheus")]), "a.yaml", 9),
        sourced(config_map("other", "kafka-config-logging", &[("config.xml", "<a/>")]), "a.yaml", 19),
    ]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(files.features["authentication-oidc"], b"enabled");
    assert_eq!(files.observability["metrics-protocol"], b"prometheus");
    assert_eq!(files.logging["config.xml"], b"<a/>");
}
