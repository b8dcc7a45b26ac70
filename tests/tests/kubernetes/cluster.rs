//! The harness itself: what the tests of this program rely on.

use millrace_tests::kubernetes::Cluster;
use millrace_tests::kubernetes::objects::{Objects, documents};
use serde_json::json;

#[test]
fn an_object_is_applied_read_changed_and_deleted() {
    let Some(cluster) = Cluster::shared() else { return };
    let (objects, namespace) = (cluster.admin(), cluster.fresh_namespace());
    let object = ["v1", "ConfigMap", &namespace, "colours"];
    let [_, _, _, name] = object;
    objects.apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{sky: blue}}\n"
    ));
    let _changed = objects.patch(object, &json!({"data": {"grass": "green"}}));
    let found = objects.get("v1", "ConfigMap", &namespace, name).unwrap();
    assert_eq!(found["data"], json!({"sky": "blue", "grass": "green"}));
    assert_eq!(objects.list("v1", "ConfigMap", &namespace).len(), 1);
    objects.delete(object);
    assert_eq!(objects.get("v1", "ConfigMap", &namespace, name), None);
}

#[test]
fn an_unknown_field_is_refused_when_applied() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.fresh_namespace();
    let object = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a, namespace: {namespace}}}\nwrong: true\n");
    let refused = cluster.admin().try_apply(&documents(&object)[0]).unwrap_err();
    assert!(refused.message.contains("wrong"), "{refused}");
}

#[test]
fn a_service_account_may_do_only_what_its_role_says() {
    let Some(cluster) = Cluster::shared() else { return };
    let (admin, namespace) = (cluster.admin(), cluster.fresh_namespace());
    admin.apply(&format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: reader, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader, namespace: {namespace}}}
rules: [{{apiGroups: [''], resources: [configmaps], verbs: [get]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: reader, namespace: {namespace}}}]
"
    ));
    let reader = Objects::new(&cluster.service_account(&namespace, "reader"));
    assert_eq!(reader.get("v1", "ConfigMap", &namespace, "absent"), None);
    let refused = reader.try_patch(["v1", "ConfigMap", &namespace, "absent"], "", &json!({})).unwrap_err();
    assert_eq!(refused.code, 403, "{refused}");
}

#[test]
fn what_was_written_outlives_the_server() {
    let Some(mut cluster) = Cluster::start_unless_missing() else { return };
    let namespace = cluster.fresh_namespace();
    cluster.take_away();
    cluster.bring_back();
    assert!(cluster.admin().get("v1", "Namespace", "", &namespace).is_some());
}
