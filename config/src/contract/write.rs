//! Writes contracts, and decides whether one has to be written at all.
//!
//! Source: the generation rule of eventing-kafka-broker's base reconciler, which readers of either side depend on.

use super::wire::{self, Value as _};

/// The file for a contract: defaults are left out, 64-bit integers are texts, enums are names.
pub fn to_json(contract: &wire::Contract) -> Vec<u8> {
    let mut bytes = Vec::new();
    contract
        .write(&mut serde_json::Serializer::new(&mut bytes))
        .expect("writing to memory cannot fail, and every key of a contract is a text");
    bytes
}

/// One resource as it stands in a contract or in a shard.
pub fn resource_to_json(resource: &wire::Resource) -> Vec<u8> {
    let mut bytes = Vec::new();
    resource
        .write(&mut serde_json::Serializer::new(&mut bytes))
        .expect("writing to memory cannot fail, and every key of a contract is a text");
    bytes
}

/// Whether two contracts say the same, their generations aside. Order counts; an absent list equals an empty one.
pub fn same_content(a: &wire::Contract, b: &wire::Contract) -> bool {
    a.resources == b.resources && a.trust_bundles == b.trust_bundles
}

/// The generation of the contract after one with `generation`. Never equal to it, as equal ones are ignored by readers.
pub fn next_generation(generation: u64) -> u64 {
    // The modulus is the one that existing writers use, so that both count alike.
    generation.wrapping_add(1) % (u64::MAX - 1)
}

#[cfg(test)]
mod tests;
