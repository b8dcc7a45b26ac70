//! Which objects have to be written now, and what to tell people once they were.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;
use tracing::warn;

use super::{Shell, requests};
use crate::accounts::Account;
use crate::addressable::channel_service;
use crate::api::meta::Meta;
use crate::features::FEATURES;
use crate::index::Key;
use crate::kubernetes::events::{About, Events};
use crate::kubernetes::pods;
use crate::kubernetes::services::{self, Change};
use crate::kubernetes::statuses;
use crate::kubernetes::writes::{Aspect, Write};
use crate::reconcile::orphans::NO_CHANNEL;
use crate::reconcile::outcome::{Departure, Outcome};
use crate::status::{ChannelStatus, SubscriptionStatus};

/// How long a status that tells of trouble waits for better news: most trouble of a new object is that something is not
/// there *yet*.
const SETTLE: Duration = Duration::from_millis(300);

/// An event that belongs to a write.
#[derive(Debug, Clone)]
pub(super) struct Note {
    about: About,
    object: Meta,
    is_warning: bool,
    reason: &'static str,
    text: String,
}

impl Note {
    pub(super) fn send(&self, events: &Events) {
        if self.is_warning {
            events.warning(self.about, &self.object, self.reason, &self.text);
        } else {
            events.normal(self.about, &self.object, self.reason, &self.text);
        }
    }
}

impl Shell {
    /// Everything that differs from what it should be.
    pub(super) fn wanted_writes(&mut self, outcome: &Outcome) -> Vec<Write> {
        let now = timestamp();
        let mut writes = Vec::new();
        let mut by_channel: BTreeMap<Key, Vec<&SubscriptionStatus>> = BTreeMap::new();
        for subscription in &outcome.subscriptions {
            let key = (subscription.namespace.clone(), subscription.channel.clone());
            by_channel.entry(key).or_default().push(subscription);
        }
        for found in &outcome.channels {
            let key = (found.namespace.clone(), found.name.clone());
            let subscribers = by_channel.get(&key).map_or(&[][..], Vec::as_slice);
            self.channel_writes(&key, found, subscribers, &now, &mut writes);
        }
        for found in &outcome.departures {
            self.departure_writes(found, &now, &mut writes);
        }
        let published = self.observed.published.resources.values().flat_map(|resource| &resource.egresses);
        let in_contract: HashSet<String> = published.map(|egress| egress.uid.clone()).collect();
        for found in outcome.subscriptions.iter().filter(|found| !found.managed) {
            self.subscription_write(found, in_contract.contains(&found.uid), &now, &mut writes);
        }
        self.pod_writes(&mut writes);
        let keys: BTreeSet<_> = writes.iter().map(|write| write.key.clone()).collect();
        self.differing.retain(|key, _| keys.contains(key));
        let on_its_way = &self.writes;
        self.notes.retain(|key, _| keys.contains(key) || on_its_way.is_running(key));
        writes
    }

    fn channel_writes(
        &mut self,
        key: &Key,
        found: &ChannelStatus,
        subscribers: &[&SubscriptionStatus],
        now: &str,
        writes: &mut Vec<Write>,
    ) {
        let Some(object) = self.watches.channels.get(key) else { return };
        let meta = &object.channel.meta;
        let is_held = requests::is_held(meta);
        writes.extend(requests::engage(meta));
        if !is_held {
            let text = format!("Updated {:?} finalizers", meta.name);
            self.note(Aspect::Finalizer, About::Channel, meta, false, "FinalizerUpdate", text);
        }
        let service = channel_service(&meta.name);
        let existing = self.watches.services.get(&(meta.namespace.clone(), service.clone()));
        let folder = format!("/api/v1/namespaces/{}/services", meta.namespace);
        let write_key = (Aspect::Service, meta.namespace.clone(), service.clone());
        let version = existing.as_ref().map(|existing| existing.version.clone()).unwrap_or_default();
        // One without our label is not among the copies; creating it then fails because it exists.
        let taken = existing.is_none() && self.writes.refused(&write_key);
        let foreign = match services::change(meta, existing.as_deref(), &self.cluster.ingress_host) {
            Change::None => None,
            Change::Create(body) => {
                writes.push(requests::create(write_key, folder, body, &version));
                taken.then(|| services::foreign(meta))
            }
            Change::Patch(body) => {
                writes.push(requests::merge(write_key, format!("{folder}/{service}"), body, &version));
                None
            }
            Change::Foreign(text) => Some(text),
        };
        // Two writes of one object at a time would refuse each other.
        if !is_held {
            return;
        }
        let Some(body) = statuses::channel(&object, found, subscribers, foreign.as_deref(), now) else { return };
        // Nothing is created in Kafka before its name is recorded, so that waits for nothing.
        let hurry = object.channel.recorded_topic.is_none() && !found.topic.is_empty();
        let path = format!("{}/status", requests::channel(meta));
        self.status_write((Aspect::ChannelStatus, About::Channel), meta, &object.status, path, body, hurry, writes);
    }

    fn departure_writes(&mut self, found: &Departure, now: &str, writes: &mut Vec<Write>) {
        let Some(object) = self.watches.channels.get(&(found.namespace.clone(), found.name.clone())) else { return };
        let meta = &object.channel.meta;
        if !requests::is_held(meta) {
            return;
        }
        if found.finished {
            if !found.left_behind.is_empty() {
                let text = found.left_behind.join("; ");
                if !self.notes.contains_key(&requests::key(Aspect::Finalizer, meta)) {
                    warn!(
                        namespace = meta.namespace,
                        name = meta.name,
                        left_behind = text,
                        "Channel goes and leaves something behind"
                    );
                }
                self.note(Aspect::Finalizer, About::Channel, meta, true, "LeftBehind", text);
            }
            writes.push(requests::release(meta));
            return;
        }
        let Some(body) = statuses::departure(&object, found, now) else { return };
        let path = format!("{}/status", requests::channel(meta));
        self.status_write((Aspect::ChannelStatus, About::Channel), meta, &object.status, path, body, false, writes);
    }

    fn subscription_write(
        &mut self,
        found: &SubscriptionStatus,
        in_contract: bool,
        now: &str,
        writes: &mut Vec<Write>,
    ) {
        let Some(object) = self.watches.subscriptions.get(&(found.namespace.clone(), found.name.clone())) else {
            return;
        };
        let reference = &object.subscription.channel;
        // Other channels have other controllers.
        if !crate::index::is_kafka_channel(&reference.kind, reference.api_group()) {
            return;
        }
        let meta = &object.subscription.meta;
        match &found.account {
            Account::Missing(name) | Account::Refused { name, .. } => {
                let lacking = self.observed.cluster.accounts.lack(&meta.namespace, name);
                writes.extend(lacking.then(|| requests::create_account(meta)));
            }
            Account::Leftover { uid, .. } => writes.push(requests::delete_account(meta, uid)),
            Account::Off | Account::Given(_) | Account::Ready(_) => {}
        }
        let Some(body) = statuses::subscription(&object, found, in_contract, now) else { return };
        let path =
            format!("/apis/messaging.knative.dev/v1/namespaces/{}/subscriptions/{}/status", meta.namespace, meta.name);
        let kind = (Aspect::SubscriptionStatus, About::Subscription);
        self.status_write(kind, meta, &object.status, path, body, false, writes);
    }

    #[expect(clippy::too_many_arguments, reason = "one call site a kind of object; a struct would name each twice")]
    fn status_write(
        &mut self,
        (aspect, about): (Aspect, About),
        meta: &Meta,
        before: &Value,
        path: String,
        body: Value,
        hurry: bool,
        writes: &mut Vec<Write>,
    ) {
        let key = requests::key(aspect, meta);
        let since = *self.differing.entry(key.clone()).or_insert_with(Instant::now);
        let ready = ready(&body["status"]);
        let is_ready = ready.is_some_and(|ready| ready["status"] == "True");
        if let Some(ready) = ready.filter(|new| self::ready(before).is_none_or(|old| old["status"] != new["status"])) {
            let text = |field: &str| ready[field].as_str().unwrap_or_default();
            match ready["status"].as_str() {
                Some("True") => self.note(aspect, about, meta, false, "Ready", "everything is in place".to_owned()),
                Some("False") => {
                    let text = format!("{} {}", text("reason"), text("message"));
                    self.note(aspect, about, meta, true, "InternalError", text.trim().to_owned());
                }
                Some(_) if ready["reason"] == NO_CHANNEL => {
                    self.note(aspect, about, meta, true, NO_CHANNEL, text("message").to_owned());
                }
                Some(_) | None => {}
            }
        }
        let mut write = requests::merge(key, path, body, &meta.resource_version);
        write.not_before = (!is_ready && !hurry).then(|| since + SETTLE);
        writes.push(write);
    }

    fn pod_writes(&mut self, writes: &mut Vec<Write>) {
        let features = self.watches.maps.get(&(self.places.system_namespace.clone(), FEATURES.to_owned()));
        let version = features.map(|found| found.version.clone()).unwrap_or_default();
        self.features.note(&version, || Timestamp::now().to_string());
        let generation = self.observed.published.generation;
        for pod in self.watches.pods.all() {
            let Some(body) = pods::annotations(&pod, generation, &self.features.moment) else { continue };
            let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name);
            let key = (Aspect::PodAnnotations, pod.namespace.clone(), pod.name.clone());
            writes.push(requests::merge(key, path, body, &pod.version));
        }
    }

    fn note(
        &mut self,
        aspect: Aspect,
        about: About,
        object: &Meta,
        is_warning: bool,
        reason: &'static str,
        text: String,
    ) {
        let note = Note { about, object: object.clone(), is_warning, reason, text };
        self.notes.insert(requests::key(aspect, object), note);
    }
}

fn ready(status: &Value) -> Option<&Value> {
    status.get("conditions")?.as_array()?.iter().find(|condition| condition["type"] == "Ready")
}

/// As the API writes times.
fn timestamp() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
