//! What is asked of the world outside: topics, probes, facts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::observed::{GroupKey, TopicKey};
use crate::api::meta::Meta;

/// A topic that must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRequest {
    /// Which.
    pub key: TopicKey,
    /// At least 1.
    pub partitions: i32,
    /// At least 1.
    pub replication_factor: i32,
    /// `retention.ms`.
    pub retention: Duration,
}

/// A channel that the ingress should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Uid of the channel.
    pub uid: String,
    /// Path below the ingress, starting with a slash.
    pub path: String,
}

/// What the objects ask for, whether it is there already or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Topics of channels.
    pub topics: BTreeSet<TopicKey>,
    /// Groups of subscriptions.
    pub groups: BTreeSet<GroupKey>,
    /// Topics with such groups, and how many partitions their channels ask for.
    pub partitions: BTreeMap<TopicKey, i32>,
    /// Uids of channels.
    pub channels: BTreeSet<String>,
    /// Host names that should be resolvable, though there may be no cluster here.
    pub names: BTreeSet<String>,
}

impl ProbeRequest {
    pub(super) fn of(channel: &Meta) -> Self {
        Self { uid: channel.uid.clone(), path: format!("/{}/{}", channel.namespace, channel.name) }
    }
}
