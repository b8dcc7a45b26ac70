//! Which resources share a shard, when one ConfigMap cannot hold the contract.
//!
//! Pure. A resource stays where it is as long as its shard has room, so that one that changes rewrites one shard; a new one
//! goes to the emptiest. Content is never written over: it goes to a map that the index in force does not name, so that a
//! complete set is there at every moment, whatever happens between two writes.

use std::collections::{BTreeMap, BTreeSet};

use millrace_config::contract::shards::{FRAME, MOST_SHARDS, digest, shard_to_json};
use millrace_config::contract::{wire, write};

/// Shards of one contract; the other half of the maps takes the next one. From the first day on, because then nothing moves
/// when a contract grows, and each change rewrites an eighth.
pub(crate) const SHARDS: usize = 8;
/// What the API server takes as the content of a ConfigMap.
pub(crate) const LARGEST: usize = 1024 * 1024;

/// What one shard is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// Its resources; empty for a shard that is not needed.
    pub(crate) uids: Vec<String>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: String,
}

/// What has to be written, and the index afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes by number of the map.
    pub(crate) writes: BTreeMap<u32, Vec<u8>>,
    pub(crate) index: Vec<wire::Shard>,
    /// By uid: place in `index`.
    pub(crate) homes: BTreeMap<String, usize>,
}

/// Spreads resources over [`SHARDS`] shards of at most `largest` bytes. `before` says in which one they are.
///
/// # Errors
/// For a person, when they do not fit.
pub(crate) fn spread(
    resources: &[wire::Resource],
    before: &BTreeMap<String, usize>,
    largest: usize,
) -> Result<Vec<Content>, String> {
    let encoded: Vec<Vec<u8>> = resources.iter().map(write::resource_to_json).collect();
    // With the comma that follows.
    let size = |place: usize| encoded.get(place).map_or(0, Vec::len) + 1;
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); SHARDS];
    let mut sizes = [FRAME; SHARDS];
    let mut homeless = Vec::new();
    for (place, resource) in resources.iter().enumerate() {
        let home = before.get(&resource.uid).copied().filter(|home| *home < SHARDS);
        match home.filter(|home| sizes[*home] + size(place) <= largest) {
            Some(home) => {
                members[home].push(place);
                sizes[home] += size(place);
            }
            None => homeless.push(place),
        }
    }
    for place in homeless {
        let emptiest = (0..SHARDS).min_by_key(|home| sizes[*home]).unwrap_or_default();
        if sizes[emptiest] + size(place) > largest {
            return Err(too_large(&encoded, resources.get(place), largest));
        }
        members[emptiest].push(place);
        sizes[emptiest] += size(place);
    }
    let content = |mut places: Vec<usize>| {
        places.sort_unstable();
        let bytes = shard_to_json(places.iter().filter_map(|place| encoded.get(*place)).map(Vec::as_slice));
        let uids = places.iter().filter_map(|place| resources.get(*place)).map(|found| found.uid.clone()).collect();
        Content { uids, digest: digest(&bytes), bytes }
    };
    Ok(members.into_iter().map(content).collect())
}

fn too_large(encoded: &[Vec<u8>], resource: Option<&wire::Resource>, largest: usize) -> String {
    let reference = resource.and_then(|resource| resource.reference.clone()).unwrap_or_default();
    let total: usize = encoded.iter().map(Vec::len).sum();
    format!(
        "the contract has {total} bytes; {SHARDS} ConfigMaps of {largest} bytes have no room for channel {}/{}",
        reference.namespace, reference.name
    )
}

/// Chooses a map for every content. `in_force` is the index that readers have, `held` the digests of what is in our maps,
/// `foreign` the maps of these names that are not ours. `None`: there are not enough maps.
pub(crate) fn lay_out(
    contents: &[Content],
    in_force: &[wire::Shard],
    held: &BTreeMap<u32, String>,
    foreign: &BTreeSet<u32>,
) -> Option<Layout> {
    let mut taken: BTreeSet<u32> = in_force.iter().map(|shard| shard.number).chain(foreign.iter().copied()).collect();
    let mut layout = Layout::default();
    for (home, content) in contents.iter().enumerate() {
        if content.uids.is_empty() {
            continue;
        }
        let has_it = |number: &u32| held.get(number) == Some(&content.digest);
        let own = in_force.get(home).filter(|shard| shard.sha256 == content.digest).map(|shard| shard.number);
        // Written before the process that wrote it ended.
        let kept = (1..=MOST_SHARDS).find(|number| !taken.contains(number) && has_it(number));
        let free = (1..=MOST_SHARDS).find(|number| !taken.contains(number));
        let number = own.filter(|number| !foreign.contains(number)).or(kept).or(free)?;
        taken.insert(number);
        if !has_it(&number) {
            layout.writes.insert(number, content.bytes.clone());
        }
        let place = layout.index.len();
        layout.homes.extend(content.uids.iter().map(|uid| (uid.clone(), place)));
        layout.index.push(wire::Shard { number, sha256: content.digest.clone() });
    }
    Some(layout)
}

#[cfg(test)]
mod tests;
