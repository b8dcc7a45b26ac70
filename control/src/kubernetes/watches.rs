//! Which objects are copied from the API server.
//!
//! Channels, Subscriptions, policies and channels' Services of all namespaces; the ConfigMaps and the data plane's pods of
//! one namespace each; Secrets one by one, by name; other kinds only while a destination points at one of them, and then
//! only their names and addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ConfigMap as ApiConfigMap, Pod as ApiPod, Secret as ApiSecret, Service as ApiService,
};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::marks;
use super::objects::{self, ChannelObject, MapObject, PodObject, ServiceObject, SubscriptionObject};
use super::store::{Phase, Store, Watch, follow};
use crate::addressable::references::{Found, ReferenceKey};
use crate::api::core::Secret;
use crate::api::policy::EventPolicy;
use crate::index::Key;

/// How soon it is noticed that a kind is served now.
const KIND_AGAIN: Duration = Duration::from_secs(10);

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Of ConfigMaps that are read.
    pub(crate) system_namespace: String,
    /// Of the data plane's pods and of the contract.
    pub(crate) data_plane_namespace: String,
    /// Name of the contract's ConfigMap.
    pub(crate) contract: String,
}

/// All copies.
pub(crate) struct Watches {
    client: Client,
    wake: Arc<Notify>,
    tasks: TaskTracker,
    stop: CancellationToken,
    pub(crate) channels: Store<ChannelObject>,
    pub(crate) subscriptions: Store<SubscriptionObject>,
    pub(crate) policies: Store<Option<EventPolicy>>,
    pub(crate) services: Store<ServiceObject>,
    pub(crate) maps: Store<MapObject>,
    /// The contract's, where it is in another namespace than the other maps.
    contract_maps: Option<Store<MapObject>>,
    pub(crate) pods: Store<PodObject>,
    secrets: BTreeMap<Key, (Store<Secret>, CancellationToken)>,
    /// By apiVersion and kind.
    kinds: BTreeMap<(String, String), (Store<Found>, CancellationToken)>,
}

impl Watches {
    /// Starts to copy; `wake` is told after every change.
    pub(crate) fn start(client: Client, places: &Places, wake: Arc<Notify>, stop: CancellationToken) -> Self {
        let mut watches = Self {
            client: client.clone(),
            wake,
            tasks: TaskTracker::new(),
            stop,
            channels: Store::default(),
            subscriptions: Store::default(),
            policies: Store::default(),
            services: Store::default(),
            maps: Store::default(),
            contract_maps: None,
            pods: Store::default(),
            secrets: BTreeMap::new(),
            kinds: BTreeMap::new(),
        };
        watches.dynamic(("messaging.knative.dev", "v1beta1", "KafkaChannel"), &watches.channels, objects::channel);
        watches.dynamic(("messaging.knative.dev", "v1", "Subscription"), &watches.subscriptions, objects::subscription);
        watches.dynamic(("eventing.knative.dev", "v1alpha1", "EventPolicy"), &watches.policies, objects::policy);
        let of_channels = watcher::Config::default().labels(&format!("{}={}", marks::ROLE_LABEL, marks::CHANNEL_ROLE));
        let all: Api<ApiService> = Api::all(client.clone());
        watches.copy("Service", all, of_channels, &watches.services, objects::service);
        let name = places.contract.clone();
        let maps: Api<ApiConfigMap> = Api::namespaced(client.clone(), &places.system_namespace);
        let convert = move |map| objects::config_map(map, &name);
        watches.copy("ConfigMap", maps, watcher::Config::default(), &watches.maps, convert.clone());
        if places.data_plane_namespace != places.system_namespace {
            let store = Store::default();
            let maps: Api<ApiConfigMap> = Api::namespaced(client.clone(), &places.data_plane_namespace);
            let only = watcher::Config::default().fields(&format!("metadata.name={}", places.contract));
            watches.copy("ConfigMap", maps, only, &store, convert);
            watches.contract_maps = Some(store);
        }
        let of_data_plane = format!("app in ({}, {})", marks::INGRESS, marks::DISPATCHER);
        let all: Api<ApiPod> = Api::namespaced(client, &places.data_plane_namespace);
        watches.copy("Pod", all, watcher::Config::default().labels(&of_data_plane), &watches.pods, objects::pod);
        watches
    }

    fn dynamic<T: Send + Sync + 'static>(
        &self,
        (group, version, kind): (&str, &str, &str),
        store: &Store<T>,
        convert: impl Fn(DynamicObject) -> T + Send + Sync + 'static,
    ) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        self.copy(kind, api, watcher::Config::default(), store, convert);
    }

    fn copy<K, T>(
        &self,
        kind: &str,
        api: Api<K>,
        config: watcher::Config,
        store: &Store<T>,
        convert: impl Fn(K) -> T + Send + Sync + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let watch = Watch { kind: kind.to_owned(), api, config, wake: Arc::clone(&self.wake) };
        self.tasks.spawn(follow(watch, store.clone(), convert, self.stop.clone()));
    }

    /// Copies these Secrets and no others. Gives those that are not known yet.
    pub(crate) fn follow_secrets(&mut self, wanted: &BTreeSet<Key>) -> Vec<Key> {
        self.secrets.retain(|key, (_, stop)| {
            let kept = wanted.contains(key);
            if !kept {
                stop.cancel();
            }
            kept
        });
        for key in wanted {
            if self.secrets.contains_key(key) {
                continue;
            }
            let api: Api<ApiSecret> = Api::namespaced(self.client.clone(), &key.0);
            // One object by name is what a role with names allows.
            let only = watcher::Config::default().fields(&format!("metadata.name={}", key.1));
            let (store, stop) = (Store::default(), self.stop.child_token());
            let watch = Watch { kind: "Secret".to_owned(), api, config: only, wake: Arc::clone(&self.wake) };
            self.tasks.spawn(follow(watch, store.clone(), objects::secret, stop.clone()));
            self.secrets.insert(key.clone(), (store, stop));
        }
        let unknown = self.secrets.iter().filter(|(_, (store, _))| store.phase() == Phase::Waiting);
        unknown.map(|(key, _)| key.clone()).collect()
    }

    /// The Secrets that are copied, and why others are not.
    pub(crate) fn secrets(&self) -> (Vec<Arc<Secret>>, BTreeMap<Key, String>) {
        let found = self.secrets.iter().filter_map(|(key, (store, _))| store.get(key)).collect();
        let failed = self.secrets.iter().filter_map(|(key, (store, _))| match store.phase() {
            Phase::Failed(reason) => Some((key.clone(), reason)),
            Phase::Waiting | Phase::Synced | Phase::Absent => None,
        });
        (found, failed.collect())
    }

    /// Copies the kinds of these objects and no others. True when something is known about all of them.
    pub(crate) fn follow_references(&mut self, wanted: &BTreeSet<ReferenceKey>) -> bool {
        let kinds: BTreeSet<(String, String)> = wanted
            .iter()
            .filter(|key| !is_channel(key))
            .map(|key| (key.api_version.clone(), key.kind.clone()))
            .collect();
        self.kinds.retain(|kind, (_, stop)| {
            let kept = kinds.contains(kind);
            if !kept {
                stop.cancel();
            }
            kept
        });
        for kind in kinds {
            if !self.kinds.contains_key(&kind) {
                let (store, stop) = (Store::default(), self.stop.child_token());
                self.follow_kind(kind.clone(), store.clone(), stop.clone());
                self.kinds.insert(kind, (store, stop));
            }
        }
        self.kinds.values().all(|(store, _)| store.phase() != Phase::Waiting)
    }

    fn follow_kind(&self, (api_version, kind): (String, String), store: Store<Found>, stop: CancellationToken) {
        let (client, wake) = (self.client.clone(), Arc::clone(&self.wake));
        if api_version == "v1" && kind == "Service" {
            // The address of a Service is its name, so nothing else of it is read.
            let api: Api<PartialObjectMeta<ApiService>> = Api::all(client);
            let watch = Watch { kind, api, config: watcher::Config::default(), wake };
            self.tasks.spawn(follow(watch, store, |_| Found::Service, stop));
            return;
        }
        self.tasks.spawn(async move {
            let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
            let gvk = GroupVersionKind::gvk(group, version, &kind);
            let resource = loop {
                let found = tokio::select! {
                    () = stop.cancelled() => return,
                    found = kube::discovery::pinned_kind(&client, &gvk) => found,
                };
                match found {
                    Ok((resource, _)) => break resource,
                    Err(error) => {
                        let reason = format!("cannot be found: {kind} ({api_version}): {}", super::error_text(&error));
                        store.fail(reason);
                        wake.notify_one();
                    }
                }
                sleep(KIND_AGAIN).await;
            };
            let api: Api<DynamicObject> = Api::all_with(client, &resource);
            let watch = Watch { kind, api, config: watcher::Config::default(), wake };
            let convert =
                |object: DynamicObject| object.data.get("status").map_or(Found::NoAddress, objects::addresses);
            follow(watch, store, convert, stop).await;
        });
    }

    /// What is known about these objects.
    pub(crate) fn references(&self, wanted: &BTreeSet<ReferenceKey>) -> BTreeMap<ReferenceKey, Found> {
        let one = |key: &ReferenceKey| {
            let place = (key.namespace.clone(), key.name.clone());
            if is_channel(key) {
                return self.channels.get(&place).map(|channel| objects::addresses(&channel.status));
            }
            let (store, _) = self.kinds.get(&(key.api_version.clone(), key.kind.clone()))?;
            match store.phase() {
                Phase::Synced | Phase::Absent => store.get(&place).map(|found| (*found).clone()),
                Phase::Failed(reason) => Some(Found::Unreadable(reason)),
                Phase::Waiting => Some(Found::Unreadable("is not known yet".to_owned())),
            }
        };
        wanted.iter().filter_map(|key| Some((key.clone(), one(key)?))).collect()
    }

    /// The contract's map; `None` when it does not exist.
    pub(crate) fn contract(&self, places: &Places) -> Option<Arc<MapObject>> {
        let key = (places.data_plane_namespace.clone(), places.contract.clone());
        self.contract_maps.as_ref().unwrap_or(&self.maps).get(&key)
    }

    /// What is not known yet of the objects without which nothing can be decided.
    pub(crate) fn unknown(&self) -> Vec<(&'static str, Phase)> {
        let all = [
            ("KafkaChannel", self.channels.is_synced(), self.channels.phase()),
            ("Subscription", self.subscriptions.is_known(), self.subscriptions.phase()),
            ("EventPolicy", self.policies.is_known(), self.policies.phase()),
            ("Service", self.services.is_synced(), self.services.phase()),
            ("ConfigMap", self.maps.is_synced(), self.maps.phase()),
            ("Pod", self.pods.is_synced(), self.pods.phase()),
        ];
        let contract = self.contract_maps.as_ref().map(|maps| ("ConfigMap", maps.is_synced(), maps.phase()));
        all.into_iter().chain(contract).filter(|(_, known, _)| !known).map(|(kind, _, phase)| (kind, phase)).collect()
    }
}

/// Channels are copied anyway.
fn is_channel(key: &ReferenceKey) -> bool {
    key.kind == "KafkaChannel" && key.api_version.starts_with("messaging.knative.dev/")
}
