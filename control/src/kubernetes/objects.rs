//! What is kept of each object of the API server.
//!
//! Pure. Wrong objects are kept, too, with what is wrong: they exist, and somebody has to tell their owners.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMap as ApiConfigMap, Pod as ApiPod, Secret as ApiSecret, Service as ApiService,
    ServiceAccount as ApiServiceAccount,
};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use millrace_config::contract::shards::{self, MOST_SHARDS};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::accounts::ExistingAccount;
use crate::addressable::Address;
use crate::addressable::references::{Found, Named};
use crate::api::channel::{self, Channel, KafkaChannel};
use crate::api::core::{ConfigMap, Secret};
use crate::api::meta::Meta;
use crate::api::policy::EventPolicy;
use crate::api::subscription::{self, Subscription, SubscriptionDocument};
use crate::publish::Existing;

/// A KafkaChannel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChannelObject {
    pub(crate) channel: Channel,
    pub(crate) status: Value,
}

/// A Subscription.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SubscriptionObject {
    pub(crate) subscription: Subscription,
    pub(crate) status: Value,
}

/// A Service of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceObject {
    pub(crate) version: String,
    /// Uid of the controlling owner; empty for none.
    pub(crate) owner: String,
    pub(crate) kind: String,
    pub(crate) external_name: String,
    /// Name, port, protocol.
    pub(crate) ports: Vec<(String, i32, String)>,
    /// Whether the label of channels' Services is there.
    pub(crate) labelled: bool,
}

/// A pod of the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodObject {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// Label `app`.
    pub(crate) app: String,
    pub(crate) address: String,
    pub(crate) ready: bool,
    /// Annotation `volumeGeneration`; empty for none.
    pub(crate) generation: String,
    /// Annotation `configFeaturesUpdatedAt`; empty for none.
    pub(crate) features: String,
    /// Whether it would see shards of the contract, or reads nothing any more.
    pub(crate) sees_shards: bool,
}

/// On the ConfigMaps of shards; one of such a name without it is somebody else's.
pub(crate) const SHARD_LABEL: &str = "millrace.dev/contract-shard";

/// A ConfigMap with the name of a shard of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardObject {
    pub(crate) is_ours: bool,
    pub(crate) bytes: Vec<u8>,
    /// As the index has it.
    pub(crate) digest: String,
}

/// A ConfigMap of the system namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MapObject {
    pub(crate) map: ConfigMap,
    pub(crate) version: String,
    /// Its certificates are to be trusted.
    pub(crate) is_trust_bundle: bool,
    /// For the contract alone: what is in it.
    pub(crate) contract: Option<Existing>,
    /// For the contract alone: how many bytes that is.
    pub(crate) size: usize,
    pub(crate) shard: Option<ShardObject>,
}

/// A service account that was made for tokens; of its data nothing is kept.
pub(crate) fn account(account: PartialObjectMeta<ApiServiceAccount>) -> ExistingAccount {
    let owners = account.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone());
    ExistingAccount { uid: account.uid().unwrap_or_default(), owner: owner.unwrap_or_default() }
}

pub(crate) fn channel(object: DynamicObject) -> ChannelObject {
    let (document, status, fault) = document::<KafkaChannel>(object);
    let mut channel = channel::accept(&document);
    if fault.is_some() {
        channel.fault = fault;
    }
    channel.meta.departing = document.metadata.deletion_timestamp.is_some();
    ChannelObject { channel, status }
}

pub(crate) fn subscription(object: DynamicObject) -> SubscriptionObject {
    let (document, status, fault) = document::<SubscriptionDocument>(object);
    let mut subscription = subscription::accept(&document);
    if fault.is_some() {
        subscription.fault = fault;
    }
    subscription.meta.departing = document.metadata.deletion_timestamp.is_some();
    SubscriptionObject { subscription, status }
}

/// The document, its status, and what is wrong when it does not have the shape that it should have; the document then
/// holds the metadata alone.
fn document<T: DeserializeOwned + Default>(mut object: DynamicObject) -> (T, Value, Option<String>) {
    object.metadata.managed_fields = None;
    let status = object.data.get("status").cloned().unwrap_or_default();
    let metadata = serde_json::to_value(&object.metadata).unwrap_or_default();
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let whole = serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status}));
    match whole {
        Ok(document) => (document, status, None),
        Err(error) => {
            let bare = serde_json::from_value(json!({"metadata": metadata})).unwrap_or_default();
            (bare, status, Some(error.to_string()))
        }
    }
}

pub(crate) fn service(service: ApiService) -> ServiceObject {
    let owners = service.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone());
    let labelled =
        service.labels().get(super::marks::ROLE_LABEL).is_some_and(|role| role == super::marks::CHANNEL_ROLE);
    let version = service.metadata.resource_version.clone().unwrap_or_default();
    let spec = service.spec.unwrap_or_default();
    let ports = spec.ports.unwrap_or_default().into_iter();
    ServiceObject {
        version,
        owner: owner.unwrap_or_default(),
        kind: spec.type_.unwrap_or_default(),
        external_name: spec.external_name.unwrap_or_default(),
        ports: ports
            .map(|port| (port.name.unwrap_or_default(), port.port, port.protocol.unwrap_or_default()))
            .collect(),
        labelled,
    }
}

/// `contract` is the name of the contract's map.
pub(crate) fn pod(pod: ApiPod, contract: &str) -> PodObject {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let is_ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    PodObject {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        version: pod.resource_version().unwrap_or_default(),
        app: pod.labels().get("app").cloned().unwrap_or_default(),
        address: pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_default(),
        ready: is_ready && pod.metadata.deletion_timestamp.is_none(),
        generation: pod.annotations().get(super::marks::GENERATION).cloned().unwrap_or_default(),
        features: pod.annotations().get(super::marks::FEATURES_CHANGED).cloned().unwrap_or_default(),
        sees_shards: pod.metadata.deletion_timestamp.is_some() || has_ended(&pod) || mounts_shards(&pod, contract),
    }
}

fn has_ended(pod: &ApiPod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether one volume has the contract's map and those of all shards.
fn mounts_shards(pod: &ApiPod, contract: &str) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut projected = volumes.filter_map(|volume| volume.projected.as_ref()?.sources.as_ref());
    projected.any(|sources| {
        let names: BTreeSet<&str> =
            sources.iter().filter_map(|source| Some(source.config_map.as_ref()?.name.as_str())).collect();
        let shards = (1..=MOST_SHARDS).all(|number| names.contains(format!("{contract}-{number}").as_str()));
        shards && names.contains(contract)
    })
}

/// `contract` is the name of the map whose content is parsed as one.
pub(crate) fn config_map(map: ApiConfigMap, contract: &str) -> MapObject {
    let mut data: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let is_contract = map.name_any() == contract;
    let is_shard = map.labels().contains_key(SHARD_LABEL);
    let is_trust_bundle = map.labels().get(super::marks::TRUST_BUNDLE).is_some_and(|value| value == "true");
    let version = map.resource_version().unwrap_or_default();
    let meta = Meta {
        annotations: map.annotations().clone(),
        uid: map.uid().unwrap_or_default(),
        resource_version: version.clone(),
        ..meta(map.namespace().unwrap_or_default(), map.name_any())
    };
    let binary = map.binary_data.unwrap_or_default();
    let bytes = |key: &str| binary.get(key).map_or(&[][..], |bytes| &bytes.0);
    let found = is_contract.then(|| crate::publish::parse(bytes("data")));
    let size = if is_contract { bytes("data").len() } else { 0 };
    let shard = shard_number(&meta.name, contract).map(|number| {
        let bytes = bytes(&format!("data-{number}")).to_vec();
        ShardObject { is_ours: is_shard, digest: shards::digest(&bytes), bytes }
    });
    if !is_contract && shard.is_none() {
        data.extend(binary.into_iter().map(|(key, bytes)| (key, bytes.0)));
        data.extend(map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes())));
    }
    MapObject { map: ConfigMap { meta, data }, version, is_trust_bundle, contract: found, size, shard }
}

/// The number in the name of a shard's map.
pub(crate) fn shard_number(name: &str, contract: &str) -> Option<u32> {
    let number = name.strip_prefix(contract)?.strip_prefix('-')?;
    (1..=MOST_SHARDS).find(|known| known.to_string() == number)
}

pub(crate) fn secret(secret: ApiSecret) -> Secret {
    let meta = Meta {
        uid: secret.uid().unwrap_or_default(),
        resource_version: secret.resource_version().unwrap_or_default(),
        ..meta(secret.namespace().unwrap_or_default(), secret.name_any())
    };
    let data = secret.data.unwrap_or_default();
    Secret { meta, data: data.into_iter().map(|(key, bytes)| (key, bytes.0)).collect() }
}

/// A policy that has no readable shape applies to nothing.
pub(crate) fn policy(object: DynamicObject) -> Option<EventPolicy> {
    let metadata = json!({"name": object.name_any(), "namespace": object.namespace()});
    let (spec, status) = (object.data.get("spec"), object.data.get("status"));
    serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).ok()
}

/// What a status says about the address of its object.
pub(crate) fn addresses(status: &Value) -> Found {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let one = |value: &Value| {
        let url = text(value, "url");
        let address = Address { url, ca_certs: text(value, "CACerts"), audience: text(value, "audience") };
        Some(Named { name: text(value, "name"), address }).filter(|named| !named.address.url.is_empty())
    };
    let first = status.get("address").and_then(one);
    let more = status.get("addresses").and_then(Value::as_array).into_iter().flatten().filter_map(one);
    let all: Vec<Named> = first.into_iter().chain(more).collect();
    if all.is_empty() { Found::NoAddress } else { Found::Addresses(all) }
}

fn meta(namespace: String, name: String) -> Meta {
    Meta { name, namespace, ..Meta::default() }
}

#[cfg(test)]
mod tests;
