//! Tests of the core: the contract against golden documents, and the order in which things become ready.

use std::time::Duration;

use millrace_config::contract::write;
use serde_json::{Value, json};

use super::failure::Failure;
use super::observed::{GroupKey, Probe, Progress, Published, TopicKey};
use super::*;
use crate::addressable::{Addressing, DEFAULT_DOMAIN};
use crate::api::Object;
use crate::status::Truth;
use crate::testing::{config_map, object, settings, sourced};

mod cluster;
mod golden;
mod order;

const UID: &str = "c1234567-8901-2345-6789-123456789101";
const SUB_1: &str = "2f9b5e8e-deb6-11e8-9f32-f2801f1b9fd1";
const SUB_2: &str = "34c5aec8-deb6-11e8-9f32-f2801f1b9fd1";
const TOPIC: &str = "knative-messaging-kafka.test-nc.kc";

fn bootstrap() -> Object {
    config_map("knative-eventing", "kafka-channel-config", &[("bootstrap.servers", "kafka-1:9092,kafka-2:9093")])
}

fn kc(spec: &Value) -> Object {
    object(&json!({
        "apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel",
        "metadata": {"namespace": "test-nc", "name": "kc", "uid": UID}, "spec": spec
    }))
}

fn sub(name: &str, uid: &str, spec: &Value) -> Object {
    let mut spec = spec.clone();
    spec["channel"] = json!({"apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel", "name": "kc"});
    object(&json!({
        "apiVersion": "messaging.knative.dev/v1", "kind": "Subscription",
        "metadata": {"namespace": "test-nc", "name": name, "uid": uid}, "spec": spec
    }))
}

fn all(objects: Vec<Object>) -> Vec<Sourced> {
    objects.into_iter().zip(1..).map(|(object, line)| sourced(object, "a.yaml", line)).collect()
}

fn topic_key() -> TopicKey {
    TopicKey { servers: "kafka-1:9092,kafka-2:9093".to_owned(), topic: TOPIC.to_owned() }
}

/// Lets everything succeed that is asked for, until nothing changes.
fn settle(objects: &[Object], settings: &Settings, mut observed: Observed) -> (Outcome, Observed) {
    for _ in 0..5 {
        let outcome = reconcile(all(objects.to_vec()), settings, &observed);
        for request in &outcome.topics {
            observed.topics.insert(request.key.clone(), Progress::Done);
        }
        for key in &outcome.groups {
            observed.groups.insert(key.clone(), Progress::Done);
        }
        for request in &outcome.probes {
            observed.probes.insert(request.uid.clone(), Probe::Ready);
        }
        observed.published = Published::from(&outcome.contract);
    }
    (reconcile(all(objects.to_vec()), settings, &observed), observed)
}

fn contract_of(objects: &[Object]) -> Value {
    contract_with(objects, &settings())
}

fn contract_with(objects: &[Object], settings: &Settings) -> Value {
    let (outcome, _) = settle(objects, settings, Observed::default());
    serde_json::from_slice(&write::to_json(&outcome.contract)).unwrap()
}

/// Status, reason and message of a condition of the only channel.
fn condition(outcome: &Outcome, kind: &str) -> (Truth, String, String) {
    let condition = outcome.channels[0].conditions.iter().find(|condition| condition.kind == kind);
    let condition = condition.unwrap_or_else(|| panic!("no condition {kind}"));
    (condition.status, condition.reason.clone(), condition.message.clone())
}
