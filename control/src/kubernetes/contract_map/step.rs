//! Decides what is written next, so that the maps come to say what they should.
//!
//! Pure. One step at a time, each from what is there now: shards first, then the index that names them, then the maps that
//! nobody needs any more go. A process that ends between two steps leaves a whole set, and the next one goes on from there.

use std::collections::{BTreeMap, BTreeSet};

use millrace_config::contract::{shards, wire, write};

use super::in_force::InForce;
use crate::contract::spread::{Layout, lay_out, spread};
use crate::reconcile::observed::GroupKey;

/// What is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    pub(super) in_force: &'a InForce,
    /// Whether there is a main map.
    pub(super) exists: bool,
    /// The highest generation that was seen or written.
    pub(super) generation: u64,
    /// Digests of what our maps hold.
    pub(super) held: &'a BTreeMap<u32, String>,
    /// Maps with the name of a shard that are not ours.
    pub(super) foreign: &'a BTreeSet<u32>,
    /// Pods of the data plane that would not see shards.
    pub(super) blind: &'a [String],
    /// What a ConfigMap takes, in bytes.
    pub(super) largest: usize,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Everything is as it should be.
    Rest,
    /// Write these maps, by number.
    Shards(BTreeMap<u32, Vec<u8>>),
    /// Write the main map; `size` is that of the whole contract.
    Main { bytes: Vec<u8>, size: usize, next: Box<InForce> },
    /// Delete these maps.
    Delete(BTreeSet<u32>),
    /// It cannot be written: why, and how many bytes it would have.
    Refused { message: String, size: usize },
}

/// The next step.
pub(super) fn next(now: Now<'_>, wanted: &wire::Contract, leaving: &BTreeSet<GroupKey>) -> Step {
    let in_force = now.in_force;
    let is_empty = wanted.resources.is_empty() && wanted.trust_bundles.is_empty();
    let is_new = in_force.contract.is_none() && is_empty && now.generation == 0;
    let same = in_force.says(wanted) || (is_new && now.exists);
    if same && in_force.leaving == *leaving && in_force.is_whole(now.held) {
        let unneeded: BTreeSet<u32> =
            if in_force.is_spread() { BTreeSet::new() } else { now.held.keys().copied().collect() };
        return if unneeded.is_empty() { Step::Rest } else { Step::Delete(unneeded) };
    }
    let base = in_force.generation().unwrap_or(now.generation);
    let mut contract = wanted.clone();
    // Groups alone do not concern any reader.
    contract.generation = if same { base } else { write::next_generation(base) };
    let bytes = if is_new && !now.exists { Vec::new() } else { write::to_json(&contract) };
    // Back into one map only well below the size at which it left, so that it does not come and go.
    if bytes.len() <= if in_force.is_spread() { now.largest / 4 * 3 } else { now.largest } {
        let contract = (!bytes.is_empty()).then_some(contract);
        let next = InForce { contract, leaving: leaving.clone(), ..InForce::default() };
        return Step::Main { size: bytes.len(), bytes, next: Box::new(next) };
    }
    if let Some(pod) = now.blind.first().filter(|_| !in_force.is_spread()) {
        let (size, pods) = (bytes.len(), now.blind.len());
        let message = format!(
            "the contract has {size} bytes; a ConfigMap takes {}, and {pods} pods of the data plane do not mount \
             the others, {pod} among them: apply the Deployments of this version",
            now.largest
        );
        return Step::Refused { message, size };
    }
    several(now, contract, leaving, (same, bytes.len()))
}

fn several(
    now: Now<'_>,
    mut contract: wire::Contract,
    leaving: &BTreeSet<GroupKey>,
    (same, size): (bool, usize),
) -> Step {
    let in_force = now.in_force;
    let contents = match spread(&contract.resources, &in_force.homes, now.largest) {
        Ok(contents) => contents,
        Err(message) => return Step::Refused { message, size },
    };
    let Some(Layout { writes, index, homes }) = lay_out(&contents, &in_force.index, now.held, now.foreign) else {
        let message = format!("ConfigMaps with the names of shards are not ours: {:?}; delete them", now.foreign);
        return Step::Refused { message, size };
    };
    if !writes.is_empty() {
        return Step::Shards(writes);
    }
    if same && in_force.leaving == *leaving && index == in_force.index {
        return Step::Rest;
    }
    if index != in_force.index && same {
        contract.generation = write::next_generation(contract.generation);
    }
    // Readers see them in the order of the shards.
    let order = |resource: &wire::Resource| homes.get(&resource.uid).copied().unwrap_or(usize::MAX);
    contract.resources.sort_by_key(order);
    let bytes = shards::index_to_json(contract.generation, index.clone(), contract.trust_bundles.clone());
    if bytes.len() > now.largest {
        let message = format!("the trust bundles alone need {} bytes; a ConfigMap takes {}", bytes.len(), now.largest);
        return Step::Refused { message, size };
    }
    let next = InForce { contract: Some(contract), index, homes, leaving: leaving.clone() };
    Step::Main { bytes, size, next: Box::new(next) }
}

#[cfg(test)]
mod tests;
