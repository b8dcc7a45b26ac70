//! Which objects are copied from the API server.
//!
//! Channels, Subscriptions, policies and channels' Services of all namespaces; the ConfigMaps and the data plane's pods of
//! one namespace each. What is copied only while somebody needs it is in `on_demand`.

mod on_demand;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap as ApiConfigMap, Pod as ApiPod, Service as ApiService};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use millrace_config::contract::shards::MOST_SHARDS;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::objects::{self, ChannelObject, MapObject, PodObject, SHARD_LABEL, ServiceObject, SubscriptionObject};
use super::store::{Phase, Store, Watch, follow};
use super::{contract_map, marks};
use crate::accounts::ExistingAccount;
use crate::addressable::references::Found;
use crate::api::core::Secret;
use crate::api::policy::EventPolicy;
use crate::index::Key;

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
    /// The contract's and those of its shards, where they are in another namespace than the other maps.
    contract_maps: Option<[Store<MapObject>; 2]>,
    pub(crate) pods: Store<PodObject>,
    secrets: BTreeMap<Key, (Store<Secret>, CancellationToken)>,
    /// Only while somebody needs them.
    accounts: Option<(Store<ExistingAccount>, CancellationToken)>,
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
            accounts: None,
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
            let stores = [Store::default(), Store::default()];
            let maps: Api<ApiConfigMap> = Api::namespaced(client.clone(), &places.data_plane_namespace);
            let main = watcher::Config::default().fields(&format!("metadata.name={}", places.contract));
            let shards = watcher::Config::default().labels(SHARD_LABEL);
            for (store, only) in stores.iter().zip([main, shards]) {
                watches.copy("ConfigMap", maps.clone(), only, store, convert.clone());
            }
            watches.contract_maps = Some(stores);
        }
        let of_data_plane = format!("app in ({}, {})", marks::INGRESS, marks::DISPATCHER);
        let all: Api<ApiPod> = Api::namespaced(client, &places.data_plane_namespace);
        let name = places.contract.clone();
        let convert = move |pod| objects::pod(pod, &name);
        watches.copy("Pod", all, watcher::Config::default().labels(&of_data_plane), &watches.pods, convert);
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

    /// The contract's map and those of its shards.
    pub(crate) fn contract(&self, places: &Places) -> contract_map::Found {
        let [main, shards] = self.contract_maps.as_ref().map_or([&self.maps; 2], |[main, shards]| [main, shards]);
        let key = |name: String| (places.data_plane_namespace.clone(), name);
        let shard = |number: u32| Some((number, shards.get(&key(format!("{}-{number}", places.contract)))?));
        contract_map::Found {
            main: main.get(&key(places.contract.clone())),
            shards: (1..=MOST_SHARDS).filter_map(shard).collect(),
        }
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
        let contract = self.contract_maps.iter().flat_map(|[main, shards]| {
            // Whoever granted rights by name for the main map alone can go on as long as it suffices.
            let is_tried = shards.phase() != Phase::Waiting;
            [("ConfigMap", main.is_synced(), main.phase()), ("ConfigMap", is_tried, shards.phase())]
        });
        all.into_iter().chain(contract).filter(|(_, known, _)| !known).map(|(kind, _, phase)| (kind, phase)).collect()
    }
}
