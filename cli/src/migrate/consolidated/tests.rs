//! Which changes a consolidated channel leads to, as tables.

use super::super::plan::{Change, Undo};
use super::*;

const NS: &str = "knative-eventing";
const DOMAIN: &str = "cluster.local";

fn add(world: &mut World, resource: Resource, namespace: &str, name: &str, rest: Value) {
    let mut object = rest;
    object["metadata"]["name"] = json!(name);
    object["metadata"]["namespace"] = json!(namespace);
    world.add(resource, object);
}

fn old() -> World {
    let mut world = World::default();
    add(&mut world, DEPLOYMENT, NS, "kafka-ch-controller", json!({}));
    add(&mut world, DEPLOYMENT, NS, "kafka-ch-dispatcher", json!({}));
    let settings = "kafka:\n  brokers: a:9092,b:9092\n  authSecretName: my-secret\n  authSecretNamespace: ''\n";
    add(&mut world, CONFIG_MAP, NS, "config-kafka", json!({"data": {"eventing-kafka": settings}}));
    add(&mut world, CONFIG_MAP, NS, "kafka-channel-config", json!({"data": {"bootstrap.servers": "x:9092"}}));
    let labels = json!({"messaging.knative.dev/role": "kafka-channel"});
    let service = json!({"metadata": {"labels": labels}, "spec": {"externalName": "kafka-ch-dispatcher.old"}});
    add(&mut world, SERVICE, "shop", "orders-kn-channel", service);
    world
}

fn available(world: &mut World) {
    for name in ["kafka-channel-receiver", "kafka-channel-dispatcher"] {
        add(world, DEPLOYMENT, NS, name, json!({"status": {"availableReplicas": 1}}));
    }
}

fn objects(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.object.to_string()).collect()
}

#[test]
fn a_cluster_without_the_old_project_has_nothing_to_do() {
    let mut world = World::default();
    available(&mut world);
    assert!(plan(&world, NS, DOMAIN, true).is_done());
}

#[test]
fn settings_come_first_and_services_wait_for_the_new_data_plane() {
    let plan = plan(&old(), NS, DOMAIN, true);
    assert_eq!(
        objects(&plan),
        [format!("ConfigMap {NS}/kafka-channel-config"), format!("Deployment {NS}/kafka-ch-controller")]
    );
    let wanted = json!({"data": {"bootstrap.servers": "a:9092,b:9092", "auth.secret.ref.name": "my-secret"}});
    assert_eq!(plan.steps[0].change, Change::Merge(wanted));
    let before = json!({"data": {"bootstrap.servers": "x:9092", "auth.secret.ref.name": null}});
    assert_eq!(plan.steps[0].undo, Some(Undo::Merge(before)), "a key that was not there goes again");
    assert_eq!(plan.waits.len(), 2, "{:?}", plan.waits);
}

#[test]
fn services_lead_to_the_new_ingress_and_the_old_dispatcher_stays_until_the_end() {
    let mut world = old();
    available(&mut world);
    let plan = plan(&world, NS, DOMAIN, true);
    let service = plan.steps.iter().find(|step| step.object.resource == SERVICE).unwrap();
    let external = |name: &str| json!({"spec": {"externalName": name}});
    assert_eq!(service.change, Change::Merge(external("kafka-channel-ingress.knative-eventing.svc.cluster.local")));
    assert_eq!(service.undo, Some(Undo::Merge(external("kafka-ch-dispatcher.old"))));
    assert!(!objects(&plan).iter().any(|object| object.contains("kafka-ch-dispatcher")), "{:?}", objects(&plan));
}

#[test]
fn left_overs_go_with_finish_only() {
    let mut world = old();
    available(&mut world);
    world.objects.retain(|object, _| object.resource != SERVICE && object.name != "kafka-ch-controller");
    add(
        &mut world,
        CONFIG_MAP,
        NS,
        "kafka-channel-config",
        json!({"data": {"bootstrap.servers": "a:9092,b:9092", "auth.secret.ref.name": "my-secret"}}),
    );
    let later = plan(&world, NS, DOMAIN, false);
    assert!(later.is_done() && later.notes[0].contains("--finish"), "{later:?}");
    let last = plan(&world, NS, DOMAIN, true);
    assert_eq!(
        objects(&last),
        [format!("Deployment {NS}/kafka-ch-dispatcher"), format!("ConfigMap {NS}/config-kafka")]
    );
}

#[test]
fn settings_that_cannot_be_read_are_told_and_left() {
    let mut world = old();
    add(&mut world, CONFIG_MAP, NS, "config-kafka", json!({"data": {"eventing-kafka": "a: [b"}}));
    let plan = plan(&world, NS, DOMAIN, false);
    assert!(
        plan.notes[0].contains("eventing-kafka") && !objects(&plan).iter().any(|name| name.contains("channel-config")),
        "{plan:?}"
    );
}

#[test]
fn certificates_of_the_old_webhook_are_kept_nowhere() {
    let mut world = old();
    add(&mut world, SECRET, NS, "messaging-webhook-certs", json!({"data": {"key": "c2VjcmV0"}}));
    let plan = plan(&world, NS, DOMAIN, false);
    let step = plan.steps.iter().find(|step| step.object.resource == SECRET).unwrap();
    assert_eq!(step.undo, None);
}
