//! The contract that readers of the maps have, or can have.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use millrace_config::contract::{shards, wire, write};

use crate::publish::Existing;
use crate::reconcile::observed::{GroupKey, Published};

/// What the main map says, with the shards that it names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct InForce {
    /// Absent: there is no map, or nothing in it. Without the resources of a shard that was lost.
    pub(super) contract: Option<wire::Contract>,
    /// The shards; empty for a contract in one map.
    pub(super) index: Vec<wire::Shard>,
    /// By uid: place in `index`.
    pub(super) homes: BTreeMap<String, usize>,
    /// Groups that have to be deleted.
    pub(super) leaving: BTreeSet<GroupKey>,
}

impl InForce {
    /// `shard` gives the bytes of a map.
    pub(super) fn of<'a>(
        existing: &Existing,
        leaving: BTreeSet<GroupKey>,
        shard: impl Fn(u32) -> Option<&'a [u8]>,
    ) -> Self {
        let index = match existing {
            Existing::Contract(contract) => {
                return Self { contract: Some(contract.clone()), leaving, ..Self::default() };
            }
            Existing::Nothing | Existing::Corrupt(..) => return Self { leaving, ..Self::default() },
            Existing::Index(index) => index.clone(),
        };
        let mut contract = wire::Contract {
            generation: index.generation,
            trust_bundles: index.trust_bundles,
            ..wire::Contract::default()
        };
        let mut homes = BTreeMap::new();
        for (place, named) in index.shards.iter().enumerate() {
            let bytes = shard(named.number).filter(|bytes| shards::digest(bytes) == named.sha256);
            let resources = bytes.and_then(|bytes| shards::resources(bytes).ok()).unwrap_or_default();
            homes.extend(resources.iter().map(|resource| (resource.uid.clone(), place)));
            contract.resources.extend(resources);
        }
        Self { contract: Some(contract), index: index.shards, homes, leaving }
    }

    /// The map is gone, or somebody emptied it. Where resources were is remembered: shards are then still right.
    pub(super) fn forget(&mut self) {
        self.contract = None;
        self.index = Vec::new();
    }

    pub(super) fn is_spread(&self) -> bool {
        !self.index.is_empty()
    }

    /// Whether readers have this content. In one map its order counts, as for the peer.
    pub(super) fn says(&self, wanted: &wire::Contract) -> bool {
        let Some(contract) = &self.contract else { return false };
        if !self.is_spread() {
            return write::same_content(contract, wanted);
        }
        if contract.trust_bundles != wanted.trust_bundles || contract.resources.len() != wanted.resources.len() {
            return false;
        }
        let found: BTreeMap<&str, &wire::Resource> =
            contract.resources.iter().map(|resource| (resource.uid.as_str(), resource)).collect();
        wanted.resources.iter().all(|resource| found.get(resource.uid.as_str()) == Some(&resource))
    }

    /// Whether every shard that the index names is there.
    pub(super) fn is_whole(&self, held: &BTreeMap<u32, String>) -> bool {
        self.index.iter().all(|shard| held.get(&shard.number) == Some(&shard.sha256))
    }

    pub(super) fn generation(&self) -> Option<u64> {
        self.contract.as_ref().map(|contract| contract.generation)
    }

    pub(super) fn published(&self) -> Published {
        self.contract.as_ref().map(Published::from).unwrap_or_default()
    }
}
