//! Tests of the index: collisions and made uids.

use super::*;
use crate::api::meta::Meta;
use crate::testing::{channel, config_map, sourced};

#[test]
fn the_second_object_of_one_identity_is_refused_and_both_places_are_named() {
    let objects =
        vec![sourced(channel("shop", "orders"), "a.yaml", 3), sourced(channel("shop", "orders"), "b.yaml", 7)];
    let index = Index::build(objects, "knative-eventing");
    assert_eq!(index.channels.len(), 1);
    assert_eq!(index.channel("shop", "orders").unwrap().source.file, "a.yaml");
    assert_eq!(
        index.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["b.yaml:7: KafkaChannel shop/orders: is already defined at a.yaml:3; this one is ignored"]
    );
}

#[test]
fn a_copied_uid_is_refused() {
    let with_uid = |name: &str| {
        let Object::Channel(mut object) = channel("shop", name) else { unreachable!() };
        object.meta.uid = "u-1".to_owned();
        Object::Channel(object)
    };
    let index = Index::build(vec![sourced(with_uid("a"), "a.yaml", 1), sourced(with_uid("b"), "a.yaml", 9)], "s");
    assert_eq!(index.channels.len(), 1);
    assert_eq!(index.problems[0].field.as_deref(), Some("metadata.uid"));
    assert!(index.problems[0].message.contains("KafkaChannel shop/a"), "{:?}", index.problems);
}

#[test]
fn a_made_uid_is_the_same_every_time_and_differs_between_objects() {
    let uid = |namespace: &str, name: &str| {
        let index = Index::build(vec![sourced(channel(namespace, name), "a.yaml", 1)], "s");
        index.channel(namespace, name).unwrap().object.meta.uid.clone()
    };
    assert_eq!(uid("default", "orders"), "d6bf2b8d-ad0e-58f2-9b4b-3826e0a9b789");
    assert_ne!(uid("default", "orders"), uid("default", "bills"));
    assert_ne!(uid("default", "orders"), uid("shop", "orders"));
}

#[test]
fn a_config_map_of_the_system_namespace_wins_over_its_namesakes() {
    for order in [["default", "knative-eventing"], ["knative-eventing", "default"]] {
        let objects = order
            .map(|namespace| sourced(config_map(namespace, "config-features", &[]), &format!("{namespace}.yaml"), 1));
        let index = Index::build(objects.into(), "knative-eventing");
        let Meta { namespace, .. } = &index.config_maps["config-features"].object.meta;
        assert_eq!(namespace, "knative-eventing");
        assert_eq!(index.problems.len(), 1);
        assert_eq!(index.problems[0].file, "default.yaml");
    }
}
