//! The pure core: objects and facts in; contract, work to do, statuses and problems out.
//!
//! No clock, network, file or task. A shell calls [`reconcile`] again whenever an object or a fact changed, does what
//! the [`Outcome`] lists, and notes what came of it in [`Observed`]. What is needed before something else is ordered
//! here: a topic exists before its channel is in the contract, and a group's first offsets are committed before its
//! egress is, so that nothing sent to a ready channel is missed by a ready subscription.
//! Source: control-plane spec 2.3, 2.6, 2.11 and 2.16.

mod names;
pub mod observed;
pub mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millrace_config::contract::wire;

use self::observed::{GroupKey, Observed, Progress, TopicKey};
use self::plan::{ChannelPlan, Failure};
use crate::addressable::Addressing;
use crate::api::{Identity, Problem, Sourced};
use crate::files::Files;
use crate::index::{Index, is_kafka_channel};
use crate::kafka_access::{self, KafkaAccess};
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
    let index = Index::build(objects, &settings.system_namespace);
    let mut problems = index.problems.clone();
    let flags = features::read(&index, &mut problems);
    let access = kafka_access::find(
        &index,
        &settings.general_config,
        settings.bootstrap_servers.as_deref(),
        settings.embedded_broker,
    );
    let context = plan::Context { index: &index, settings, flags: &flags, access: access.as_ref(), observed };
    let plans: Vec<ChannelPlan<'_>> = index.channels.values().map(|entry| context.channel(entry)).collect();

    let contract = wire::Contract {
        resources: plans.iter().filter_map(|plan| publishable(plan, observed)).collect(),
        ..wire::Contract::default()
    };
    let wanted = Wanted { names: names::wanted(&plans, settings), ..wanted(&plans) };
    let topics = missing_topics(&plans, observed);
    let groups = wanted
        .groups
        .iter()
        .filter(|key| observed.has_topic(&key.topic) && !observed.has_offsets(key))
        .cloned()
        .collect();
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
    let probes = plans
        .iter()
        .filter(|plan| published.contains_key(plan.channel.meta.uid.as_str()))
        .map(|plan| {
            let meta = &plan.channel.meta;
            ProbeRequest { uid: meta.uid.clone(), path: format!("/{}/{}", meta.namespace, meta.name) }
        })
        .collect();
    problems.extend(plans.iter().flat_map(ChannelPlan::problems));
    problems.extend(names::problems(&plans, observed));
    problems.extend(orphan_problems(&index));
    let files = files::build(&index, &settings.data_plane_config, &mut problems);
    problems.sort();
    problems.dedup();
    Outcome { contract, access: access.ok(), wanted, topics, groups, probes, channels, subscriptions, files, problems }
}

/// What the contract says about a channel: the new resource once its topic exists, before that the one published
/// earlier, if any. Nothing that works is taken away because something else does not work yet.
fn publishable(plan: &ChannelPlan<'_>, observed: &Observed) -> Option<wire::Resource> {
    let uid = &plan.channel.meta.uid;
    let previous = observed.published.resources.get(uid);
    let kept = |previous: &wire::Resource| {
        let mut resource = previous.clone();
        resource.egresses.retain(|egress| plan.subscribers.iter().any(|subscriber| subscriber.uid == egress.uid));
        resource
    };
    let Ok(config) = &plan.config else { return previous.map(kept) };
    let unmoved = previous.filter(|previous| {
        previous.bootstrap_servers == config.key.servers && previous.topics.first() == Some(&config.key.topic)
    });
    if unmoved.is_none() && !observed.has_topic(&config.key) {
        return previous.map(kept);
    }
    let mut resource = config.resource.clone();
    for subscriber in &plan.subscribers {
        let earlier = unmoved.and_then(|previous| previous.egresses.iter().find(|egress| egress.uid == subscriber.uid));
        match &subscriber.egress {
            Ok(egress) => {
                let same_group = earlier.is_some_and(|earlier| earlier.consumer_group == egress.consumer_group);
                if same_group || observed.has_offsets(&group_key(&config.key, egress)) {
                    resource.egresses.push(egress.clone());
                }
            }
            Err(_) => resource.egresses.extend(earlier.cloned()),
        }
    }
    Some(resource)
}

fn group_key(topic: &TopicKey, egress: &wire::Egress) -> GroupKey {
    GroupKey { topic: topic.clone(), group: egress.consumer_group.clone() }
}

fn wanted(plans: &[ChannelPlan<'_>]) -> Wanted {
    let mut wanted = Wanted::default();
    for plan in plans {
        wanted.channels.insert(plan.channel.meta.uid.clone());
        let Ok(config) = &plan.config else { continue };
        wanted.topics.insert(config.key.clone());
        let egresses = plan.subscribers.iter().filter_map(|subscriber| subscriber.egress.as_ref().ok());
        wanted.groups.extend(egresses.map(|egress| group_key(&config.key, egress)));
    }
    wanted
}

/// Topics that Kafka still has to be asked for. Two channels with one topic ask once.
fn missing_topics(plans: &[ChannelPlan<'_>], observed: &Observed) -> Vec<TopicRequest> {
    let mut topics: BTreeMap<TopicKey, TopicRequest> = BTreeMap::new();
    let configs = plans.iter().filter_map(|plan| plan.config.as_ref().ok());
    for config in configs.filter(|config| !observed.has_topic(&config.key)) {
        topics.entry(config.key.clone()).or_insert_with(|| config.request());
    }
    topics.into_values().collect()
}

/// Subscriptions whose channel is not there.
fn orphans(index: &Index) -> impl Iterator<Item = SubscriptionStatus> {
    index.subscriptions.values().filter_map(|entry| {
        let failure = channel_failure(index, &entry.object)?;
        Some(status::of_orphan(&entry.object, &failure))
    })
}

fn orphan_problems(index: &Index) -> impl Iterator<Item = Problem> {
    index.subscriptions.values().filter_map(|entry| {
        let failure = channel_failure(index, &entry.object)?;
        let meta = &entry.object.meta;
        let identity = Identity {
            kind: crate::api::Kind::Subscription,
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        };
        Some(Problem::with_field(&entry.source, &identity, "spec.channel", failure.message))
    })
}

/// Why a subscription belongs to no channel; `None` when it belongs to one.
fn channel_failure(index: &Index, subscription: &crate::api::subscription::Subscription) -> Option<Failure> {
    let reference = &subscription.channel;
    let namespace = &subscription.meta.namespace;
    let message = if !is_kafka_channel(&reference.kind, reference.api_group()) {
        format!("{} ({}) is not a KafkaChannel", reference.kind, reference.api_version)
    } else if reference.namespace.as_deref().is_some_and(|other| !other.is_empty() && other != namespace) {
        "a channel of another namespace cannot be subscribed to".to_owned()
    } else if index.channel(namespace, &reference.name).is_none() {
        format!("KafkaChannel {namespace}/{} does not exist", reference.name)
    } else {
        return None;
    };
    Some(Failure { reason: "ChannelReferenceFailed".to_owned(), message })
}

impl Observed {
    /// Drops facts about what nobody asks for any more: should it come back, everything is found out again.
    pub fn forget(&mut self, wanted: &Wanted) {
        self.topics.retain(|key, _| wanted.topics.contains(key));
        self.groups.retain(|key, _| wanted.groups.contains(key));
        self.probes.retain(|uid, _| wanted.channels.contains(uid));
        self.names.retain(|host, _| wanted.names.contains(host));
    }

    fn has_topic(&self, key: &TopicKey) -> bool {
        matches!(self.topics.get(key), Some(Progress::Done))
    }

    fn has_offsets(&self, key: &GroupKey) -> bool {
        matches!(self.groups.get(key), Some(Progress::Done))
    }
}

#[cfg(test)]
mod tests;
