//! What a shell has found out or done so far.
//!
//! Facts only, no decisions: the core reads them, a shell writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millrace_config::contract::wire;

use super::failure::Failure;
use crate::accounts::Accounts;
use crate::addressable::references::References;
use crate::api::policy::EventPolicy;
use crate::index::Key;

/// A topic of a cluster. Other bootstrap servers count as another cluster, so everything is done again there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey {
    /// Comma-separated, as in the contract.
    pub servers: String,
    /// Name of the topic.
    pub topic: String,
}

/// A consumer group on a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// The topic that it reads.
    pub topic: TopicKey,
    /// `group.id`.
    pub group: String,
}

/// How an attempt ended. What is not in a map was not attempted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It worked.
    Done,
    /// It failed, for this reason; it will be attempted again.
    Failed(String),
    /// Kafka could not even be asked, for this reason; it will be attempted again.
    NotAsked(String),
}

/// How an attempt to delete something in Kafka ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It is not there any more.
    Gone,
    /// It failed, for this reason; it will be attempted again.
    Failed(String),
    /// It failed too often, last for this reason, and stays.
    LeftBehind(String),
}

/// What only an API server can tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterFacts {
    /// Objects that destinations point at.
    pub references: References,
    /// Certificates that the data plane trusts, PEM, sorted.
    pub trust_bundles: Vec<String>,
    /// All policies.
    pub policies: Arc<Vec<EventPolicy>>,
    /// Secrets that cannot be read, by namespace and name, with the reason.
    pub unreadable_secrets: BTreeMap<Key, String>,
    /// Service accounts for tokens.
    pub accounts: Accounts,
    /// Accounts that could not be created last time, by namespace and name, with the server's words.
    pub account_failures: BTreeMap<Key, String>,
}

/// What the ingress answered when asked for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It knows the channel.
    Ready,
    /// It answered, but does not know the channel; with the status code.
    NotReady(u16),
    /// It did not answer, for this reason.
    Unreachable(String),
}

/// The contract as the data plane can read it now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Published {
    /// 0 before anything was published.
    pub generation: u64,
    /// By uid.
    pub resources: BTreeMap<String, wire::Resource>,
}

impl From<&wire::Contract> for Published {
    fn from(contract: &wire::Contract) -> Self {
        let resources = contract.resources.iter().map(|resource| (resource.uid.clone(), resource.clone())).collect();
        Self { generation: contract.generation, resources }
    }
}

/// All facts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Whether topics exist.
    pub topics: BTreeMap<TopicKey, Progress>,
    /// Whether groups have their first offsets.
    pub groups: BTreeMap<GroupKey, Progress>,
    /// How many partitions topics had when they were looked at last.
    pub partitions: BTreeMap<TopicKey, i32>,
    /// Topics that were given more partitions, and the number of the first new one.
    pub grown: BTreeMap<TopicKey, i32>,
    /// By uid of the channel.
    pub probes: BTreeMap<String, Probe>,
    /// Whether host names of Services can be resolved here; only asked outside a cluster.
    pub names: BTreeMap<String, bool>,
    /// The contract in force.
    pub published: Published,
    /// Why the contract could not be read or written last time; absent when it could.
    pub write_error: Option<Failure>,
    /// The contract fills most of the ConfigMaps that it may have.
    pub almost_full: bool,
    /// By uid of a deleted channel: what the ingress answered last, and how often in a row it did not.
    pub gone: BTreeMap<String, (Probe, u32)>,
    /// Topics of deleted channels.
    pub removed_topics: BTreeMap<TopicKey, Removal>,
    /// Groups that nobody reads with any more.
    pub removed_groups: BTreeMap<GroupKey, Removal>,
    /// Groups that were to be deleted when the contract was written last; survives a restart beside the contract.
    pub leaving: BTreeSet<GroupKey>,
    /// Uids of deleted channels that have waited long enough.
    pub overdue: BTreeSet<String>,
    /// What only an API server can tell.
    pub cluster: ClusterFacts,
}

impl Observed {
    /// Notes how many partitions a topic has that was made with `created`. With more than before, the groups of the topic
    /// need first offsets again: for the new ones.
    pub fn note_partitions(&mut self, key: &TopicKey, created: i32, now: i32) {
        let before = self.partitions.insert(key.clone(), now).unwrap_or(created);
        if now > before {
            self.grown.entry(key.clone()).or_insert(before);
            self.groups.retain(|group, _| group.topic != *key);
        }
    }
}
