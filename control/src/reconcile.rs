//! The pure core: objects and facts in; contract, work to do, statuses and problems out.
//!
//! No clock, network, file or task. A shell calls [`reconcile`] again whenever an object or a fact changed, does what
//! the [`Outcome`] lists, and notes what came of it in [`Observed`]. What is needed before something else is ordered
//! here: a topic exists before its channel is in the contract, and a group's first offsets are committed before its
//! egress is, so that nothing sent to a ready channel is missed by a ready subscription.
//! Source: control-plane spec 2.3, 2.6, 2.11 and 2.16.

pub mod departure;
pub mod failure;
mod leaving;
mod names;
pub mod observed;
pub mod orphans;
pub mod outcome;
pub mod plan;
mod publishable;
pub mod requests;
pub mod settings;

use std::collections::{BTreeMap, BTreeSet};

use millrace_config::contract::wire;

use self::observed::Observed;
use self::orphans::{orphan_problems, orphans};
pub use self::outcome::Outcome;
use self::plan::ChannelPlan;
use self::publishable::{missing_groups, missing_topics, publishable, wanted};
pub use self::requests::{ProbeRequest, TopicRequest, Wanted};
pub use self::settings::{ClusterSettings, Settings};
use crate::api::Sourced;
use crate::index::Index;
use crate::kafka_access::{self, AccessError, KafkaAccess};
use crate::{features, files, status};

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
    subscriptions.extend(orphans(&context));
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
        grown: observed.grown.clone(),
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

#[cfg(test)]
mod tests;
