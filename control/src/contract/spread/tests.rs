//! Tests of how resources are spread over shards.

use std::collections::{BTreeMap, BTreeSet};

use millrace_config::contract::shards::digest;
use millrace_config::contract::wire;
use proptest::prelude::*;

use super::{Content, LARGEST, lay_out};

/// A resource of about this many bytes.
fn resource(uid: usize, size: usize) -> wire::Resource {
    wire::Resource {
        uid: format!("u{uid}"),
        topics: vec!["t".repeat(size)],
        reference: Some(wire::Reference {
            namespace: "shop".to_owned(),
            name: format!("c{uid}"),
            ..wire::Reference::default()
        }),
        ..wire::Resource::default()
    }
}

/// Without a change of the limit.
fn spread(resources: &[wire::Resource], before: &BTreeMap<String, usize>) -> Result<Vec<Content>, String> {
    super::spread(resources, before, LARGEST)
}

fn spread_fresh(resources: &[wire::Resource]) -> Vec<Content> {
    spread(resources, &BTreeMap::new()).unwrap()
}

fn homes(contents: &[Content]) -> BTreeMap<String, usize> {
    let of =
        |(home, content): (usize, &Content)| content.uids.iter().map(|uid| (uid.clone(), home)).collect::<Vec<_>>();
    contents.iter().enumerate().flat_map(of).collect()
}

fn changed(before: &[Content], after: &[Content]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before.digest != after.digest).count()
}

#[test]
fn a_change_an_arrival_and_a_departure_rewrite_one_shard_each() {
    let mut resources: Vec<_> = (0..800).map(|uid| resource(uid, 1500)).collect();
    let before = spread_fresh(&resources);
    assert!(before.iter().all(|content| content.uids.len() == 100));
    resources[17].topics.push("another".to_owned());
    let changes = spread(&resources, &homes(&before)).unwrap();
    assert_eq!((changed(&before, &changes), homes(&before)), (1, homes(&changes)));
    resources.insert(3, resource(900, 1500));
    let arrival = spread(&resources, &homes(&changes)).unwrap();
    assert_eq!(changed(&changes, &arrival), 1);
    resources.remove(500);
    let departure = spread(&resources, &homes(&arrival)).unwrap();
    assert_eq!(changed(&arrival, &departure), 1);
}

#[test]
fn a_shard_that_is_full_gives_one_resource_to_the_emptiest() {
    let mut resources: Vec<_> = (0..64).map(|uid| resource(uid, 120_000)).collect();
    let before = spread_fresh(&resources);
    resources.remove(5);
    let with_room = spread(&resources, &homes(&before)).unwrap();
    resources[0] = resource(0, 240_000);
    let after = spread(&resources, &homes(&with_room)).unwrap();
    assert_eq!(changed(&with_room, &after), 2);
    let moved = homes(&with_room).into_iter().filter(|(uid, home)| homes(&after).get(uid) != Some(home)).count();
    assert_eq!(moved, 1);
}

#[test]
fn what_does_not_fit_is_told_by_name() {
    let too_many: Vec<_> = (0..10).map(|uid| resource(uid, LARGEST - 1000)).collect();
    let told = spread(&too_many, &BTreeMap::new()).unwrap_err();
    assert!(told.contains("8 ConfigMaps of 1048576 bytes have no room for channel shop/c8"), "{told}");
    let told = spread(&[resource(1, LARGEST)], &BTreeMap::new()).unwrap_err();
    assert!(told.contains("shop/c1"), "{told}");
}

#[test]
fn content_goes_to_maps_that_the_index_in_force_does_not_name() {
    let mut resources: Vec<_> = (0..16).map(|uid| resource(uid, 10)).collect();
    let contents = spread_fresh(&resources);
    let first = lay_out(&contents, &[], &BTreeMap::new(), &BTreeSet::new()).unwrap();
    assert_eq!(first.writes.keys().copied().collect::<Vec<u32>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let held: BTreeMap<u32, String> = first.writes.iter().map(|(number, bytes)| (*number, digest(bytes))).collect();
    let again = lay_out(&contents, &first.index, &held, &BTreeSet::new()).unwrap();
    assert_eq!((again.writes.len(), &again.index), (0, &first.index));
    resources[0].topics.push("another".to_owned());
    let contents = spread(&resources, &homes(&contents)).unwrap();
    let second = lay_out(&contents, &first.index, &held, &BTreeSet::new()).unwrap();
    assert_eq!(second.writes.keys().copied().collect::<Vec<u32>>(), [9]);
    // As many maps can be taken by others as the next contract does not need.
    let foreign: BTreeSet<u32> = [9].into();
    assert_eq!(lay_out(&contents, &first.index, &held, &foreign).unwrap().index[0].number, 10);
    assert_eq!(lay_out(&contents, &first.index, &held, &(9..=16).collect()), None);
}

#[test]
fn content_that_was_lost_is_put_back_where_it_was() {
    let contents = spread_fresh(&[resource(1, 10), resource(2, 10)]);
    let first = lay_out(&contents, &[], &BTreeMap::new(), &BTreeSet::new()).unwrap();
    let held = [(2, first.index[1].sha256.clone()), (1, "other".to_owned())].into();
    let again = lay_out(&contents, &first.index, &held, &BTreeSet::new()).unwrap();
    assert_eq!((again.writes.keys().copied().collect::<Vec<u32>>(), again.index), (vec![1], first.index));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, goes and grows: every resource is in exactly one shard, no shard is too large, what is written does
    /// not touch the set in force, and a shard whose resources did not change is not written.
    #[test]
    fn every_resource_has_one_home(
        steps in prop::collection::vec(prop::collection::btree_map(0_usize..40, 1_usize..150_000, 0..40), 1..6)
    ) {
        let mut before: BTreeMap<String, usize> = BTreeMap::new();
        let mut in_force: Vec<wire::Shard> = Vec::new();
        let mut held: BTreeMap<u32, String> = BTreeMap::new();
        for step in steps {
            let resources: Vec<_> = step.iter().map(|(uid, size)| resource(*uid, *size)).collect();
            let contents = spread(&resources, &before).unwrap();
            let mut found: Vec<&String> = contents.iter().flat_map(|content| &content.uids).collect();
            let mut wanted: Vec<&String> = resources.iter().map(|resource| &resource.uid).collect();
            found.sort();
            wanted.sort();
            prop_assert_eq!(found, wanted);
            prop_assert!(contents.iter().all(|content| content.bytes.len() <= LARGEST));
            let layout = lay_out(&contents, &in_force, &held, &BTreeSet::new()).unwrap();
            let named: BTreeSet<u32> = in_force.iter().map(|shard| shard.number).collect();
            prop_assert!(layout.writes.keys().all(|number| !named.contains(number)));
            held.extend(layout.writes.iter().map(|(number, bytes)| (*number, digest(bytes))));
            prop_assert!(layout.index.iter().all(|shard| held.get(&shard.number) == Some(&shard.sha256)));
            in_force = layout.index;
            before = layout.homes;
        }
    }
}
