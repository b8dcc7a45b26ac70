//! From Knative's current Kafka channel: definition, dispatchers, inner objects, webhook.
//!
//! Pure. Channels, Subscriptions, topics, groups and Services stay. The order keeps committed offsets: Knative's inner
//! objects go only while nobody runs who would delete the group in Kafka with them.
//! Source: control-plane spec 1.9, 2.9, 2.11, 3 and 5.

use serde_json::{Value, json};

use super::plan::{Plan, is_stopped};
use super::world::{
    BROKER, CONFIG_MAP, CONSUMER, CONSUMER_GROUP, DEFINITION, DEPLOYMENT, KAFKA_SINK, KAFKA_SOURCE, LEASE, MUTATING,
    Query, Ref, STATEFUL_SET, VALIDATING, World, is_available, is_ours, text,
};

const CHANNELS: &str = "kafkachannels.messaging.knative.dev";
const LEASE_NAME: &str = "kafkachannel-controller.knative.dev.eventing-kafka.pkg.channel.consolidated.reconciler.controller.reconciler.00-of-01";
const MUTATING_WEBHOOKS: [&str; 2] =
    ["defaulting.webhook.kafka.eventing.knative.dev", "pods.defaulting.webhook.kafka.eventing.knative.dev"];
const VALIDATING_WEBHOOK: &str = "validation.webhook.kafka.eventing.knative.dev";

/// What is looked at.
pub(super) fn queries(namespace: &str) -> Vec<Query> {
    let mut all: Vec<Query> = [
        Ref::new(DEFINITION, "", CHANNELS),
        Ref::new(STATEFUL_SET, namespace, "kafka-channel-dispatcher"),
        Ref::new(LEASE, namespace, LEASE_NAME),
        Ref::new(CONFIG_MAP, namespace, "kafka-channel-config"),
        Ref::new(CONFIG_MAP, namespace, "config-kafka-channel-data-plane"),
        Ref::new(VALIDATING, "", VALIDATING_WEBHOOK),
    ]
    .map(Query::One)
    .into();
    let deployments = [
        "kafka-controller",
        "millrace-control",
        "kafka-channel-receiver",
        "kafka-channel-dispatcher",
        "kafka-webhook-eventing",
    ];
    all.extend(deployments.map(|name| Query::One(Ref::new(DEPLOYMENT, namespace, name))));
    all.extend(MUTATING_WEBHOOKS.map(|name| Query::One(Ref::new(MUTATING, "", name))));
    all.extend([CONSUMER_GROUP, CONSUMER, KAFKA_SINK, KAFKA_SOURCE, BROKER].map(|kind| Query::All(kind, "")));
    all
}

/// What can be done now.
pub(super) fn plan(world: &World, namespace: &str) -> Plan {
    let mut plan = Plan::default();
    notes(world, namespace, &mut plan);
    let deployment = |name: &str| Ref::new(DEPLOYMENT, namespace, name);
    let definition = Ref::new(DEFINITION, "", CHANNELS);
    let conversion = world.get(&definition).and_then(|found| found.pointer("/spec/conversion"));
    if let Some(conversion) = conversion.filter(|conversion| text(conversion, "/strategy") == "Webhook") {
        let none = json!({"spec": {"conversion": {"strategy": "None", "webhook": null}}});
        let undo = json!({"spec": {"conversion": conversion}});
        plan.merge(&definition, none, Some(undo), "both versions have the same fields: no webhook is asked any more");
    }
    let control = ["kafka-controller", "millrace-control"].map(deployment);
    let ours = |object: &Ref| world.get(object).is_some_and(|found| is_ours(found) && is_available(found));
    for object in [deployment("kafka-channel-receiver"), deployment("kafka-channel-dispatcher")] {
        if !ours(&object) {
            plan.wait(format!("{object} of Millrace to be available: apply deploy/overlays/take-over"));
        }
    }
    if !control.iter().any(ours) {
        plan.wait("control to be available: apply deploy/overlays/take-over");
    }
    if !plan.waits.is_empty() {
        return plan;
    }
    let dispatchers = Ref::new(STATEFUL_SET, namespace, "kafka-channel-dispatcher");
    let [controller, _] = &control;
    let inner = inner_objects(world);
    let foreign_controller = world.get(controller).is_some_and(|found| !is_ours(found));
    if foreign_controller && !(inner.is_empty() && holds_lease(world, namespace)) {
        let why =
            "it holds the Lease of the channels, and its inner objects of channels can only go while it does not run";
        plan.stop(world, controller, why);
        if !is_stopped(world, controller) {
            plan.wait(format!("{controller} to have no pods"));
            return plan;
        }
    }
    plan.stop(world, &dispatchers, "hands the consumer groups over to Millrace's dispatchers");
    if !is_stopped(world, &dispatchers) {
        plan.wait(format!("{dispatchers} to have no pods"));
    }
    for (object, finalizers) in inner {
        if finalizers {
            let patch = json!({"metadata": {"finalizers": null}});
            plan.merge(&object, patch, None, "its finalizer would delete the consumer group, and with it the offsets");
        }
        plan.delete_for_good(world, &object, "belongs to Knative's scheduler, which makes it again when it is back");
    }
    rest(world, namespace, foreign_controller, controller, &mut plan);
    plan
}

/// Consumers, then groups, of channels only; with whether they have finalizers.
fn inner_objects(world: &World) -> Vec<(Ref, bool)> {
    let label = "/metadata/labels/kafka.eventing.knative.dev~1metadata.kind";
    let owned_by = |found: &Value, kind: &str, name: Option<&str>| {
        let owners = found.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners
            .into_iter()
            .flatten()
            .any(|owner| text(owner, "/kind") == kind && name.is_none_or(|name| text(owner, "/name") == name))
    };
    let groups: Vec<(&Ref, &Value)> = world
        .of(CONSUMER_GROUP)
        .filter(|(_, found)| text(found, label) == "kafkachannel" || owned_by(found, "KafkaChannel", None))
        .collect();
    let consumers = world.of(CONSUMER).filter(|(object, found)| {
        groups.iter().any(|(group, _)| {
            group.namespace == object.namespace && owned_by(found, "ConsumerGroup", Some(&group.name))
        })
    });
    let finalizers = |found: &Value| found.pointer("/metadata/finalizers").is_some_and(|list| list != &json!([]));
    consumers.chain(groups.iter().copied()).map(|(object, found)| (object.clone(), finalizers(found))).collect()
}

/// What Knative's other Kafka components still need stays; what nobody needs goes.
fn rest(world: &World, namespace: &str, foreign_controller: bool, controller: &Ref, plan: &mut Plan) {
    let users = other_users(world);
    let webhook = Ref::new(DEPLOYMENT, namespace, "kafka-webhook-eventing");
    if !users.is_empty() {
        if foreign_controller && is_stopped(world, controller) && inner_objects(world).is_empty() {
            if holds_lease(world, namespace) {
                let (one, none) = (json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 0}}));
                plan.merge(controller, one, Some(none), "it looks after what else is in use");
            } else {
                plan.wait("control to hold the Lease of the channels");
            }
        }
        plan.note(format!("Knative's controller and webhook stay: {} in use", users.join(", ")));
        return;
    }
    for name in MUTATING_WEBHOOKS {
        plan.delete(world, &Ref::new(MUTATING, "", name), "without its process every write would fail");
    }
    plan.delete(world, &Ref::new(VALIDATING, "", VALIDATING_WEBHOOK), "without its process every write would fail");
    plan.stop(world, &webhook, "nothing asks it any more");
}

/// Whether our control, beside a controller of Knative's, is the one that acts on channels.
fn holds_lease(world: &World, namespace: &str) -> bool {
    let lease = world.get(&Ref::new(LEASE, namespace, LEASE_NAME));
    lease.is_some_and(|lease| text(lease, "/spec/holderIdentity").starts_with("millrace-control-"))
}

fn other_users(world: &World) -> Vec<String> {
    let class = "/metadata/annotations/eventing.knative.dev~1broker.class";
    let brokers =
        world.of(BROKER).filter(|(_, found)| matches!(text(found, class), "Kafka" | "KafkaNamespaced")).count();
    [
        (brokers, "Brokers"),
        (world.of(KAFKA_SINK).count(), "KafkaSinks"),
        (world.of(KAFKA_SOURCE).count(), "KafkaSources"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, kind)| format!("{count} {kind}"))
    .collect()
}

fn notes(world: &World, namespace: &str, plan: &mut Plan) {
    let map = |name: &str| world.get(&Ref::new(CONFIG_MAP, namespace, name));
    let secret = map("kafka-channel-config").map(|found| text(found, "/data/auth.secret.ref.name")).unwrap_or_default();
    if !matches!(secret, "" | "kafka-channel-auth") {
        plan.note(format!("the Secret {secret} must be named in both Roles of deploy/base/secrets.yaml"));
    }
    let tuning = map("config-kafka-channel-data-plane");
    let producer =
        tuning.map(|found| text(found, "/data/config-kafka-channel-producer.properties")).unwrap_or_default();
    if producer.lines().any(|line| line.replace(' ', "") == "enable.idempotence=false") {
        plan.note("enable.idempotence=false stays as it is; true keeps retries from storing an event twice");
    }
}

#[cfg(test)]
mod tests;
