//! What may be in the contract already, and what is still missing in Kafka.
//!
//! Pure. Nothing that works is taken away because something else does not work yet.
//! Source: control-plane spec 2.3, 2.6 and 2.11.

use std::collections::BTreeMap;

use millrace_config::contract::wire;

use super::observed::{GroupKey, Observed, Progress, TopicKey};
use super::outcome::Outcome;
use super::plan::ChannelPlan;
use super::requests::{TopicRequest, Wanted};

/// What the contract says about a channel: the new resource once its topic exists, before that the one published
/// earlier, if any. Nothing that works is taken away because something else does not work yet.
pub(super) fn publishable(plan: &ChannelPlan<'_>, observed: &Observed) -> Option<wire::Resource> {
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

/// Everything that facts are needed about.
pub(super) fn wanted(plans: &[ChannelPlan<'_>]) -> Wanted {
    let mut wanted = Wanted::default();
    for plan in plans {
        wanted.channels.insert(plan.channel.meta.uid.clone());
        let Ok(config) = &plan.config else { continue };
        wanted.topics.insert(config.key.clone());
        let egresses = plan.subscribers.iter().filter_map(|subscriber| subscriber.egress.as_ref().ok());
        wanted.groups.extend(egresses.map(|egress| group_key(&config.key, egress)));
        if !plan.subscribers.is_empty() {
            wanted.partitions.insert(config.key.clone(), config.request().partitions);
        }
    }
    wanted
}

/// Topics that Kafka still has to be asked for. Two channels with one topic ask once.
pub(super) fn missing_topics(plans: &[ChannelPlan<'_>], observed: &Observed) -> Vec<TopicRequest> {
    let mut topics: BTreeMap<TopicKey, TopicRequest> = BTreeMap::new();
    let configs = plans.iter().filter(|plan| plan.may_create).filter_map(|plan| plan.config.as_ref().ok());
    for config in configs.filter(|config| !observed.has_topic(&config.key)) {
        topics.entry(config.key.clone()).or_insert_with(|| config.request());
    }
    topics.into_values().collect()
}

/// Groups without first offsets, on topics that exist.
pub(super) fn missing_groups(wanted: &Wanted, observed: &Observed) -> Vec<GroupKey> {
    let missing = |key: &&GroupKey| observed.has_topic(&key.topic) && !observed.has_offsets(key);
    wanted.groups.iter().filter(missing).cloned().collect()
}

impl Observed {
    /// Drops facts about what nobody asks for any more: should it come back, everything is found out again.
    pub fn forget(&mut self, outcome: &Outcome) {
        let wanted = &outcome.wanted;
        self.topics.retain(|key, _| wanted.topics.contains(key));
        // Until a group that leaves is remembered beside the contract, this is the only place that knows it.
        let unsaved = |key: &GroupKey| outcome.leaving.contains(key) && !self.leaving.contains(key);
        self.groups.retain(|key, _| wanted.groups.contains(key) || unsaved(key));
        self.partitions.retain(|key, _| wanted.partitions.contains_key(key));
        self.grown.retain(|key, _| wanted.partitions.contains_key(key));
        self.probes.retain(|uid, _| wanted.channels.contains(uid));
        self.names.retain(|host, _| wanted.names.contains(host));
        // A topic that is wanted again is asked for again, and may have to be deleted again later.
        self.removed_topics.retain(|key, _| !wanted.topics.contains(key));
        self.removed_groups.retain(|key, _| self.leaving.contains(key));
    }

    /// Whether a topic is known to exist.
    pub(super) fn has_topic(&self, key: &TopicKey) -> bool {
        matches!(self.topics.get(key), Some(Progress::Done))
    }

    /// Whether a group is known to have its first offsets.
    pub(super) fn has_offsets(&self, key: &GroupKey) -> bool {
        matches!(self.groups.get(key), Some(Progress::Done))
    }
}
