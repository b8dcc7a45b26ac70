//! Tests of indexes and shards as values.

use std::collections::BTreeMap;

use super::super::{parse, write};
use super::*;

fn resource(uid: &str) -> wire::Resource {
    wire::Resource { uid: uid.to_owned(), topics: vec!["t".to_owned()], ..wire::Resource::default() }
}

fn shard(uids: &[&str]) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = uids.iter().map(|uid| write::resource_to_json(&resource(uid))).collect();
    shard_to_json(encoded.iter().map(Vec::as_slice))
}

/// An index of these shards, numbered from 1.
fn index_of(generation: u64, shards: &[&[u8]]) -> Vec<u8> {
    let named = (1_u32..).zip(shards).map(|(number, bytes)| Shard { number, sha256: digest(bytes) });
    index_to_json(generation, named.collect(), vec!["pem".to_owned()])
}

#[track_caller]
fn check(main: &[u8], files: &[(u32, &[u8])], expected: Result<&[&str], &str>) {
    let files: BTreeMap<u32, &[u8]> = files.iter().copied().collect();
    let read = |number: u32| files.get(&number).map(|bytes| bytes.to_vec()).ok_or(io::ErrorKind::NotFound.into());
    let found = assemble(index(main).expect("it is an index"), read);
    let found = found.map(|contract| contract.resources.into_iter().map(|resource| resource.uid).collect::<Vec<_>>());
    let expected: Result<Vec<String>, String> =
        expected.map(|uids| uids.iter().map(|uid| (*uid).to_owned()).collect()).map_err(str::to_owned);
    assert_eq!(found.map_err(|error| error.to_string()), expected);
}

#[test]
fn a_set_is_used_as_a_whole_or_not_at_all() {
    let (one, two, other) = (shard(&["a", "b"]), shard(&["c"]), shard(&["x"]));
    let main = index_of(7, &[&one, &two]);
    check(&main, &[(1, &one), (2, &two)], Ok(&["a", "b", "c"]));
    check(&main, &[(1, &one), (2, &two), (3, &other)], Ok(&["a", "b", "c"]));
    check(&main, &[(1, &one)], Err("shard 2 is not there"));
    check(&main, &[(1, &two), (2, &two)], Err("shard 1 has another content than the index says"));
    check(&main, &[(1, &one), (2, b"")], Err("shard 2 has another content than the index says"));
    check(&index_of(7, &[b"oops"]), &[(1, b"oops")], Err("shard 1 is not usable"));
}

#[test]
fn numbers_that_lead_nowhere_are_refused() {
    for numbers in [&[0][..], &[100], &[1, 1]] {
        let shards = numbers.iter().map(|number| Shard { number: *number, sha256: digest(b"{}") }).collect();
        let found = assemble(index(&index_to_json(1, shards, Vec::new())).unwrap(), |_| Ok(b"{}".to_vec()));
        assert!(matches!(found, Err(ShardError::Number { .. })), "{numbers:?}");
    }
}

#[test]
fn what_is_assembled_has_the_generation_and_the_bundles_of_the_index() {
    let one = shard(&["a"]);
    let contract = assemble(index(&index_of(7, &[&one])).unwrap(), |_| Ok(one.clone())).unwrap();
    assert_eq!((contract.generation, contract.trust_bundles), (7, vec!["pem".to_owned()]));
}

#[test]
fn contracts_and_other_texts_are_no_index() {
    let contract = wire::Contract { generation: 1, resources: vec![resource("a")], ..wire::Contract::default() };
    let whole = write::to_json(&contract);
    let texts: [&[u8]; 6] = [&whole, b"", b"{}", b"{\"generation\":\"7\"}", b"{\"shards\":[]}", b"corrupt"];
    for text in texts {
        assert_eq!(index(text), None, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_reader_that_does_not_know_shards_refuses_an_index_as_a_whole() {
    let found = parse(&index_of(7, &[&shard(&["a"])])).unwrap_err().to_string();
    assert!(found.contains("resources"), "{found}");
}

#[test]
fn a_shard_has_the_form_of_a_contract() {
    let contract = wire::Contract { resources: vec![resource("a"), resource("b")], ..wire::Contract::default() };
    assert_eq!(write::to_json(&contract), shard(&["a", "b"]));
    let sizes: usize = contract.resources.iter().map(|resource| write::resource_to_json(resource).len()).sum();
    assert_eq!(shard(&["a", "b"]).len(), FRAME + sizes + 1);
}

#[test]
fn shards_lie_beside_the_contract() {
    assert_eq!(file_of(Path::new("/etc/contract/data"), 12), Path::new("/etc/contract/data-12"));
    assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
