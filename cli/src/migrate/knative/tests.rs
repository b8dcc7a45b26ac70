//! Which changes a cluster with the current Kafka channel leads to, as tables.

use super::super::plan::{Change, Undo};
use super::super::world::{Resource, SERVICE};
use super::*;

const NS: &str = "knative-eventing";

fn named(resource: Resource, name: &str, rest: &Value) -> (Resource, Value) {
    let mut object = json!({"metadata": {"name": name, "namespace": NS, "generation": 1}});
    merge(&mut object, rest);
    (resource, object)
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// A Deployment with pods, of ours or of Knative's.
fn running(name: &str, ours: bool) -> (Resource, Value) {
    let mut object =
        json!({"spec": {"replicas": 2}, "status": {"replicas": 2, "availableReplicas": 2, "observedGeneration": 1}});
    if ours {
        object["metadata"] = json!({"labels": {"app.kubernetes.io/part-of": "millrace"}});
    }
    named(DEPLOYMENT, name, &object)
}

fn stopped(resource: Resource, name: &str) -> (Resource, Value) {
    named(resource, name, &json!({"spec": {"replicas": 0}, "status": {"replicas": 0}}))
}

fn definition(strategy: &str) -> (Resource, Value) {
    let conversion = json!({"strategy": strategy, "webhook": {"conversionReviewVersions": ["v1"]}});
    (DEFINITION, json!({"metadata": {"name": CHANNELS}, "spec": {"conversion": conversion}}))
}

fn group() -> [(Resource, Value); 2] {
    let finalizers = json!(["x"]);
    let group = json!({"metadata": {"name": "uid-1", "namespace": "shop", "finalizers": finalizers,
        "labels": {"kafka.eventing.knative.dev/metadata.kind": "kafkachannel"}}});
    let consumer = json!({"metadata": {"name": "uid-1-abcde", "namespace": "shop", "finalizers": finalizers,
        "ownerReferences": [{"kind": "ConsumerGroup", "name": "uid-1"}]}});
    [(CONSUMER_GROUP, group), (CONSUMER, consumer)]
}

fn world(objects: impl IntoIterator<Item = (Resource, Value)>) -> World {
    let mut world = World::default();
    for (resource, value) in objects {
        world.add(resource, value);
    }
    world
}

fn lines(plan: &Plan) -> Vec<String> {
    let shown = |step: &super::super::plan::Step| match &step.change {
        Change::Merge(patch) => format!("{} {patch}", step.object),
        Change::Delete => format!("{} deleted", step.object),
    };
    plan.steps.iter().map(shown).collect()
}

const STOP: &str = r#"{"spec":{"replicas":0}}"#;

#[test]
fn nothing_of_knatives_moves_before_millrace_is_there() {
    let [group, consumer] = group();
    let plan = plan(
        &world([running("kafka-controller", false), running("kafka-channel-receiver", false), group, consumer]),
        NS,
    );
    assert_eq!(lines(&plan), Vec::<String>::new());
    assert_eq!(plan.waits.len(), 3, "{:?}", plan.waits);
}

#[test]
fn the_definition_asks_no_webhook_any_more_and_can_again() {
    let plan = plan(&world([definition("Webhook")]), NS);
    assert_eq!(
        plan.steps[0].change,
        Change::Merge(json!({"spec": {"conversion": {"strategy": "None", "webhook": null}}}))
    );
    let before =
        json!({"spec": {"conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}}});
    assert_eq!(plan.steps[0].undo, Some(Undo::Merge(before)));
    assert!(super::plan(&world([definition("None")]), NS).steps.is_empty());
}

#[test]
fn inner_objects_lose_their_finalizers_before_they_go() {
    let [group, consumer] = group();
    let ours =
        ["kafka-controller", "kafka-channel-receiver", "kafka-channel-dispatcher"].map(|name| running(name, true));
    let objects =
        ours.into_iter().chain([named(STATEFUL_SET, "kafka-channel-dispatcher", &json!({"status": {"replicas": 1}}))]);
    let plan = plan(&world(objects.chain([group, consumer])), NS);
    let no_finalizers = r#"{"metadata":{"finalizers":null}}"#;
    assert_eq!(
        lines(&plan),
        [
            format!("StatefulSet {NS}/kafka-channel-dispatcher {STOP}"),
            format!("Consumer shop/uid-1-abcde {no_finalizers}"),
            "Consumer shop/uid-1-abcde deleted".to_owned(),
            format!("ConsumerGroup shop/uid-1 {no_finalizers}"),
            "ConsumerGroup shop/uid-1 deleted".to_owned(),
        ]
    );
}

#[test]
fn inner_objects_stay_while_knatives_controller_runs() {
    let [group, consumer] = group();
    let ours =
        ["millrace-control", "kafka-channel-receiver", "kafka-channel-dispatcher"].map(|name| running(name, true));
    let plan = plan(&world(ours.into_iter().chain([running("kafka-controller", false), group, consumer])), NS);
    assert_eq!(lines(&plan), [format!("Deployment {NS}/kafka-controller {STOP}")]);
    assert_eq!(plan.waits, [format!("Deployment {NS}/kafka-controller to have no pods")]);
}

#[test]
fn inner_objects_of_sources_and_triggers_are_left_alone() {
    let ours =
        ["kafka-controller", "kafka-channel-receiver", "kafka-channel-dispatcher"].map(|name| running(name, true));
    let other = json!({"metadata": {"name": "s", "namespace": "shop",
        "labels": {"kafka.eventing.knative.dev/metadata.kind": "kafkasource"}}});
    let of_other = json!({"metadata": {"name": "s-1", "namespace": "shop",
        "ownerReferences": [{"kind": "ConsumerGroup", "name": "s"}]}});
    let plan = plan(&world(ours.into_iter().chain([(CONSUMER_GROUP, other), (CONSUMER, of_other)])), NS);
    assert!(plan.is_done(), "{plan:?}");
}

#[test]
fn knatives_controller_comes_back_for_others_once_we_hold_the_lease() {
    let ours =
        ["millrace-control", "kafka-channel-receiver", "kafka-channel-dispatcher"].map(|name| running(name, true));
    let source = (KAFKA_SOURCE, json!({"metadata": {"name": "a", "namespace": "shop"}}));
    let mut objects = world(ours.into_iter().chain([stopped(DEPLOYMENT, "kafka-controller"), source]));
    let waiting = plan(&objects, NS);
    assert_eq!((lines(&waiting).len(), waiting.waits.len()), (0, 1), "{waiting:?}");
    let (lease, value) = named(LEASE, LEASE_NAME, &json!({"spec": {"holderIdentity": "millrace-control-abc"}}));
    objects.add(lease, value);
    let back = plan(&objects, NS);
    assert_eq!(lines(&back), [format!(r#"Deployment {NS}/kafka-controller {{"spec":{{"replicas":1}}}}"#)]);
    assert!(back.notes.iter().any(|note| note.contains("1 KafkaSources")), "{:?}", back.notes);
}

#[test]
fn a_controller_that_holds_the_lease_makes_room_even_without_inner_objects() {
    let ours =
        ["millrace-control", "kafka-channel-receiver", "kafka-channel-dispatcher"].map(|name| running(name, true));
    let mut objects = world(ours.into_iter().chain([running("kafka-controller", false)]));
    assert_eq!(lines(&plan(&objects, NS)), [format!("Deployment {NS}/kafka-controller {STOP}")]);
    let (lease, value) = named(LEASE, LEASE_NAME, &json!({"spec": {"holderIdentity": "millrace-control-abc"}}));
    objects.add(lease, value);
    assert!(plan(&objects, NS).is_done());
}

#[test]
fn a_webhook_that_nobody_needs_is_not_asked_any_more() {
    let ours =
        ["kafka-controller", "kafka-channel-receiver", "kafka-channel-dispatcher"].map(|name| running(name, true));
    let webhook = (VALIDATING, json!({"metadata": {"name": VALIDATING_WEBHOOK}}));
    let plan = plan(&world(ours.into_iter().chain([webhook, running("kafka-webhook-eventing", false)])), NS);
    assert_eq!(
        lines(&plan),
        [
            format!("ValidatingWebhookConfiguration {VALIDATING_WEBHOOK} deleted"),
            format!("Deployment {NS}/kafka-webhook-eventing {STOP}"),
        ]
    );
}

#[test]
fn names_of_secrets_and_settings_worth_a_look_are_told() {
    let config = named(CONFIG_MAP, "kafka-channel-config", &json!({"data": {"auth.secret.ref.name": "strimzi"}}));
    let tuning = json!({"data": {"config-kafka-channel-producer.properties": "acks=all\nenable.idempotence=false\n"}});
    let plan = plan(&world([config, named(CONFIG_MAP, "config-kafka-channel-data-plane", &tuning)]), NS);
    assert!(
        plan.notes[0].contains("Secret strimzi") && plan.notes[1].contains("enable.idempotence"),
        "{:?}",
        plan.notes
    );
}

#[test]
fn objects_that_no_plan_knows_change_nothing() {
    let before = plan(&World::default(), NS);
    assert_eq!(plan(&world([named(SERVICE, "other", &json!({}))]), NS), before);
}
