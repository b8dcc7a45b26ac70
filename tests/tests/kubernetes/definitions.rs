//! The definitions in `deploy/crds`, as a real API server keeps them: defaults, limits, what is fixed, and who writes.

use std::path::Path;
use std::sync::Once;

use millrace_tests::PATIENCE;
use millrace_tests::kubernetes::objects::{Objects, documents};
use millrace_tests::kubernetes::{Cluster, EVENTING_CONTROLLER};
use millrace_tests::wait::wait_for;
use serde_json::{Value, json};

/// A file below `deploy/`.
pub(crate) fn deploy(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cluster with our definitions in force, and a namespace for one test.
pub(crate) fn defined() -> Option<(&'static Cluster, Objects, String)> {
    static ONCE: Once = Once::new();
    let cluster = Cluster::shared()?;
    let objects = cluster.admin();
    let namespace = cluster.fresh_namespace();
    ONCE.call_once(|| {
        objects.apply(&deploy("crds/kafka-channel/kafkachannels.yaml"));
        objects.apply(&deploy("crds/subscription/subscriptions.yaml"));
        objects.apply(&deploy("crds/kafka-channel/admission.yaml"));
    });
    // Definitions and policies come into force a moment after they were written: until then a wrong annotation passes.
    wait_for("the definitions to be in force", PATIENCE, || {
        let scope = json!({"eventing.knative.dev/scope": "nonsense"});
        let probe = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel",
            "metadata": {"name": "probe", "namespace": namespace, "annotations": scope}});
        match objects.try_apply(&probe) {
            Err(refused) if refused.message.contains("must be cluster or namespace") => {
                let subscriptions = objects.try_text("/apis/messaging.knative.dev/v1/subscriptions");
                subscriptions.map(|_| ()).map_err(|error| format!("Subscription: {error}"))
            }
            Err(refused) => Err(refused.to_string()),
            Ok(_) => {
                objects.delete(["messaging.knative.dev/v1", "KafkaChannel", &namespace, "probe"]);
                Err("the policy is not in force".to_owned())
            }
        }
    });
    Some((cluster, objects, namespace))
}

fn channel(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn subscription(namespace: &str, spec: &Value) -> Value {
    json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Subscription",
        "metadata": {"name": "a", "namespace": namespace}, "spec": spec})
}

#[track_caller]
fn check_refused(objects: &Objects, object: &Value, why: &str) {
    match objects.try_apply(object) {
        Err(refused) => assert!(refused.message.contains(why), "{object}: {refused}"),
        Ok(_) => panic!("accepted: {object}"),
    }
}

#[test]
fn a_channel_without_a_spec_gets_upstreams_defaults() {
    let Some((_, objects, namespace)) = defined() else { return };
    let made = objects
        .try_apply(&json!({"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel",
            "metadata": {"name": "a", "namespace": namespace}}))
        .unwrap();
    assert_eq!(made["spec"], json!({"numPartitions": 1, "replicationFactor": 1, "retentionDuration": "PT168H"}));
}

#[test]
fn a_channel_is_the_same_in_both_versions() {
    let Some((_, objects, namespace)) = defined() else { return };
    let spec = json!({"numPartitions": 3, "replicationFactor": 2, "retentionDuration": "P1D",
        "delivery": {"retry": 5, "backoffDelay": "PT0.5S", "backoffPolicy": "anything", "timeout": "PT5S",
            "deadLetterSink": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "dead"}}}});
    objects.try_apply(&channel(&namespace, "a", &spec)).unwrap();
    let newer = objects.get("messaging.knative.dev/v1", "KafkaChannel", &namespace, "a").unwrap();
    assert_eq!((newer["apiVersion"].as_str(), &newer["spec"]), (Some("messaging.knative.dev/v1"), &spec));
    let definition =
        objects.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "kafkachannels.messaging.knative.dev");
    assert_eq!(definition.unwrap()["status"]["storedVersions"], json!(["v1beta1"]));
}

#[test]
fn what_belongs_to_the_topic_is_fixed() {
    let Some((_, objects, namespace)) = defined() else { return };
    let spec = |partitions: i64, replication: i64, retention: &str| json!({"numPartitions": partitions, "replicationFactor": replication, "retentionDuration": retention});
    objects.try_apply(&channel(&namespace, "a", &spec(0, 2, ""))).unwrap();
    check_refused(&objects, &channel(&namespace, "a", &spec(2, 2, "")), "numPartitions is fixed");
    check_refused(&objects, &channel(&namespace, "a", &spec(1, 3, "")), "replicationFactor is fixed");
    check_refused(&objects, &channel(&namespace, "a", &json!({})), "replicationFactor is fixed");
    // 0 and 1 mean the same, and a retention may be set where there was none.
    objects.try_apply(&channel(&namespace, "a", &spec(1, 2, "PT1H"))).unwrap();
    check_refused(&objects, &channel(&namespace, "a", &spec(1, 2, "PT2H")), "retentionDuration is fixed");
    let mut delivery = spec(1, 2, "PT1H");
    delivery["delivery"] = json!({"retry": 1});
    objects.try_apply(&channel(&namespace, "a", &delivery)).unwrap();
}

#[test]
fn a_channel_that_makes_no_sense_is_refused() {
    let Some((_, objects, namespace)) = defined() else { return };
    for (spec, why) in [
        (json!({"numPartitions": -1}), "numPartitions"),
        (json!({"replicationFactor": 32768}), "replicationFactor"),
        (json!({"retentionDuration": "7 days"}), "ISO-8601"),
        (json!({"retentionDuration": "-PT1H"}), "ISO-8601"),
        (json!({"retentionDuration": "P1DT"}), "ISO-8601"),
        (json!({"retentionDuration": "PT"}), "ISO-8601"),
        (json!({"retentionDuration": "PT1S2H"}), "ISO-8601"),
        (json!({"subscribers": [{"uid": "a"}]}), "needs a subscriberUri or a replyUri"),
        (json!({"subscribers": [{"uid": "a", "subscriberUri": ""}]}), "needs a subscriberUri or a replyUri"),
        (json!({"partitions": 3}), "field not declared in schema"),
        (json!({"delivery": {"retires": 3}}), "field not declared in schema"),
    ] {
        check_refused(&objects, &channel(&namespace, "a", &spec), why);
    }
    for good in ["P7D", "PT0.5S", "P1Y2M3W4DT5H6M7.8S", "+PT1H", "PT1,5H"] {
        objects
            .try_apply(&channel(
                &namespace,
                good.to_lowercase().replace(['+', ',', '.'], "-").trim_matches('-'),
                &json!({"retentionDuration": good}),
            ))
            .unwrap();
    }
}

#[test]
fn only_knatives_controller_changes_subscribers() {
    let Some((cluster, admin, namespace)) = defined() else { return };
    let subscribers = |uri: &str| json!({"subscribers": [{"uid": "a", "subscriberUri": uri}]});
    admin.try_apply(&channel(&namespace, "a", &subscribers("http://restored/"))).unwrap();
    check_refused(&admin, &channel(&namespace, "a", &subscribers("http://other/")), "make a Subscription instead");
    let object = ["messaging.knative.dev/v1", "KafkaChannel", namespace.as_str(), "a"];
    let refused = admin.try_patch(object, "", &json!({"spec": {"subscribers": []}})).unwrap_err();
    assert_eq!(refused.code, 403, "{refused}");
    // Everything else may be changed by everybody with the right to.
    let _changed = admin.patch(object, &json!({"metadata": {"finalizers": ["kafkachannels.messaging.knative.dev"]}, "spec": {"delivery": {"retry": 2}}}));
    let _changed = admin.patch(object, &json!({"metadata": {"finalizers": null}}));
    admin.apply(&deploy("base/aggregated-roles.yaml"));
    admin.apply(&format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: manipulator, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: knative-kafka-channelable-manipulator}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: '{EVENTING_CONTROLLER}'}}]
"
    ));
    let controller = Objects::new(&cluster.kubeconfig(EVENTING_CONTROLLER));
    let change = json!({"spec": subscribers("http://changed/")});
    // A role comes into force a moment after it was written.
    wait_for("the controller to be allowed", PATIENCE, || {
        controller.try_patch(object, "", &change).map(|_| ()).map_err(|refused| refused.to_string())
    });
    let found = admin.get(object[0], object[1], object[2], object[3]).unwrap();
    assert_eq!(found["spec"]["subscribers"][0]["subscriberUri"], "http://changed/");
    assert_eq!(found["spec"]["delivery"]["retry"], 2);
}

#[test]
fn a_subscription_that_makes_no_sense_is_refused() {
    let Some((_, objects, namespace)) = defined() else { return };
    let channel = json!({"apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel", "name": "a"});
    let to = json!({"uri": "http://a/"});
    let with = |delivery: Value| json!({"channel": channel, "subscriber": to, "delivery": delivery});
    for (spec, why) in [
        (json!({"subscriber": to}), "spec.channel"),
        (json!({"channel": channel, "reply": to}), "spec.subscriber"),
        (json!({"channel": {"kind": "KafkaChannel"}, "subscriber": to}), "apiVersion, kind and name"),
        (json!({"channel": channel, "subscriber": {}}), "needs a ref or a uri"),
        (json!({"channel": channel, "subscriber": {"uri": "/path"}}), "must be absolute"),
        (json!({"channel": channel, "subscriber": {"ref": {"kind": "Service"}}}), "apiVersion, kind and name"),
        (json!({"channel": channel, "subscriber": to, "reply": {"uri": "path"}}), "must be absolute"),
        (with(json!({"retry": -1})), "retry"),
        (with(json!({"backoffPolicy": "quadratic"})), "backoffPolicy"),
        (with(json!({"backoffDelay": "1s"})), "ISO-8601"),
        (with(json!({"timeout": "PT0S"})), "must not be zero"),
        (with(json!({"retryAfterMax": "-PT1S"})), "ISO-8601"),
        (with(json!({"format": "xml"})), "format"),
        (with(json!({"deadLetterSink": {}})), "needs a ref or a uri"),
    ] {
        check_refused(&objects, &subscription(&namespace, &spec), why);
    }
    let good = with(json!({"retry": 3, "backoffPolicy": "linear", "backoffDelay": "PT0.2S", "timeout": "PT0.1S",
        "retryAfterMax": "PT0S", "format": "json"}));
    objects.try_apply(&subscription(&namespace, &good)).unwrap();
    let mut moved = good.clone();
    moved["channel"]["name"] = json!("b");
    check_refused(&objects, &subscription(&namespace, &moved), "channel is fixed");
}

#[test]
fn every_field_explains_itself_to_kubectl() {
    let Some((_, objects, _)) = defined() else { return };
    let served = objects.try_text("/openapi/v3/apis/messaging.knative.dev/v1").unwrap();
    for sentence in ["Written by Knative's Subscription controller", "Fixed once the Subscription exists"] {
        assert!(served.contains(sentence), "{sentence}");
    }
}

#[test]
fn examples_are_taken_as_they_are() {
    let Some((_, objects, namespace)) = defined() else { return };
    for file in ["hello/channel.yaml", "hello/subscriptions.yaml", "ordered/channel.yaml", "ordered/subscriptions.yaml"]
    {
        for mut object in documents(&deploy(&format!("examples/{file}"))) {
            object["metadata"]["namespace"] = json!(namespace);
            objects.try_apply(&object).unwrap_or_else(|refused| panic!("{file}: {refused}"));
        }
    }
}
