//! From contract to contract: what is kept, what is made anew, what is refused.

use std::time::Duration;

use http::Request;
use http::request::Parts;
use millrace_config::contract;
use millrace_config::properties::{Properties, kafka};
use millrace_runtime::drain::Drain;
use millrace_runtime::metrics::Metrics;
use serde_json::{Value, json};

use super::*;

struct Bench {
    targets: Targets,
    produce: Produce,
    metrics: Metrics,
    generation: u64,
}

fn bench() -> Bench {
    let metrics = Metrics::new();
    let ingress_metrics = IngressMetrics::register(&metrics, true).unwrap();
    let targets = Targets::new(Pool::new(Drain::new(Duration::ZERO)), ingress_metrics);
    let settings = kafka::producer(&Properties::new()).unwrap();
    Bench { targets, produce: Produce { settings, revision: 0 }, metrics, generation: 0 }
}

impl Bench {
    fn apply(&mut self, resources: &[Value]) -> Applied {
        self.generation += 1;
        let contract = json!({"generation": self.generation, "resources": resources}).to_string();
        self.targets.apply(&contract::parse(contract.as_bytes()).unwrap(), &self.produce)
    }
}

fn resource(uid: &str, path: &str) -> Value {
    json!({
        "uid": uid, "topics": [format!("topic-{uid}")], "bootstrapServers": "localhost:1",
        "ingress": {"path": path}, "reference": {"kind": "KafkaChannel", "namespace": "ns", "name": uid},
    })
}

fn with(mut resource: Value, key: &str, value: Value) -> Value {
    resource[key] = value;
    resource
}

fn head(path: &str) -> Parts {
    Request::post(path).header("host", "nowhere").body(()).unwrap().into_parts().0
}

fn find(applied: &Applied, path: &str) -> Option<Arc<Target>> {
    applied.table.resolve(&head(path)).ok()
}

#[track_caller]
fn check_states(applied: &Applied, expected: &[(&str, &str)]) {
    let found: Vec<_> = applied.report.targets.iter().map(|target| (target.uid.as_str(), target.state)).collect();
    assert_eq!(found, expected);
}

#[test]
fn an_unchanged_resource_keeps_its_target_and_a_changed_one_gets_a_new_one() {
    let mut bench = bench();
    let first = bench.apply(&[resource("a", "/a"), resource("b", "/b")]);
    let changed = with(resource("b", "/b"), "topics", json!(["other"]));
    let second = bench.apply(&[resource("a", "/a"), changed]);
    let target = |applied, path| find(applied, path).unwrap();
    assert!(Arc::ptr_eq(&target(&first, "/a"), &target(&second, "/a")));
    assert_eq!((target(&first, "/b").topic.as_str(), target(&second, "/b").topic.as_str()), ("topic-b", "other"));
    // Both talk to the same brokers in the same way.
    assert!(Arc::ptr_eq(&target(&first, "/b").producer, &target(&second, "/b").producer));
}

#[test]
fn what_only_concerns_the_dispatcher_changes_nothing_here_and_a_feature_flag_does() {
    let mut bench = bench();
    let first = bench.apply(&[resource("a", "/a")]);
    let egresses = json!([{"uid": "e", "consumerGroup": "g", "destination": "http://subscriber"}]);
    let second = bench.apply(&[with(resource("a", "/a"), "egresses", egresses)]);
    assert!(Arc::ptr_eq(&find(&first, "/a").unwrap(), &find(&second, "/a").unwrap()));
    let flagged = with(resource("a", "/a"), "featureFlags", json!({"enableEventTypeAutocreate": true}));
    let third = bench.apply(&[flagged]);
    assert!(!Arc::ptr_eq(&find(&first, "/a").unwrap(), &find(&third, "/a").unwrap()));
}

#[test]
fn other_producer_properties_replace_every_producer() {
    let mut bench = bench();
    let first = bench.apply(&[resource("a", "/a")]);
    bench.produce.revision += 1;
    let second = bench.apply(&[resource("a", "/a")]);
    assert!(!Arc::ptr_eq(&find(&first, "/a").unwrap().producer, &find(&second, "/a").unwrap().producer));
}

#[test]
fn removed_resources_and_those_without_ingress_lead_nowhere() {
    let mut bench = bench();
    bench.apply(&[resource("a", "/a"), resource("b", "/b")]);
    let second = bench.apply(&[with(resource("a", "/a"), "ingress", Value::Null)]);
    assert!(find(&second, "/a").is_none() && find(&second, "/b").is_none());
    check_states(&second, &[]);
}

#[test]
fn credentials_in_secrets_are_refused_with_a_reason_and_hurt_nobody_else() {
    let mut bench = bench();
    let secret = with(resource("b", "/b"), "authSecret", json!({"name": "s", "namespace": "ns"}));
    let plain = with(resource("c", "/c"), "multiAuthSecret", json!({"protocol": "PLAINTEXT"}));
    let applied = bench.apply(&[resource("a", "/a"), secret, plain]);
    check_states(&applied, &[("a", "in force"), ("b", "refused"), ("c", "in force")]);
    assert!(find(&applied, "/a").is_some() && find(&applied, "/b").is_none() && find(&applied, "/c").is_some());
    let reason = applied.report.targets[1].reason.as_deref().unwrap();
    assert!(reason.contains("Secrets"), "{reason}");
    assert!(!applied.retry);
}

#[test]
fn a_bad_update_leaves_the_older_version_in_force() {
    let mut bench = bench();
    bench.apply(&[resource("a", "/a")]);
    let secret = with(resource("a", "/new"), "authSecret", json!({"name": "s", "namespace": "ns"}));
    let applied = bench.apply(&[secret]);
    check_states(&applied, &[("a", "older version in force")]);
    assert!(find(&applied, "/a").is_some() && find(&applied, "/new").is_none());
    let refused = bench.apply(&[with(resource("a", "/a"), "topics", json!([]))]);
    check_states(&refused, &[("a", "older version in force")]);
    check_states(&bench.apply(&[resource("a", "/a")]), &[("a", "in force")]);
}

#[test]
fn an_older_version_gives_its_path_up_to_a_new_resource() {
    let mut bench = bench();
    bench.apply(&[resource("a", "/a")]);
    let moved = with(resource("a", "/elsewhere"), "authSecret", json!({"name": "s", "namespace": "ns"}));
    let applied = bench.apply(&[moved, resource("b", "/a")]);
    assert_eq!(find(&applied, "/a").unwrap().resource.uid, "b");
}

#[test]
fn the_second_of_two_with_one_path_is_refused_and_comes_into_force_when_the_first_goes() {
    let mut bench = bench();
    let both = bench.apply(&[resource("a", "/same"), resource("b", "/same")]);
    check_states(&both, &[("a", "in force"), ("b", "refused")]);
    assert_eq!(find(&both, "/same").unwrap().resource.uid, "a");
    let one = bench.apply(&[resource("b", "/same")]);
    check_states(&one, &[("b", "in force")]);
    assert_eq!(find(&one, "/same").unwrap().resource.uid, "b");
}

#[test]
fn a_producer_that_cannot_be_made_is_tried_again_and_the_others_work() {
    let mut bench = bench();
    let good = bench.produce.settings.clone();
    bench.produce.settings.client.insert("no.such.key".to_owned(), "1".to_owned());
    let failed = bench.apply(&[resource("a", "/a")]);
    assert!(failed.retry && find(&failed, "/a").is_none());
    bench.produce.settings = good;
    let applied = bench.apply(&[resource("a", "/a")]);
    assert!(!applied.retry && find(&applied, "/a").is_some());
}

#[test]
fn a_refusal_is_counted_once_however_often_the_contract_is_applied() {
    let mut bench = bench();
    let text = |bench: &Bench| bench.metrics.text();
    for _ in 0..3 {
        bench.apply(&[resource("a", "/same"), resource("b", "/same")]);
    }
    assert!(text(&bench).contains("millrace_ingress_target_refusals_total 1\n"));
    assert!(text(&bench).contains("millrace_ingress_targets_refused 1\n"));
    assert!(text(&bench).contains("millrace_ingress_targets 1\n"));
    assert!(text(&bench).contains("millrace_ingress_producers 1\n"));
    bench.apply(&[resource("a", "/same")]);
    bench.apply(&[resource("a", "/same"), resource("b", "/same")]);
    assert!(text(&bench).contains("millrace_ingress_target_refusals_total 2\n"));
}
