//! What follows from objects and facts: the contract, the work to do, and how everything is.
//!
//! Values only; `reconcile` makes them, the shells act on them.

use std::collections::{BTreeMap, BTreeSet};

use millrace_config::contract::wire;

use super::observed::{GroupKey, TopicKey};
use super::requests::{ProbeRequest, TopicRequest, Wanted};
use crate::api::Problem;
use crate::files::Files;
use crate::kafka_access::KafkaAccess;
use crate::status::{ChannelStatus, Condition, SubscriptionStatus};

/// How far a deleted channel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// Of the channel.
    pub namespace: String,
    /// Of the channel.
    pub name: String,
    /// Of the channel.
    pub uid: String,
    /// Nothing is left to do: the finalizer may go.
    pub finished: bool,
    /// What could not be deleted, told when it is finished in spite of it.
    pub left_behind: Vec<String>,
    /// What its status says meanwhile, `Ready` among them, by type.
    pub conditions: Vec<Condition>,
}

/// What follows from objects and facts.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Without a generation; the publisher adds it.
    pub contract: wire::Contract,
    /// The Kafka to work on; absent as long as it is unknown, and then `topics` and `groups` are empty.
    pub access: Option<KafkaAccess>,
    /// Everything that facts are needed about; other facts can be forgotten.
    pub wanted: Wanted,
    /// Topics not known to exist.
    pub topics: Vec<TopicRequest>,
    /// Groups without first offsets, on topics that exist.
    pub groups: Vec<GroupKey>,
    /// Topics of such groups that were given more partitions, and the number of the first new one.
    pub grown: BTreeMap<TopicKey, i32>,
    /// Channels in the contract.
    pub probes: Vec<ProbeRequest>,
    /// Deleted channels that the ingress must drop.
    pub farewells: Vec<ProbeRequest>,
    /// Topics of deleted channels, which nobody can write to any more, with what the names of their groups begin with.
    pub remove_topics: BTreeMap<TopicKey, String>,
    /// Groups that nobody reads with any more; to be remembered beside the contract.
    pub leaving: BTreeSet<GroupKey>,
    /// Those of them that can be deleted now.
    pub remove_groups: Vec<GroupKey>,
    /// Deleted channels.
    pub departures: Vec<Departure>,
    /// By namespace and name.
    pub channels: Vec<ChannelStatus>,
    /// By namespace, channel and order in it; those without a channel last.
    pub subscriptions: Vec<SubscriptionStatus>,
    /// Properties, features, observability and logging for the data plane.
    pub files: Files,
    /// What a person should look at.
    pub problems: Vec<Problem>,
}
