//! The overlays in `deploy/`, built by kustomize and applied to a real API server with strict validation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use millrace_tests::PATIENCE;
use millrace_tests::kubernetes::Cluster;
use millrace_tests::kubernetes::install::kubelet::mounted_maps;
use millrace_tests::kubernetes::kustomize;
use millrace_tests::kubernetes::objects::{Objects, documents};
use millrace_tests::wait::wait_for;
use serde_json::{Value, json};

use crate::definitions::defined;

const SYSTEM: &str = "knative-eventing";

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Kinds of other projects, with room for anything: their own definitions are not part of Kubernetes.
fn define_foreign(objects: &Objects, group: &str, kind: &str, plural: &str) {
    let singular = kind.to_lowercase();
    objects.apply(&format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"
    ));
    wait_for("the definition to be served", PATIENCE, || {
        objects.try_text(&format!("/apis/{group}/v1/{plural}")).map(|_| ())
    });
}

/// Applies everything, and checks that no object is there twice and that bindings lead somewhere.
#[track_caller]
fn check_applies(objects: &Objects, yaml: &str) {
    let all = documents(yaml);
    assert!(all.len() > 15, "only {} objects", all.len());
    let identity = |kind: &str, name: &str| format!("{kind} {name}");
    let mut identities = BTreeSet::new();
    for object in &all {
        let new = identities.insert(identity(text(object, "/kind"), text(object, "/metadata/name")));
        assert!(new, "{object} is there twice");
    }
    for binding in all.iter().filter(|object| text(object, "/kind").ends_with("RoleBinding")) {
        let role = identity(text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
        // Knative's own.
        let foreign = role == "ClusterRole addressable-resolver";
        assert!(foreign || identities.contains(&role), "{binding} binds a role that is not there");
        for subject in binding["subjects"].as_array().unwrap() {
            let account = identity(text(subject, "/kind"), text(subject, "/name"));
            assert!(identities.contains(&account), "{binding} binds an account that is not there");
        }
    }
    for deployment in all.iter().filter(|object| text(object, "/kind") == "Deployment") {
        let account = identity("ServiceAccount", text(deployment, "/spec/template/spec/serviceAccountName"));
        assert!(identities.contains(&account), "{account} is not there");
    }
    for object in all {
        objects.try_apply(&object).unwrap_or_else(|refused| panic!("{object}: {refused}"));
    }
}

fn with_namespace(objects: &Objects) {
    objects.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {SYSTEM}}}\n"));
}

#[test]
fn every_overlay_is_accepted() {
    let Some((_, objects, _)) = defined() else { return };
    with_namespace(&objects);
    for overlay in ["standalone", "beside-knative", "take-over", "restricted"] {
        let Some(yaml) = kustomize::build(&folder("overlays").join(overlay)) else { return };
        check_applies(&objects, &yaml);
    }
}

#[test]
fn all_components_together_are_accepted() {
    let Some((_, objects, _)) = defined() else { return };
    with_namespace(&objects);
    define_foreign(&objects, "monitoring.coreos.com", "PodMonitor", "podmonitors");
    define_foreign(&objects, "monitoring.coreos.com", "PrometheusRule", "prometheusrules");
    define_foreign(&objects, "cert-manager.io", "Certificate", "certificates");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let work = tempfile::tempdir_in(&target).unwrap();
    let base = "../../deploy";
    let components = ["any-secret", "cert-manager", "prometheus-operator", "own-controller-name"];
    let components = components.map(|component| format!("{base}/components/{component}"));
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": [format!("{base}/overlays/take-over")],
        "components": components,
    });
    std::fs::write(work.path().join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let Some(yaml) = kustomize::build(work.path()) else { return };
    check_applies(&objects, &yaml);
    let left = documents(&yaml);
    let left: Vec<&str> = left
        .iter()
        .map(|object| text(object, "/metadata/name"))
        .filter(|name| name.starts_with("kafka-controller"))
        .collect();
    assert!(left.is_empty(), "Knative's controller would be replaced: {left:?}");
}

#[test]
fn a_take_over_touches_no_config_map_and_installs_no_definition() {
    let Some(yaml) = kustomize::build(&folder("overlays/take-over")) else { return };
    let all = documents(&yaml);
    let unwanted = ["ConfigMap", "CustomResourceDefinition", "Namespace", "Secret"];
    assert!(all.iter().all(|object| !unwanted.contains(&text(object, "/kind"))));
}

#[test]
fn pods_are_let_into_a_restricted_namespace() {
    let Some((_, objects, namespace)) = defined() else { return };
    let restricted = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let _changed = objects.patch(["v1", "Namespace", "", &namespace], &restricted);
    for overlay in ["standalone", "restricted"] {
        let Some(yaml) = kustomize::build(&folder("overlays").join(overlay)) else { return };
        let deployments = documents(&yaml).into_iter().filter(|object| text(object, "/kind") == "Deployment");
        for deployment in deployments {
            let name = format!("{}-{overlay}", text(&deployment, "/metadata/name"));
            let pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace}, "spec": deployment["spec"]["template"]["spec"]});
            objects.try_apply(&pod).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        }
    }
    let root = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": namespace},
        "spec": {"containers": [{"name": "a", "image": "a"}]}});
    assert!(objects.try_apply(&root).is_err(), "the namespace is not restricted");
}

#[test]
fn accounts_read_the_secrets_that_are_named_and_no_others() {
    // A server of its own: the component any-secret, which another test applies, gives more rights to the whole cluster.
    let Some(cluster) = Cluster::start_unless_missing() else { return };
    let objects = cluster.admin();
    with_namespace(&objects);
    let Some(yaml) = kustomize::build(&folder("overlays/standalone")) else { return };
    objects.apply(&yaml);
    let secrets = format!("/api/v1/namespaces/{SYSTEM}/secrets");
    let watched = format!("{secrets}?fieldSelector=metadata.name%3Dkafka-channel-auth");
    let check = |account: &str, path: &str, allowed: bool| {
        let user = Objects::new(&cluster.service_account(SYSTEM, account));
        // Roles come into force a moment after they were written. A Secret that is not there was allowed to be asked for.
        wait_for("the rights to be as said", PATIENCE, || match user.try_text(path) {
            Err(error) if error.contains("orbidden") == allowed => Err(format!("{account} {path}: {error}")),
            Ok(_) if !allowed => Err(format!("{account} may read {path}")),
            Ok(_) | Err(_) => Ok(()),
        });
    };
    for account in ["kafka-controller", "knative-kafka-channel-data-plane"] {
        check(account, &format!("{secrets}/kafka-channel-auth"), true);
        check(account, &format!("{secrets}/other"), false);
        check(account, &secrets, false);
        check(account, "/api/v1/secrets", false);
    }
    check("kafka-controller", &watched, true);
    check("knative-kafka-channel-data-plane", &watched, false);
    check("kafka-controller", "/apis/messaging.knative.dev/v1/kafkachannels", true);
    check("kafka-controller", "/api/v1/configmaps", false);
    check("knative-kafka-channel-data-plane", "/apis/messaging.knative.dev/v1/kafkachannels", false);
}

#[test]
fn pods_mount_all_maps_of_the_contract_and_control_may_change_these_alone() {
    let Some((cluster, objects, _)) = defined() else { return };
    with_namespace(&objects);
    let Some(yaml) = kustomize::build(&folder("overlays/standalone")) else { return };
    let maps = mounted_maps();
    let all = documents(&yaml);
    for (name, folder) in [
        ("kafka-channel-receiver", "/etc/channels-subscriptions"),
        ("kafka-channel-dispatcher", "/etc/contract-resources"),
    ] {
        let wanted = |object: &&Value| text(object, "/kind") == "Deployment" && text(object, "/metadata/name") == name;
        let pod = &all.iter().find(wanted).unwrap()["spec"]["template"]["spec"];
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["mountPath"] == folder).unwrap();
        // One that is mounted by subPath is never refreshed.
        assert_eq!(mount["subPath"], Value::Null);
        let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        let sources = volume["projected"]["sources"].as_array().unwrap();
        let found: Vec<&str> = sources.iter().map(|source| text(source, "/configMap/name")).collect();
        assert_eq!(found, maps, "{name}");
        let optional: Vec<bool> = sources.iter().map(|source| source["configMap"]["optional"] == true).collect();
        assert_eq!((optional[0], optional.iter().filter(|optional| **optional).count()), (false, maps.len() - 1));
    }
    objects.apply(&yaml);
    let control = Objects::new(&cluster.service_account(SYSTEM, "kafka-controller"));
    for (map, allowed) in [(maps[0].as_str(), true), (maps[16].as_str(), true), ("kafka-channel-config", false)] {
        let map = ["v1", "ConfigMap", SYSTEM, map];
        wait_for("the rights to be as said", PATIENCE, || {
            let code = control.try_patch(map, "", &json!({})).map_or_else(|refused| refused.code, |_| 200);
            // One that is not there was allowed to be asked for.
            if (code != 403) == allowed { Ok(()) } else { Err(format!("{map:?}: {code}")) }
        });
    }
}
