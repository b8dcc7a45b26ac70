//! All objects, found by kind, namespace and name, with who belongs to whom.
//!
//! Pure. Gives objects without a uid a stable one, and refuses the second of two objects with one identity or uid:
//! two entries with one uid would make the data plane refuse both.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::addressable::references::References;
use crate::api::channel::Channel;
use crate::api::core::{ConfigMap, Secret};
use crate::api::subscription::Subscription;
use crate::api::{Identity, Object, Problem, Source, Sourced};

/// Namespace and name.
pub type Key = (String, String);

/// An object and the place it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<T> {
    /// Checked; its uid is never empty.
    pub object: T,
    /// File and lines.
    pub source: Source,
}

/// All objects of one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    /// By namespace and name.
    pub channels: BTreeMap<Key, Entry<Channel>>,
    /// By namespace and name.
    pub subscriptions: BTreeMap<Key, Entry<Subscription>>,
    /// By namespace and name.
    pub secrets: BTreeMap<Key, Entry<Secret>>,
    /// By name alone: the directory shell takes the known names in any namespace.
    pub config_maps: BTreeMap<String, Entry<ConfigMap>>,
    /// Channels that somebody deleted and whose finalizers keep them, by namespace and name.
    pub departing: BTreeMap<Key, Entry<Channel>>,
    /// What is known about other objects that destinations point at.
    pub references: References,
    /// Subscriptions of each channel, which need not exist, by namespace and name.
    by_channel: BTreeMap<Key, BTreeSet<Key>>,
    /// Objects that were refused.
    pub problems: Vec<Problem>,
}

impl Index {
    /// Sorts objects in. Of two that collide, the first in the given order stays (`directory::last_good` puts what is in force first); of two ConfigMaps with one name in
    /// different namespaces, the one in `system_namespace`.
    #[must_use]
    pub fn build(objects: Vec<Sourced>, system_namespace: &str) -> Self {
        let mut index = Self::default();
        let mut places: BTreeMap<Identity, String> = BTreeMap::new();
        let mut uids: BTreeMap<String, Identity> = BTreeMap::new();
        for Sourced { object, source } in objects {
            let identity = object.identity();
            if let Some(first) = places.get(&identity) {
                let message = format!("is already defined at {first}; this one is ignored");
                index.problems.push(Problem::with_field(&source, &identity, "", message));
                continue;
            }
            let uid = uid_of(&object, &identity);
            // Uids matter where they become uids of the contract.
            if matches!(object, Object::Channel(_) | Object::Subscription(_)) {
                if let Some(other) = uids.get(&uid) {
                    let message = format!("{uid} is already the uid of {other}; this object is ignored");
                    index.problems.push(Problem::with_field(&source, &identity, "metadata.uid", message));
                    continue;
                }
                uids.insert(uid.clone(), identity.clone());
            }
            places.insert(identity.clone(), source.place());
            index.insert(object, source, uid, &identity, system_namespace);
        }
        index
    }

    fn insert(&mut self, object: Object, source: Source, uid: String, identity: &Identity, system_namespace: &str) {
        let key = (identity.namespace.clone(), identity.name.clone());
        match object {
            Object::Channel(mut object) => {
                object.meta.uid = uid;
                let channels = if object.meta.departing { &mut self.departing } else { &mut self.channels };
                channels.insert(key, Entry { object: *object, source });
            }
            Object::Subscription(mut object) => {
                object.meta.uid = uid;
                if let Some(channel) = channel_of(&object) {
                    self.by_channel.entry(channel).or_default().insert(key.clone());
                }
                self.subscriptions.insert(key, Entry { object: *object, source });
            }
            Object::Secret(mut object) => {
                object.meta.uid = uid;
                self.secrets.insert(key, Entry { object, source });
            }
            Object::ConfigMap(mut object) => {
                object.meta.uid = uid;
                self.insert_config_map(Entry { object, source }, identity, system_namespace);
            }
        }
    }

    fn insert_config_map(&mut self, new: Entry<ConfigMap>, identity: &Identity, system_namespace: &str) {
        let Some(old) = self.config_maps.get(&identity.name) else {
            self.config_maps.insert(identity.name.clone(), new);
            return;
        };
        let new_wins = identity.namespace == system_namespace && old.object.meta.namespace != system_namespace;
        let (loser, winner) = if new_wins { (old, &new) } else { (&new, old) };
        let place = winner.source.place();
        let message = format!("the ConfigMap of this name at {place} is used; this one is ignored");
        let loser_identity = Identity { namespace: loser.object.meta.namespace.clone(), ..identity.clone() };
        self.problems.push(Problem::with_field(&loser.source, &loser_identity, "metadata.name", message));
        if new_wins {
            self.config_maps.insert(identity.name.clone(), new);
        }
    }

    /// Subscriptions whose channel reference points at this channel, by name.
    pub fn subscriptions_of<'a>(&'a self, channel: &Channel) -> impl Iterator<Item = &'a Entry<Subscription>> {
        let key = (channel.meta.namespace.clone(), channel.meta.name.clone());
        self.by_channel.get(&key).into_iter().flatten().filter_map(|key| self.subscriptions.get(key))
    }

    /// A channel by namespace and name.
    #[must_use]
    pub fn channel(&self, namespace: &str, name: &str) -> Option<&Entry<Channel>> {
        self.channels.get(&(namespace.to_owned(), name.to_owned()))
    }
}

/// The KafkaChannel that a subscription points at. Channels of other namespaces are behind a feature of Knative's that is
/// not there.
fn channel_of(subscription: &Subscription) -> Option<Key> {
    let (reference, namespace) = (&subscription.channel, &subscription.meta.namespace);
    let named = reference.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let is_near = named.is_none_or(|named| named == namespace);
    let is_ours = is_near && is_kafka_channel(&reference.kind, reference.api_group());
    is_ours.then(|| (namespace.clone(), reference.name.clone()))
}

/// Whether a reference's kind and API group are those of a KafkaChannel.
#[must_use]
pub fn is_kafka_channel(kind: &str, group: &str) -> bool {
    kind == "KafkaChannel" && group == "messaging.knative.dev"
}

/// The object's own uid, or a stable one made of what identifies it: group ids, and with them the positions in
/// topics, hang on the uid and must survive a restart.
fn uid_of(object: &Object, identity: &Identity) -> String {
    if !object.meta().uid.is_empty() {
        return object.meta().uid.clone();
    }
    let path = format!("{}/{}/{}", identity.kind.as_str(), identity.namespace, identity.name);
    Uuid::new_v5(&Uuid::NAMESPACE_OID, path.as_bytes()).to_string()
}

#[cfg(test)]
mod tests;
