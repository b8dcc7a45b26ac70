//! `millrace migrate` on a real API server, on objects as Knative's Kafka channel leaves them.

use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::kubernetes::Cluster;
use millrace_tests::kubernetes::objects::Objects;
use millrace_tests::process::Program;
use millrace_tests::wait::wait_for;
use serde_json::{Value, json};

use crate::definitions::defined;

const LIMIT: Duration = Duration::from_secs(60);
const INTERNAL: &str = "internal.kafka.eventing.knative.dev/v1alpha1";
const VALIDATING: [&str; 4] = [
    "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration",
    "",
    "validation.webhook.kafka.eventing.knative.dev",
];

fn define_internal(objects: &Objects) {
    for (kind, plural) in [("ConsumerGroup", "consumergroups"), ("Consumer", "consumers")] {
        let singular = kind.to_lowercase();
        objects.apply(&format!(
            "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.internal.kafka.eventing.knative.dev}}
spec:
  group: internal.kafka.eventing.knative.dev
  scope: Namespaced
  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"
        ));
        wait_for("the definition to be served", PATIENCE, || {
            objects.try_text(&format!("/apis/{INTERNAL}/{plural}")).map(|_| ())
        });
    }
}

pub(crate) fn workload(objects: &Objects, kind: &str, namespace: &str, name: &str, ours: bool) {
    let labels = if ours { json!({"app.kubernetes.io/part-of": "millrace"}) } else { json!({}) };
    let mut object = json!({"apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}});
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!(name);
    }
    objects.try_apply(&object).unwrap();
    if ours {
        pods(objects, namespace, name, 2);
    }
}

/// What Kubernetes' own controllers would say: how many pods a Deployment has.
pub(crate) fn pods(objects: &Objects, namespace: &str, name: &str, count: i64) {
    let status =
        json!({"observedGeneration": 9, "replicas": count, "readyReplicas": count, "availableReplicas": count});
    let _changed = objects.patch_status(["apps/v1", "Deployment", namespace, name], &status);
}

/// A namespace in the state in which `take-over` has just been applied.
fn half_moved() -> Option<(&'static Cluster, Objects, String)> {
    let (cluster, objects, namespace) = defined()?;
    define_internal(&objects);
    for name in ["kafka-channel-receiver", "kafka-channel-dispatcher", "millrace-control"] {
        workload(&objects, "Deployment", &namespace, name, true);
    }
    workload(&objects, "Deployment", &namespace, "kafka-controller", false);
    workload(&objects, "StatefulSet", &namespace, "kafka-channel-dispatcher", false);
    objects.apply(&format!(
        "
apiVersion: {INTERNAL}
kind: ConsumerGroup
metadata:
  name: group
  namespace: {namespace}
  finalizers: [consumergroups.internal.kafka.eventing.knative.dev]
  labels: {{kafka.eventing.knative.dev/metadata.kind: kafkachannel}}
---
apiVersion: {INTERNAL}
kind: Consumer
metadata:
  name: group-abcde
  namespace: {namespace}
  finalizers: [consumers.internal.kafka.eventing.knative.dev]
  ownerReferences: [{{apiVersion: {INTERNAL}, kind: ConsumerGroup, name: group, uid: some}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: {}}}
",
        VALIDATING[3]
    ));
    Some((cluster, objects, namespace))
}

pub(crate) fn migrate(cluster: &Cluster, namespace: &str, words: &[&str]) -> (Option<i32>, String) {
    let program = Program::named("millrace").env("KUBECONFIG", cluster.kubeconfig("admin"));
    let program = program.arg("migrate").arg("--namespace").arg(namespace);
    let (status, output) = words.iter().fold(program, |program, word| program.arg(word)).run_to_end(LIMIT);
    (status.code(), output)
}

fn replicas(objects: &Objects, kind: &str, namespace: &str, name: &str) -> Option<Value> {
    objects.get("apps/v1", kind, namespace, name).map(|found| found["spec"]["replicas"].clone())
}

pub(crate) fn journal(objects: &Objects, namespace: &str) -> Option<Value> {
    objects.get("v1", "ConfigMap", namespace, "millrace-migration").map(|found| found["data"].clone())
}

#[test]
fn moving_over_can_be_looked_at_done_repeated_and_taken_back() {
    let Some((cluster, objects, namespace)) = half_moved() else { return };
    let set = |replica: i64| {
        assert_eq!(replicas(&objects, "StatefulSet", &namespace, "kafka-channel-dispatcher"), Some(json!(replica)))
    };
    let controller = |replica: i64| {
        assert_eq!(replicas(&objects, "Deployment", &namespace, "kafka-controller"), Some(json!(replica)))
    };

    let (status, output) = migrate(cluster, &namespace, &[]);
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("kafka-controller") && output.contains("Nothing was changed"), "{output}");
    controller(2);
    assert_eq!(journal(&objects, &namespace), None, "a dry run writes nothing");

    let (status, output) = migrate(cluster, &namespace, &["--apply"]);
    assert_eq!(status, Some(0), "{output}");
    set(0);
    controller(0);
    for (kind, name) in [("ConsumerGroup", "group"), ("Consumer", "group-abcde")] {
        assert_eq!(objects.get(INTERNAL, kind, &namespace, name), None, "{output}");
    }
    let [api_version, kind, none, name] = VALIDATING;
    assert_eq!(objects.get(api_version, kind, none, name), None, "{output}");
    let recorded = journal(&objects, &namespace).unwrap();
    assert_eq!(recorded.as_object().unwrap().len(), 3, "{recorded}");

    let (status, output) = migrate(cluster, &namespace, &["--apply"]);
    assert_eq!((status, journal(&objects, &namespace)), (Some(0), Some(recorded)), "{output}");
    assert!(output.contains("Nothing is left to do"), "{output}");

    let (status, output) = migrate(cluster, &namespace, &["--back"]);
    assert_eq!(status, Some(1), "{output}");
    set(0);
    for name in ["millrace-control", "kafka-channel-dispatcher"] {
        pods(&objects, &namespace, name, 0);
    }
    let (status, output) = migrate(cluster, &namespace, &["--back", "--apply"]);
    assert_eq!(status, Some(0), "{output}");
    set(2);
    controller(2);
    assert!(objects.get(api_version, kind, none, name).is_some(), "{output}");
    for name in ["millrace-control", "kafka-channel-dispatcher"] {
        assert_eq!(objects.get("apps/v1", "Deployment", &namespace, name), None, "{output}");
    }
    assert!(journal(&objects, &namespace).is_none_or(|data| data.is_null()), "everything was taken back");
    objects.delete(VALIDATING);
}

#[test]
fn nothing_is_done_before_millrace_is_there() {
    let Some((cluster, objects, namespace)) = defined() else { return };
    workload(&objects, "StatefulSet", &namespace, "kafka-channel-dispatcher", false);
    let (status, output) = migrate(cluster, &namespace, &["--apply", "--wait", "0"]);
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("apply deploy/overlays/take-over"), "{output}");
    assert_eq!(replicas(&objects, "StatefulSet", &namespace, "kafka-channel-dispatcher"), Some(json!(2)));
}

#[test]
fn a_contract_in_several_maps_comes_back_into_one_or_going_back_is_refused() {
    let Some((cluster, objects, namespace)) = defined() else { return };
    let name = "kafka-channel-channels-subscriptions";
    // {"resources":[{"uid":"a","topics":["t"],"egresses":[{"uid":"e"}]}]}
    let shard = "eyJyZXNvdXJjZXMiOlt7InVpZCI6ImEiLCJ0b3BpY3MiOlsidCJdLCJlZ3Jlc3NlcyI6W3sidWlkIjoiZSJ9XX1dfQ==";
    let digest = "601038139c9bdbcd9286b7d9c47b43c66e4f9515097e589335c1c2a093f07aa1";
    let index = json!({"generation": "7", "resources": "in shards", "shards": [{"number": 1, "sha256": digest}]});
    let map = |name: &str, key: &str, base64: &str| {
        let metadata = json!({"name": name, "namespace": namespace});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": {key: base64}});
        objects.try_apply(&map).unwrap();
    };
    map(name, "data", &millrace_tests::kubernetes::install::kubelet::encode(index.to_string().as_bytes()));
    workload(&objects, "Deployment", &namespace, "millrace-control", true);

    let (status, output) = migrate(cluster, &namespace, &["--back", "--apply"]);
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("cannot go back") && output.contains("shard 1 is not there"), "{output}");
    assert_eq!(replicas(&objects, "Deployment", &namespace, "millrace-control"), Some(json!(2)), "nothing was stopped");

    map(&format!("{name}-1"), "data-1", shard);
    pods(&objects, &namespace, "millrace-control", 0);
    let (status, output) = migrate(cluster, &namespace, &["--back", "--apply"]);
    assert_eq!(status, Some(0), "{output}");
    let found = objects.get("v1", "ConfigMap", &namespace, name).unwrap();
    let (_, bytes) = millrace_tests::kubernetes::install::kubelet::files(&found).remove(0);
    let contract: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(contract, json!({"generation": "8", "resources": [{"uid": "a", "topics": ["t"]}]}));
    assert_eq!(objects.get("v1", "ConfigMap", &namespace, &format!("{name}-1")), None);
}
