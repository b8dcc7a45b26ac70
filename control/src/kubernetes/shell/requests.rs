//! Requests for single objects: paths and bodies.
//!
//! Pure. Source: control-plane spec 1.1 and 1.10.

use serde_json::{Value, json};

use crate::accounts;
use crate::api::meta::Meta;
use crate::kubernetes::marks::{SUBSCRIBABLE, SUBSCRIBABLE_VERSION};
use crate::kubernetes::writes::{Action, Aspect, Key, Write};
use crate::reconcile::plan::FINALIZER;

/// What is written about an object.
pub(super) fn key(aspect: Aspect, meta: &Meta) -> Key {
    (aspect, meta.namespace.clone(), meta.name.clone())
}

/// Merges a body into what is there.
pub(super) fn merge(key: Key, path: String, body: Value, seen: &str) -> Write {
    Write { key, path, action: Action::Merge, body, seen: seen.to_owned(), not_before: None }
}

/// Creates what the body says.
pub(super) fn create(key: Key, path: String, body: Value, seen: &str) -> Write {
    Write { action: Action::Create, ..merge(key, path, body, seen) }
}

/// What a channel's metadata lacks: our finalizer and the annotation that upstream's webhook adds. Nothing when it has both.
pub(super) fn engage(meta: &Meta) -> Option<Write> {
    let mut lacking = json!({});
    if !meta.annotations.contains_key(SUBSCRIBABLE) {
        lacking["annotations"] = json!({SUBSCRIBABLE: SUBSCRIBABLE_VERSION});
    }
    if !is_held(meta) {
        lacking["finalizers"] = json!(finalizers(&meta.finalizers, true));
        // A list that somebody else changed meanwhile must not be overwritten.
        lacking["resourceVersion"] = json!(meta.resource_version);
    }
    let is_complete = lacking.as_object().is_some_and(serde_json::Map::is_empty);
    let write =
        || merge(key(Aspect::Finalizer, meta), channel(meta), json!({"metadata": lacking}), &meta.resource_version);
    (!is_complete).then(write)
}

/// Lets a deleted channel go.
pub(super) fn release(meta: &Meta) -> Write {
    let metadata = json!({"finalizers": finalizers(&meta.finalizers, false), "resourceVersion": meta.resource_version});
    merge(key(Aspect::Finalizer, meta), channel(meta), json!({"metadata": metadata}), &meta.resource_version)
}

/// Whether a channel has our finalizer.
pub(super) fn is_held(meta: &Meta) -> bool {
    meta.finalizers.iter().any(|name| name == FINALIZER)
}

/// The path of a channel.
pub(super) fn channel(meta: &Meta) -> String {
    format!("/apis/messaging.knative.dev/v1beta1/namespaces/{}/kafkachannels/{}", meta.namespace, meta.name)
}

/// Makes the service account of a Subscription.
pub(super) fn create_account(subscription: &Meta) -> Write {
    let path = format!("/api/v1/namespaces/{}/serviceaccounts", subscription.namespace);
    create(account_key(subscription), path, accounts::body(subscription), "")
}

/// Deletes the service account of a Subscription, unless it is another one by now.
pub(super) fn delete_account(subscription: &Meta, uid: &str) -> Write {
    let (_, namespace, name) = account_key(subscription);
    let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
    Write { action: Action::Delete, ..merge(account_key(subscription), path, body, "") }
}

fn account_key(subscription: &Meta) -> Key {
    (Aspect::Account, subscription.namespace.clone(), accounts::name(&subscription.name))
}

/// The finalizers of a channel with ours, or without.
fn finalizers(now: &[String], with_ours: bool) -> Vec<String> {
    let others = now.iter().filter(|name| *name != FINALIZER).cloned();
    others.chain(with_ours.then(|| FINALIZER.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_gets_what_its_metadata_lacks_and_keeps_the_rest() {
        let mut meta =
            Meta { name: "kc".into(), namespace: "ns".into(), resource_version: "7".into(), ..Meta::default() };
        meta.finalizers.push("other".to_owned());
        let body = engage(&meta).map(|write| write.body);
        let expected = json!({"metadata": {
            "annotations": {"messaging.knative.dev/subscribable": "v1"},
            "finalizers": ["other", "kafkachannels.messaging.knative.dev"], "resourceVersion": "7"
        }});
        assert_eq!(body, Some(expected));
        meta.finalizers.push(FINALIZER.to_owned());
        let body = engage(&meta).map(|write| write.body);
        assert_eq!(body, Some(json!({"metadata": {"annotations": {"messaging.knative.dev/subscribable": "v1"}}})));
        // Whatever somebody wrote there.
        meta.annotations.insert(SUBSCRIBABLE.to_owned(), "v2".to_owned());
        assert_eq!(engage(&meta), None);
        assert_eq!(release(&meta).body, json!({"metadata": {"finalizers": ["other"], "resourceVersion": "7"}}));
    }
}
