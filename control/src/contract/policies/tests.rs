//! Tests of policies: which apply, and golden documents G23 to G25 of the spec.

use serde_json::json;

use super::*;
use crate::features;
use crate::index::Index;
use crate::testing::{config_map, sourced};

fn channel() -> Meta {
    let labels = [("team".to_owned(), "blue".to_owned())].into();
    Meta { name: "kc".to_owned(), namespace: "test-nc".to_owned(), labels, ..Meta::default() }
}

fn policy(name: &str, spec: &Value, ready: &str, from: &[&str]) -> EventPolicy {
    let status = json!({"from": from, "conditions": [{"type": "Ready", "status": ready}]});
    let metadata = json!({"name": name, "namespace": "test-nc"});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
}

fn flags(data: &[(&str, &str)]) -> Flags {
    let index = Index::build(vec![sourced(config_map("s", features::FEATURES, data), "a.yaml", 1)], "s");
    features::read(&index, &mut Vec::new())
}

#[track_caller]
fn check(spec: &Value, expected: bool) {
    let policies = [policy("p", spec, "True", &[])];
    assert_eq!(!applicable(&policies, &channel()).is_empty(), expected, "{spec}");
}

#[test]
fn a_policy_applies_by_reference_by_labels_or_to_everything_in_its_namespace() {
    let kind = |rest: Value| {
        let mut target = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel"});
        target.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        target
    };
    check(&json!({}), true);
    check(&json!({"to": []}), true);
    check(&json!({"to": [{"ref": kind(json!({"name": "kc"}))}]}), true);
    check(&json!({"to": [{"ref": kind(json!({"name": "other"}))}]}), false);
    check(&json!({"to": [{"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "kc"}}]}), false);
    check(&json!({"to": [{"selector": kind(json!({"matchLabels": {"team": "blue"}}))}]}), true);
    check(&json!({"to": [{"selector": kind(json!({"matchLabels": {"team": "red"}}))}]}), false);
    let expression = |operator: &str, values: &[&str]| json!({"to": [{"selector": kind(json!({"matchExpressions": [{"key": "team", "operator": operator, "values": values}]}))}]});
    check(&expression("In", &["blue", "red"]), true);
    check(&expression("NotIn", &["blue"]), false);
    check(&expression("Exists", &[]), true);
    check(&expression("DoesNotExist", &[]), false);
}

#[test]
fn ready_policies_are_in_the_contract_in_the_order_of_their_names() {
    let flags = flags(&[("authentication-oidc", "enabled")]);
    let filters = json!({"filters": [{"exact": {"type": "a"}}, {"prefix": {"type": "b"}, "cesql": "true"}]});
    let policies =
        [policy("z", &filters, "True", &["system:serviceaccount:ns:*"]), policy("a", &json!({}), "True", &["me"])];
    let found = of_channel(&policies, &channel(), &flags);
    let contract = wire::Contract {
        resources: vec![wire::Resource {
            ingress: Some(wire::Ingress { event_policies: found, ..wire::Ingress::default() }),
            ..wire::Resource::default()
        }],
        ..wire::Contract::default()
    };
    let shown: Value = serde_json::from_slice(&millrace_config::contract::write::to_json(&contract)).unwrap();
    let expected = json!([
        {"tokenMatchers": [{"exact": {"attributes": {"sub": "me"}}}]},
        {"tokenMatchers": [{"prefix": {"attributes": {"sub": "system:serviceaccount:ns:"}}}],
         "filters": [
            {"exact": {"attributes": {"type": "a"}}},
            {"all": {"filters": [{"prefix": {"attributes": {"type": "b"}}}, {"cesql": {"expression": "true"}}]}}
         ]}
    ]);
    assert_eq!(shown["resources"][0]["ingress"]["eventPolicies"], expected);
}

#[test]
fn without_a_ready_policy_the_default_mode_applies() {
    let unready = [policy("p", &json!({}), "False", &["me"])];
    let prefix = |mode: &str| {
        let flags = flags(&[("authentication-oidc", "enabled"), ("default-authorization-mode", mode)]);
        let found = of_channel(&unready, &channel(), &flags);
        found.first().map(|policy| policy.token_matchers[0].prefix.clone().unwrap().attributes["sub"].clone())
    };
    assert_eq!(prefix("allow-same-namespace").as_deref(), Some("system:serviceaccount:test-nc:"));
    assert_eq!(prefix("Allow-All").as_deref(), Some(""));
    assert_eq!(prefix("deny-all"), None);
    assert_eq!(of_channel(&unready, &channel(), &flags(&[])), []);
}
