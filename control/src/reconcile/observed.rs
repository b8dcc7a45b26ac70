//! What a shell has found out or done so far.
//!
//! Facts only, no decisions: the core reads them, a shell writes them.

use std::collections::BTreeMap;

use millrace_config::contract::wire;

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
    /// By uid of the channel.
    pub probes: BTreeMap<String, Probe>,
    /// Whether host names of Services can be resolved here; only asked outside a cluster.
    pub names: BTreeMap<String, bool>,
    /// The contract in force.
    pub published: Published,
    /// Why the last contract could not be written; absent when it could.
    pub write_error: Option<String>,
}
