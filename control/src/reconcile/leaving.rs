//! Which consumer groups nobody reads with any more.
//!
//! Pure. A group leaves when its egress leaves the contract, and is deleted in Kafka once the contract without it is in
//! force. Until then it is remembered beside the contract, written in one go with it, so that a crash forgets none.
//! Source: control-plane spec 2.11 and 2.16.

use std::collections::BTreeSet;

use millrace_config::contract::wire;

use super::observed::{GroupKey, Observed, Removal, TopicKey};
use super::outcome::Outcome;

/// Notes in the outcome what has to be remembered and what can be deleted now.
pub(super) fn plan(observed: &Observed, outcome: &mut Outcome) {
    let in_force: BTreeSet<GroupKey> = observed.published.resources.values().flat_map(groups).collect();
    let next: BTreeSet<GroupKey> = outcome.contract.resources.iter().flat_map(groups).collect();
    let settled =
        |key: &GroupKey| matches!(observed.removed_groups.get(key), Some(Removal::Gone | Removal::LeftBehind(_)));
    // One whose offsets were committed, but whose Subscription went before it was in the contract.
    let committed = observed.groups.keys();
    let known = observed.leaving.iter().chain(committed).filter(|key| !settled(key)).chain(&in_force);
    outcome.leaving =
        known.filter(|key| !next.contains(*key) && !outcome.wanted.groups.contains(*key)).cloned().collect();
    let Some(access) = &outcome.access else { return };
    let servers = access.servers();
    // A group of another cluster is out of reach with the credentials of this one.
    outcome.leaving.retain(|key| key.topic.servers == servers);
    outcome.remove_groups = outcome.leaving.iter().filter(|key| !in_force.contains(*key)).cloned().collect();
}

/// The groups of a resource.
fn groups(resource: &wire::Resource) -> impl Iterator<Item = GroupKey> {
    let topic = TopicKey {
        servers: resource.bootstrap_servers.clone(),
        topic: resource.topics.first().cloned().unwrap_or_default(),
    };
    resource.egresses.iter().map(move |egress| GroupKey { topic: topic.clone(), group: egress.consumer_group.clone() })
}
