//! From the consolidated Kafka channel of eventing-kafka, the predecessor of Knative's current one.
//!
//! Pure. Topic names, group ids, Services' names and the Lease are the same, so nothing moves: its settings are carried
//! over, Services are pointed at the new ingress, and its left-overs go. Its dispatcher stays until `finish`, because it also takes
//! events that still come over old connections and names.
//! Source: control-plane spec 5.

use serde_json::{Value, json};

use super::plan::Plan;
use super::world::{
    AUTOSCALER, BUDGET, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, CONFIG_MAP, DEPLOYMENT, LEASE, MUTATING, Query, Ref,
    Resource, SECRET, SERVICE, SERVICE_ACCOUNT, VALIDATING, World, is_available, text,
};

const OLD_LEASE: &str = "kafkachannel-dispatcher.knative.dev.eventing-kafka.pkg.channel.consolidated.reconciler.dispatcher.reconciler.00-of-01";

/// The controller and the webhook, which go first: they hold the Lease, and answer for every write.
const FIRST: [(Resource, bool, &str); 16] = [
    (MUTATING, false, "defaulting.webhook.kafka.messaging.knative.dev"),
    (VALIDATING, false, "validation.webhook.kafka.messaging.knative.dev"),
    (SERVICE, true, "kafka-webhook"),
    (DEPLOYMENT, true, "kafka-webhook"),
    (AUTOSCALER, true, "kafka-webhook"),
    (BUDGET, true, "kafka-webhook"),
    (SERVICE_ACCOUNT, true, "kafka-webhook"),
    (CLUSTER_ROLE_BINDING, false, "kafka-webhook"),
    (CLUSTER_ROLE, false, "kafka-webhook"),
    (SECRET, true, "messaging-webhook-certs"),
    (DEPLOYMENT, true, "kafka-ch-controller"),
    (CLUSTER_ROLE_BINDING, false, "kafka-ch-controller"),
    (CLUSTER_ROLE, false, "kafka-ch-controller"),
    (SERVICE_ACCOUNT, true, "kafka-ch-controller"),
    (CLUSTER_ROLE, false, "kafka-addressable-resolver"),
    (CLUSTER_ROLE, false, "kafka-channelable-manipulator"),
];

/// The dispatcher and the settings, which go last.
const LAST: [(Resource, bool, &str); 8] = [
    (SERVICE, true, "kafka-ch-dispatcher"),
    (DEPLOYMENT, true, "kafka-ch-dispatcher"),
    (CLUSTER_ROLE_BINDING, false, "kafka-ch-dispatcher"),
    (CLUSTER_ROLE, false, "kafka-ch-dispatcher"),
    (SERVICE_ACCOUNT, true, "kafka-ch-dispatcher"),
    (CONFIG_MAP, true, "config-leader-election-kafkachannel"),
    (LEASE, true, OLD_LEASE),
    (CONFIG_MAP, true, "config-kafka"),
];

fn object(namespace: &str, (resource, namespaced, name): (Resource, bool, &str)) -> Ref {
    Ref::new(resource, if namespaced { namespace } else { "" }, name)
}

/// What is looked at.
pub(super) fn queries(namespace: &str) -> Vec<Query> {
    let mut all: Vec<Query> = FIRST.iter().chain(&LAST).map(|entry| Query::One(object(namespace, *entry))).collect();
    all.push(Query::One(Ref::new(CONFIG_MAP, namespace, "kafka-channel-config")));
    for name in ["kafka-channel-receiver", "kafka-channel-dispatcher"] {
        all.push(Query::One(Ref::new(DEPLOYMENT, namespace, name)));
    }
    all.push(Query::All(SERVICE, "messaging.knative.dev/role=kafka-channel"));
    all
}

/// Whether anything of the old project is there.
pub(super) fn is_there(world: &World, namespace: &str) -> bool {
    FIRST.iter().chain(&LAST).any(|entry| world.get(&object(namespace, *entry)).is_some())
}

/// What can be done now; with `finish` also what traffic may still need.
pub(super) fn plan(world: &World, namespace: &str, domain: &str, finish: bool) -> Plan {
    let mut plan = Plan::default();
    if !is_there(world, namespace) {
        return plan;
    }
    settings(world, namespace, &mut plan);
    for entry in FIRST {
        let object = object(namespace, entry);
        if object.resource == SECRET {
            plan.delete_for_good(world, &object, "left over; its keys are not kept anywhere");
        } else {
            plan.delete(world, &object, "left over of the consolidated channel");
        }
    }
    let mut ready = true;
    for name in ["kafka-channel-receiver", "kafka-channel-dispatcher"] {
        let object = Ref::new(DEPLOYMENT, namespace, name);
        if !world.get(&object).is_some_and(is_available) {
            ready = false;
            plan.wait(format!("{object} to be available, before Services point there"));
        }
    }
    if !ready {
        return plan;
    }
    let wanted = format!("kafka-channel-ingress.{namespace}.svc.{domain}");
    let mut moved = true;
    for (object, found) in world.of(SERVICE) {
        let old = text(found, "/spec/externalName");
        if text(found, "/metadata/labels/messaging.knative.dev~1role") == "kafka-channel" && old != wanted {
            moved = false;
            let external = |name: &str| json!({"spec": {"externalName": name}});
            plan.merge(object, external(&wanted), Some(external(old)), "leads to Millrace's ingress");
        }
    }
    let left = LAST.iter().filter(|entry| world.get(&object(namespace, **entry)).is_some()).count();
    if finish && moved {
        for entry in LAST {
            plan.delete(world, &object(namespace, entry), "left over of the consolidated channel");
        }
    } else if left > 0 {
        plan.note("the old dispatcher and its settings stay until --finish: give traffic ten minutes to move first");
    }
    plan
}

/// Where Kafka is and how to get in, from the old map's YAML.
fn settings(world: &World, namespace: &str, plan: &mut Plan) {
    let Some(old) = world.get(&Ref::new(CONFIG_MAP, namespace, "config-kafka")) else { return };
    let kafka = match serde_saphyr::from_str::<Value>(text(old, "/data/eventing-kafka")) {
        Ok(settings) => settings.get("kafka").cloned().unwrap_or_default(),
        Err(error) => {
            let error = error.without_snippet();
            plan.note(format!("ConfigMap config-kafka, key eventing-kafka: {error}; nothing is taken from it"));
            return;
        }
    };
    let target = Ref::new(CONFIG_MAP, namespace, "kafka-channel-config");
    let Some(current) = world.get(&target) else {
        plan.wait(format!("{target} to be there: apply deploy/overlays/beside-knative"));
        return;
    };
    let (mut data, mut before) = (serde_json::Map::new(), serde_json::Map::new());
    for (old_key, key) in [
        ("/brokers", "bootstrap.servers"),
        ("/authSecretNamespace", "auth.secret.ref.namespace"),
        ("/authSecretName", "auth.secret.ref.name"),
    ] {
        let wanted = text(&kafka, old_key);
        let found = current.get("data").and_then(|data| data.get(key));
        if !wanted.is_empty() && found.and_then(Value::as_str) != Some(wanted) {
            data.insert(key.to_owned(), json!(wanted));
            before.insert(key.to_owned(), found.cloned().unwrap_or_default());
        }
    }
    if !data.is_empty() {
        let (patch, undo) = (json!({"data": data}), json!({"data": before}));
        plan.merge(&target, patch, Some(undo), "the settings of config-kafka");
    }
}

#[cfg(test)]
mod tests;
