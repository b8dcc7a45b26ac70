//! Going back with a contract in several ConfigMaps: Knative's data plane reads one.
//!
//! Pure. Its map has the channels only, because its dispatchers have maps of their own; so what did not fit with us may fit
//! there. Where it does not, going back is refused before anything is changed.
//! Source: control-plane spec 0.1, 0.2 and section 10.

use std::collections::BTreeMap;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millrace_config::contract::shards::{self, MOST_SHARDS};
use millrace_config::contract::write;
use serde_json::{Value, json};

use super::plan::Plan;
use super::world::{CONFIG_MAP, Query, Ref, World, text};

const CONTRACT: &str = "kafka-channel-channels-subscriptions";
/// What the API server takes.
const LARGEST: usize = 1024 * 1024;

/// What is looked at.
pub(super) fn queries(namespace: &str) -> Vec<Query> {
    let shards = (1..=MOST_SHARDS).map(|number| shard(namespace, number));
    [main(namespace)].into_iter().chain(shards).map(Query::One).collect()
}

/// Puts the channels back into one map; nothing when they are in one.
///
/// # Errors
/// For a person, when this is not possible.
pub(super) fn plan(world: &World, namespace: &str) -> Result<Plan, String> {
    let mut plan = Plan::default();
    let main = main(namespace);
    let Some(index) = bytes(world, &main, "data").and_then(|bytes| shards::index(&bytes)) else { return Ok(plan) };
    let files: BTreeMap<u32, Vec<u8>> = (1..=MOST_SHARDS)
        .filter_map(|number| Some((number, bytes(world, &shard(namespace, number), &format!("data-{number}"))?)))
        .collect();
    let read = |number: u32| files.get(&number).cloned().ok_or(io::ErrorKind::NotFound.into());
    let mut contract = shards::assemble(index, read).map_err(|error| {
        format!("{main} and its shards do not go together ({error}): control has to run until it has mended them")
    })?;
    let channels = contract.resources.len();
    contract.resources.iter_mut().for_each(|resource| resource.egresses.clear());
    contract.generation = write::next_generation(contract.generation);
    let bytes = write::to_json(&contract);
    if bytes.len() > LARGEST {
        return Err(format!(
            "{channels} channels need {} bytes in {main}, the only one that Knative's data plane reads; a ConfigMap takes \
             {LARGEST}",
            bytes.len()
        ));
    }
    let patch = json!({"binaryData": {"data": STANDARD.encode(bytes)}});
    plan.merge(&main, patch, None, "has all channels in one map again, as Knative's data plane reads them");
    for number in 1..=MOST_SHARDS {
        plan.delete_for_good(world, &shard(namespace, number), "nobody reads it any more");
    }
    Ok(plan)
}

fn main(namespace: &str) -> Ref {
    Ref::new(CONFIG_MAP, namespace, CONTRACT)
}

fn shard(namespace: &str, number: u32) -> Ref {
    Ref::new(CONFIG_MAP, namespace, &format!("{CONTRACT}-{number}"))
}

fn bytes(world: &World, map: &Ref, key: &str) -> Option<Vec<u8>> {
    let found: &Value = world.get(map)?;
    STANDARD.decode(text(found, &format!("/binaryData/{key}"))).ok()
}

#[cfg(test)]
mod tests {
    use millrace_config::contract::wire;

    use super::super::plan::Change;
    use super::*;

    fn resource(uid: &str, length: usize) -> wire::Resource {
        let egress = wire::Egress { uid: format!("{uid}-e"), ..wire::Egress::default() };
        wire::Resource {
            uid: uid.to_owned(),
            topics: vec!["t".repeat(length)],
            egresses: vec![egress],
            ..wire::Resource::default()
        }
    }

    /// A cluster with these resources, a shard each.
    fn world(resources: &[wire::Resource]) -> World {
        let map = |name: String, key: &str, bytes: &[u8]| json!({"metadata": {"name": name, "namespace": "n"}, "binaryData": {key: STANDARD.encode(bytes)}});
        let mut world = World::default();
        let mut index = Vec::new();
        for (number, resource) in (1_u32..).zip(resources) {
            let bytes = shards::shard_to_json([write::resource_to_json(resource).as_slice()]);
            index.push(wire::Shard { number, sha256: shards::digest(&bytes) });
            world.add(CONFIG_MAP, map(format!("{CONTRACT}-{number}"), &format!("data-{number}"), &bytes));
        }
        let bytes = shards::index_to_json(7, index, vec!["pem".to_owned()]);
        world.add(CONFIG_MAP, map(CONTRACT.to_owned(), "data", &bytes));
        world
    }

    #[test]
    fn the_channels_come_back_into_one_map_and_the_others_go() {
        let world = world(&[resource("a", 10), resource("b", 10)]);
        let plan = plan(&world, "n").unwrap();
        let Change::Merge(patch) = &plan.steps[0].change else { panic!("{plan:?}") };
        let bytes = STANDARD.decode(text(patch, "/binaryData/data")).unwrap();
        let contract = wire::from_json(&bytes).unwrap();
        let uids: Vec<&str> = contract.resources.iter().map(|resource| resource.uid.as_str()).collect();
        assert_eq!((uids, contract.generation, contract.trust_bundles.len()), (vec!["a", "b"], 8, 1));
        assert!(contract.resources.iter().all(|resource| resource.egresses.is_empty()));
        let gone: Vec<&str> = plan.steps[1..].iter().map(|step| step.object.name.as_str()).collect();
        assert_eq!(gone, [format!("{CONTRACT}-1"), format!("{CONTRACT}-2")]);
    }

    #[test]
    fn what_does_not_fit_or_is_not_whole_is_refused() {
        let mut large = world(&[resource("a", 600_000), resource("b", 600_000)]);
        let told = plan(&large, "n").unwrap_err();
        assert!(told.contains("2 channels need 1200"), "{told}");
        large.objects.remove(&shard("n", 2));
        let told = plan(&large, "n").unwrap_err();
        assert!(told.contains("shard 2 is not there"), "{told}");
    }

    #[test]
    fn a_contract_in_one_map_is_left_alone() {
        let mut world = World::default();
        assert!(plan(&world, "n").unwrap().is_done());
        let data = STANDARD.encode(b"{\"generation\":\"7\"}");
        world.add(CONFIG_MAP, json!({"metadata": {"name": CONTRACT, "namespace": "n"}, "binaryData": {"data": data}}));
        assert!(plan(&world, "n").unwrap().is_done());
    }
}
