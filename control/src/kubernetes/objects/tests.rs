//! Tests of what is kept of ConfigMaps and pods.

use super::*;

const CONTRACT: &str = "contract";

fn map(name: &str, labels: Value, binary: Value) -> MapObject {
    let metadata = json!({"name": name, "namespace": "s", "labels": labels, "resourceVersion": "7"});
    let map = json!({"metadata": metadata, "binaryData": binary, "data": {"other": "text"}});
    config_map(serde_json::from_value(map).unwrap(), CONTRACT)
}

#[test]
fn the_contract_and_its_shards_are_told_from_other_maps() {
    let main = map(CONTRACT, json!({}), json!({"data": "e30="}));
    assert_eq!((main.contract, main.size, main.shard), (Some(Existing::Contract(Default::default())), 2, None));
    let ours = map("contract-16", json!({SHARD_LABEL: "true"}), json!({"data-16": "e30="})).shard.unwrap();
    assert_eq!((ours.is_ours, ours.bytes.as_slice(), ours.digest), (true, &b"{}"[..], shards::digest(b"{}")));
    assert!(!map("contract-1", json!({}), json!({"data-1": "e30="})).shard.unwrap().is_ours);
    for name in ["contract-0", "contract-17", "contract-01", "contract-x", "contract1", "contract-1-2"] {
        let other = map(name, json!({}), json!({"data-1": "e30="}));
        assert_eq!((other.shard, other.contract, other.map.data.len()), (None, None, 2), "{name}");
    }
}

#[track_caller]
fn check_pod(change: impl FnOnce(&mut Value), expected: bool) {
    let mut sources = vec![json!({"configMap": {"name": CONTRACT}})];
    sources.extend((1..=16).map(|number| json!({"configMap": {"name": format!("{CONTRACT}-{number}")}})));
    let volumes = json!([{"name": "cache", "emptyDir": {}}, {"name": "contract", "projected": {"sources": sources}}]);
    let mut found = json!({"metadata": {"name": "p"}, "spec": {"containers": [], "volumes": volumes}});
    change(&mut found);
    assert_eq!(pod(serde_json::from_value(found.clone()).unwrap(), CONTRACT).sees_shards, expected, "{found}");
}

#[test]
fn a_pod_sees_shards_when_it_mounts_all_of_them_beside_the_contract() {
    check_pod(|_| {}, true);
    let sources = "/spec/volumes/1/projected/sources";
    let drop_source = |found: &mut Value, place: usize| {
        found.pointer_mut(sources).and_then(Value::as_array_mut).unwrap().remove(place);
    };
    check_pod(|found| drop_source(found, 0), false);
    check_pod(|found| drop_source(found, 16), false);
    check_pod(|found| found["spec"]["volumes"][1] = json!({"name": "c", "configMap": {"name": CONTRACT}}), false);
    check_pod(|found| found["spec"]["volumes"] = Value::Null, false);
}

#[test]
fn a_pod_that_reads_nothing_any_more_is_not_waited_for() {
    let without = |found: &mut Value| found["spec"]["volumes"] = Value::Null;
    for phase in ["Succeeded", "Failed"] {
        let ended = |found: &mut Value| {
            without(found);
            found["status"] = json!({"phase": phase});
        };
        check_pod(ended, true);
    }
    let leaving = |found: &mut Value| {
        without(found);
        found["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    };
    check_pod(leaving, true);
}
