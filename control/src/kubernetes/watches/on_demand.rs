//! What is copied only while somebody needs it: Secrets one by one, by name; service accounts that were made for tokens;
//! other kinds while a destination points at one of them, and then only their names and addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Secret as ApiSecret, Service as ApiService, ServiceAccount as ApiServiceAccount};
use kube::Api;
use kube::api::{DynamicObject, GroupVersionKind};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

use super::Watches;
use crate::accounts::{self, Accounts};
use crate::addressable::references::{Found, ReferenceKey};
use crate::api::core::Secret;
use crate::index::Key;
use crate::kubernetes::objects;
use crate::kubernetes::store::{Phase, Store, Watch, follow};

/// How soon it is noticed that a kind is served now.
const KIND_AGAIN: Duration = Duration::from_secs(10);

impl Watches {
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

    /// Copies the service accounts that were made for tokens, or stops to. True when something is known about them.
    pub(crate) fn follow_accounts(&mut self, wanted: bool) -> bool {
        if !wanted {
            if let Some((_, stop)) = self.accounts.take() {
                stop.cancel();
            }
            return true;
        }
        if self.accounts.is_none() {
            let api: Api<PartialObjectMeta<ApiServiceAccount>> = Api::all(self.client.clone());
            let only = watcher::Config::default().labels(accounts::LABEL);
            let (store, stop) = (Store::default(), self.stop.child_token());
            let wake = Arc::clone(&self.wake);
            let watch = Watch { kind: "ServiceAccount".to_owned(), api, config: only, wake };
            self.tasks.spawn(follow(watch, store.clone(), objects::account, stop.clone()));
            self.accounts = Some((store, stop));
        }
        self.accounts.as_ref().is_some_and(|(store, _)| store.phase() != Phase::Waiting)
    }

    /// What is known about service accounts.
    pub(crate) fn accounts(&self) -> Accounts {
        let Some((store, _)) = &self.accounts else { return Accounts::Unknown };
        match store.phase() {
            Phase::Waiting => Accounts::Unknown,
            Phase::Failed(reason) => Accounts::Unreadable(reason),
            Phase::Synced | Phase::Absent => Accounts::Known(store.entries()),
        }
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
                        let reason = format!(
                            "cannot be found: {kind} ({api_version}): {}",
                            crate::kubernetes::error_text(&error)
                        );
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
}

/// Channels are copied anyway.
fn is_channel(key: &ReferenceKey) -> bool {
    key.kind == "KafkaChannel" && key.api_version.starts_with("messaging.knative.dev/")
}
