//! `millrace migrate` from the consolidated Kafka channel on a real API server: there, and back to every object as it was.
//!
//! On a server of its own, because the old project's roles and webhooks are objects of the whole cluster.

use millrace_tests::kubernetes::Cluster;
use millrace_tests::kubernetes::objects::Objects;
use serde_json::{Value, json};

use crate::migrate::{journal, migrate, pods, workload};

const SERVICE: &str = "kafka-channel-ingress";
const OLD_LEASE: &str = "kafkachannel-dispatcher.knative.dev.eventing-kafka.pkg.channel.consolidated.reconciler.dispatcher.reconciler.00-of-01";
const RBAC: &str = "rbac.authorization.k8s.io/v1";
const ADMISSION: &str = "admissionregistration.k8s.io/v1";

/// What the old project leaves in a cluster, but for its Deployments.
fn left_overs(namespace: &str) -> Vec<Value> {
    let inside = |api_version: &str, kind: &str, name: &str, rest: Value| {
        let metadata = json!({"name": name, "namespace": namespace});
        let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
        for (field, value) in rest.as_object().unwrap() {
            object[field] = value.clone();
        }
        object
    };
    let outside = |api_version: &str, kind: &str, name: &str, rest: Value| {
        let mut object = inside(api_version, kind, name, rest);
        object["metadata"].as_object_mut().unwrap().remove("namespace");
        object
    };
    let settings =
        "kafka:\n  brokers: kafka-0.kafka:9092\n  authSecretNamespace: vault\n  authSecretName: kafka-auth\n";
    let ports = json!({"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}});
    let scaled = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "kafka-webhook"});
    let mut all = vec![
        inside("v1", "ConfigMap", "config-kafka", json!({"data": {"eventing-kafka": settings}})),
        inside("v1", "ConfigMap", "config-leader-election-kafkachannel", json!({"data": {"buckets": "1"}})),
        inside("v1", "Service", "kafka-webhook", ports.clone()),
        inside("v1", "Service", "kafka-ch-dispatcher", ports),
        inside(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "kafka-webhook",
            json!({"spec": {"maxReplicas": 5, "minReplicas": 1, "scaleTargetRef": scaled}}),
        ),
        inside(
            "policy/v1",
            "PodDisruptionBudget",
            "kafka-webhook",
            json!({"spec": {"minAvailable": "80%", "selector": {"matchLabels": {"app": "kafka-webhook"}}}}),
        ),
        inside("coordination.k8s.io/v1", "Lease", OLD_LEASE, json!({"spec": {"holderIdentity": "old"}})),
        outside(ADMISSION, "MutatingWebhookConfiguration", "defaulting.webhook.kafka.messaging.knative.dev", json!({})),
        outside(
            ADMISSION,
            "ValidatingWebhookConfiguration",
            "validation.webhook.kafka.messaging.knative.dev",
            json!({}),
        ),
    ];
    for name in ["kafka-webhook", "kafka-ch-controller", "kafka-ch-dispatcher"] {
        let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
        all.push(inside("v1", "ServiceAccount", name, json!({})));
        all.push(outside(RBAC, "ClusterRoleBinding", name, json!({"roleRef": role, "subjects": [subject]})));
    }
    let roles = [
        "kafka-webhook",
        "kafka-ch-controller",
        "kafka-ch-dispatcher",
        "kafka-addressable-resolver",
        "kafka-channelable-manipulator",
    ];
    let rules = json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]});
    all.extend(roles.map(|name| outside(RBAC, "ClusterRole", name, rules.clone())));
    all
}

fn found(objects: &Objects, object: &Value) -> Option<Value> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    objects.get(text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

/// An object without what only the server can give.
fn content(mut object: Value) -> Value {
    let fields = object.as_object_mut().unwrap();
    fields.remove("status");
    let meta = fields["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"] {
        meta.remove(field);
    }
    if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    object
}

fn external_name(objects: &Objects, channel: [&str; 4]) -> Value {
    let [api_version, kind, namespace, name] = channel;
    objects.get(api_version, kind, namespace, name).unwrap()["spec"]["externalName"].clone()
}

#[test]
fn the_consolidated_channel_is_left_step_by_step_and_can_be_gone_back_to() {
    let Some(cluster) = Cluster::start_unless_missing() else { return };
    let (objects, namespace, shop) = (cluster.admin(), cluster.fresh_namespace(), cluster.fresh_namespace());
    let all = left_overs(&namespace);
    for object in &all {
        objects.try_apply(object).unwrap_or_else(|refused| panic!("{object}: {refused}"));
    }
    for name in ["kafka-webhook", "kafka-ch-controller", "kafka-ch-dispatcher"] {
        workload(&objects, "Deployment", &namespace, name, false);
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "messaging-webhook-certs", "namespace": namespace}, "stringData": {"key": "k"}});
    objects.try_apply(&secret).unwrap();
    let servers = json!({"bootstrap.servers": "my-cluster-kafka-bootstrap.kafka:9092"});
    let config = ["v1", "ConfigMap", namespace.as_str(), "kafka-channel-config"];
    let metadata = json!({"name": config[3], "namespace": namespace});
    objects
        .try_apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": servers}))
        .unwrap();
    let channel = ["v1", "Service", shop.as_str(), "orders-kn-channel"];
    let old_name = format!("kafka-ch-dispatcher.{namespace}.svc.cluster.local");
    let metadata =
        json!({"name": channel[3], "namespace": shop, "labels": {"messaging.knative.dev/role": "kafka-channel"}});
    let spec = json!({"type": "ExternalName", "externalName": old_name});
    objects.try_apply(&json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})).unwrap();
    let deployments = ["kafka-webhook", "kafka-ch-controller", "kafka-ch-dispatcher"].map(|name| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace}})
    });
    let everything: Vec<&Value> = all.iter().chain(&deployments).collect();
    let before: Vec<Value> = everything.iter().map(|object| content(found(&objects, object).unwrap())).collect();

    let (status, output) = migrate(&cluster, &namespace, &[]);
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("kafka-ch-controller") && output.contains("Nothing was changed"), "{output}");
    assert_eq!(journal(&objects, &namespace), None, "a dry run writes nothing");

    // Traffic is not moved before somebody is there to take it.
    let (status, output) = migrate(&cluster, &namespace, &["--apply", "--wait", "0"]);
    assert_eq!(status, Some(1), "{output}");
    assert_eq!(external_name(&objects, channel), old_name);
    assert_eq!(found(&objects, &deployments[1]), None, "its controller holds the Lease");
    assert!(found(&objects, &deployments[2]).is_some(), "its dispatcher still takes events");
    let moved = objects.get(config[0], config[1], config[2], config[3]).unwrap()["data"].clone();
    let expected = json!({"bootstrap.servers": "kafka-0.kafka:9092", "auth.secret.ref.namespace": "vault",
        "auth.secret.ref.name": "kafka-auth"});
    assert_eq!(moved, expected);

    for name in ["kafka-channel-receiver", "kafka-channel-dispatcher", "kafka-controller"] {
        workload(&objects, "Deployment", &namespace, name, true);
    }
    let (status, output) = migrate(&cluster, &namespace, &["--apply"]);
    assert_eq!(status, Some(0), "{output}");
    assert_eq!(external_name(&objects, channel), format!("{SERVICE}.{namespace}.svc.cluster.local"));
    assert!(output.contains("--finish") && found(&objects, &deployments[2]).is_some(), "{output}");
    let (status, output) = migrate(&cluster, &namespace, &["--apply", "--finish"]);
    assert_eq!(status, Some(0), "{output}");
    for object in &everything {
        assert_eq!(found(&objects, object), None, "{output}");
    }

    let (_, output) = migrate(&cluster, &namespace, &["--back"]);
    assert!(output.contains("restore Deployment") && output.contains("Nothing was changed"), "{output}");
    for name in ["kafka-channel-dispatcher", "kafka-controller"] {
        pods(&objects, &namespace, name, 0);
    }
    let (status, output) = migrate(&cluster, &namespace, &["--back", "--apply"]);
    assert_eq!(status, Some(0), "{output}");
    for (object, before) in everything.iter().zip(&before) {
        let after = found(&objects, object).unwrap_or_else(|| panic!("{object} is not back:\n{output}"));
        assert_eq!(&content(after), before);
    }
    assert_eq!(external_name(&objects, channel), old_name);
    assert_eq!(objects.get(config[0], config[1], config[2], config[3]).unwrap()["data"], servers);
    assert!(journal(&objects, &namespace).is_none_or(|data| data.is_null()), "everything was taken back");
}
