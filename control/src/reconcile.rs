//! The pure core: objects and facts in; contract, work to do, statuses and problems out.
//!
//! No clock, network, file or task. A shell calls [`reconcile`] again whenever an object or a fact changed, does what
//! the [`Outcome`] lists, and notes what came of it in [`Observed`]. What is needed before something else is ordered
//! here: a topic exists before its channel is in the contract, and a group's first offsets are committed before its
//! egress is, so that nothing sent to a ready channel is missed by a ready subscription.
//! Source: control-plane spec 2.3, 2.6, 2.11 and 2.16.

pub mod departure;
mod leaving;
mod names;
pub mod observed;
mod orphans;
pub mod plan;
mod publishable;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millrace_config::contract::wire;

use self::departure::Departure;
use self::observed::{GroupKey, Observed, TopicKey};
use self::orphans::{orphan_problems, orphans};
use self::plan::ChannelPlan;
use self::publishable::{missing_groups, missing_topics, publishable, wanted};
use crate::addressable::Addressing;
use crate::api::meta::Meta;
use crate::api::{Problem, Sourced};
use crate::files::Files;
use crate::index::Index;
use crate::kafka_access::{self, AccessError, KafkaAccess};
use crate::status::{self, ChannelStatus, SubscriptionStatus};
use crate::{features, files};

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Wins over the ConfigMap's `bootstrap.servers`.
    pub bootstrap_servers: Option<Vec<String>>,
    /// The broker is the embedded one, which has no authentication.
    pub embedded_broker: bool,
    /// Where channels are reached.
    pub addressing: Addressing,
    /// Name of the ConfigMap with `bootstrap.servers`.
    pub general_config: String,
    /// Name of the ConfigMap with the properties files.
    pub data_plane_config: String,
    /// Its ConfigMaps win over namesakes elsewhere.
    pub system_namespace: String,
    /// Pause before the first retry in a channel's own delivery block.
    pub default_backoff: Duration,
    /// How conditions name the place of the contract, such as `Config map ns/name`.
    pub contract_place: String,
    /// Absent outside a cluster, where nobody deletes anything in Kafka and an unready subscriber is its own affair.
    pub cluster: Option<ClusterSettings>,
}

/// What only matters in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The cluster name of the ingress' Service.
    pub ingress_host: String,
    /// Namespace and name of the Secret with the ingress' certificate.
    pub tls_secret: (String, String),
}

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
    /// Uids of channels.
    pub channels: BTreeSet<String>,
    /// Host names that should be resolvable, though there may be no cluster here.
    pub names: BTreeSet<String>,
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

/// Computes the outcome.
#[must_use]
pub fn reconcile(objects: Vec<Sourced>, settings: &Settings, observed: &Observed) -> Outcome {
    let mut index = Index::build(objects, &settings.system_namespace);
    index.references = observed.cluster.references.clone();
    let index = index;
    let mut problems = index.problems.clone();
    let flags = features::read(&index, &mut problems);
    let access = find_access(&index, settings, observed);
    let context = plan::Context { index: &index, settings, flags: &flags, access: access.as_ref(), observed };
    let plans: Vec<ChannelPlan<'_>> = index.channels.values().map(|entry| context.channel(entry)).collect();

    let contract = wire::Contract {
        resources: plans.iter().filter_map(|plan| publishable(plan, observed)).collect(),
        trust_bundles: observed.cluster.trust_bundles.clone(),
        ..wire::Contract::default()
    };
    let wanted = Wanted { names: names::wanted(&plans, settings), ..wanted(&plans) };
    let topics = missing_topics(&plans, observed);
    let groups = missing_groups(&wanted, observed);
    let published: BTreeMap<&str, &wire::Resource> =
        contract.resources.iter().map(|resource| (resource.uid.as_str(), resource)).collect();
    let mut channels = Vec::new();
    let mut subscriptions = Vec::new();
    for plan in &plans {
        let target = published.get(plan.channel.meta.uid.as_str()).copied();
        let (channel, mut of_channel) = status::of_channel(plan, target, settings, &flags, observed);
        channels.push(channel);
        subscriptions.append(&mut of_channel);
    }
    subscriptions.extend(orphans(&index));
    let probed = plans.iter().map(|plan| &plan.channel.meta).filter(|meta| published.contains_key(meta.uid.as_str()));
    let probes = probed.map(ProbeRequest::of).collect();
    problems.extend(plans.iter().flat_map(ChannelPlan::problems));
    problems.extend(names::problems(&plans, observed));
    problems.extend(orphan_problems(&index));
    let files = files::build(&index, &settings.data_plane_config, &mut problems);
    problems.sort();
    problems.dedup();
    let mut outcome = Outcome {
        contract,
        access: access.ok(),
        wanted,
        topics,
        groups,
        probes,
        farewells: Vec::new(),
        remove_topics: BTreeMap::new(),
        leaving: BTreeSet::new(),
        remove_groups: Vec::new(),
        departures: Vec::new(),
        channels,
        subscriptions,
        files,
        problems,
    };
    if settings.cluster.is_some() {
        leaving::plan(observed, &mut outcome);
        let access = outcome.access.clone();
        departure::plan(&index, access.as_ref(), observed, &mut outcome);
    }
    outcome
}

fn find_access(index: &Index, settings: &Settings, observed: &Observed) -> Result<KafkaAccess, AccessError> {
    let servers = settings.bootstrap_servers.as_deref();
    let access = kafka_access::find(index, &settings.general_config, servers, settings.embedded_broker);
    match &settings.cluster {
        Some(_) => {
            access.map_err(|error| error.explained(&observed.cluster.unreadable_secrets, &settings.system_namespace))
        }
        None => access,
    }
}

impl ProbeRequest {
    fn of(channel: &Meta) -> Self {
        Self { uid: channel.uid.clone(), path: format!("/{}/{}", channel.namespace, channel.name) }
    }
}

#[cfg(test)]
mod tests;
