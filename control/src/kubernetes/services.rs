//! The Service of a channel, through which its address leads to the ingress.
//!
//! Pure. Only what we mean is compared: the server adds defaults of its own. A Service of that name that belongs to
//! somebody else is left alone. Source: control-plane spec 2.5b and section 10.

use serde_json::{Value, json};

use super::marks::{CHANNEL_ROLE, ROLE_LABEL};
use super::objects::ServiceObject;
use crate::addressable::channel_service;
use crate::api::meta::Meta;

/// What has to be done about a channel's Service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// It is as it should be.
    None,
    /// It does not exist.
    Create(Value),
    /// It is ours and differs; a merge patch.
    Patch(Value),
    /// It belongs to somebody else; the text is the peer's.
    Foreign(String),
}

/// Compares a channel's Service with what it should be; `target` is the cluster name of the ingress' Service.
pub(crate) fn change(channel: &Meta, found: Option<&ServiceObject>, target: &str) -> Change {
    let Some(found) = found else { return Change::Create(wanted(channel, target)) };
    if found.owner != channel.uid {
        return Change::Foreign(foreign(channel));
    }
    let ports = [("http", 80), ("https", 443)].map(|(name, port)| (name.to_owned(), port, "TCP".to_owned()));
    if found.labelled && found.kind == "ExternalName" && found.external_name == target && found.ports == ports {
        return Change::None;
    }
    let wanted = wanted(channel, target);
    Change::Patch(json!({"metadata": {"labels": wanted["metadata"]["labels"]}, "spec": wanted["spec"]}))
}

/// Why a channel has no Service though there is one.
pub(crate) fn foreign(channel: &Meta) -> String {
    let service = channel_service(&channel.name);
    format!("kafkachannel: {}/{} does not own Service: {service:?}", channel.namespace, channel.name)
}

fn wanted(channel: &Meta, target: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": channel_service(&channel.name),
            "namespace": channel.namespace,
            "labels": {ROLE_LABEL: CHANNEL_ROLE},
            "ownerReferences": [{
                "apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel", "name": channel.name,
                "uid": channel.uid, "controller": true, "blockOwnerDeletion": true
            }]
        },
        "spec": {
            "type": "ExternalName",
            "externalName": target,
            "ports": [
                {"name": "http", "port": 80, "protocol": "TCP"},
                {"name": "https", "port": 443, "protocol": "TCP"}
            ]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "kafka-channel-ingress.knative-eventing.svc.cluster.local";

    fn channel() -> Meta {
        Meta { name: "kc".into(), namespace: "ns".into(), uid: "u".into(), ..Meta::default() }
    }

    /// What the API server gives back, with its defaults.
    fn stored(change: &Change) -> ServiceObject {
        let Change::Create(value) = change else { panic!("{change:?}") };
        let mut value = value.clone();
        value["spec"]["sessionAffinity"] = json!("None");
        value["spec"]["ports"][0]["targetPort"] = json!(80);
        super::super::objects::service(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_service_is_created_once_and_then_left_alone() {
        let created = change(&channel(), None, TARGET);
        assert_eq!(change(&channel(), Some(&stored(&created)), TARGET), Change::None);
    }

    #[test]
    fn a_service_that_somebody_changed_is_put_right() {
        let created = stored(&change(&channel(), None, TARGET));
        let changed = [
            ServiceObject { external_name: "elsewhere".into(), ..created.clone() },
            ServiceObject { labelled: false, ..created.clone() },
            ServiceObject { ports: Vec::new(), ..created },
        ];
        for found in changed {
            assert!(matches!(change(&channel(), Some(&found), TARGET), Change::Patch(_)), "{found:?}");
        }
    }

    #[test]
    fn a_service_of_somebody_else_is_left_alone() {
        let other = ServiceObject { owner: "other".into(), ..stored(&change(&channel(), None, TARGET)) };
        let expected = r#"kafkachannel: ns/kc does not own Service: "kc-kn-channel""#.to_owned();
        assert_eq!(change(&channel(), Some(&other), TARGET), Change::Foreign(expected));
    }
}
