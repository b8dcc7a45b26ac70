//! A contract that one ConfigMap cannot hold: spread over several, live at both data planes, damaged, repaired, shrunk.
//!
//! Long URLs of dead letter sinks stand for many channels: the code is the same, and the tests are short.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::event::TestEvent;
use millrace_tests::kubernetes::install::{CHANNEL, CONTRACT, Install, SUBSCRIPTION, SYSTEM, condition};
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::{wait_for, wait_until};
use serde_json::{Value, json};

const CHANNELS: usize = 24;
/// 24 channels with two of them are 1.4 MiB.
const LONG: usize = 30_000;
const APPLIERS: usize = 4;

fn subscription(uri: &str, length: usize) -> Value {
    let sink = format!("http://127.0.0.1:9/{}", "x".repeat(length));
    json!({"subscriber": {"uri": uri}, "delivery": {"deadLetterSink": {"uri": sink}}})
}

/// Every channel with its two Subscriptions; the first one's go to `uri` and the number of the channel.
fn apply_all(install: &Install, namespace: &str, uri: &str, length: usize) {
    thread::scope(|scope| {
        for first in 0..APPLIERS {
            scope.spawn(move || {
                for number in (first..CHANNELS).step_by(APPLIERS) {
                    let channel = format!("c{number}");
                    install.apply_channel(namespace, &channel, &json!({}));
                    let heard = subscription(&format!("{uri}{number}"), length);
                    install.apply_subscription(namespace, &format!("{channel}-a"), &channel, &heard);
                    let unheard = subscription("http://127.0.0.1:9/", length);
                    install.apply_subscription(namespace, &format!("{channel}-b"), &channel, &unheard);
                }
            });
        }
    });
}

fn wait_until_all_are_ready(install: &Install, namespace: &str) {
    for number in 0..CHANNELS {
        install.wait_until_ready(CHANNEL, namespace, &format!("c{number}"));
        for name in ["a", "b"] {
            install.wait_until_ready(SUBSCRIPTION, namespace, &format!("c{number}-{name}"));
        }
    }
}

/// Names and versions of the contract's maps.
fn versions(install: &Install) -> BTreeMap<String, String> {
    let mut all = install.admin.versions(&format!("/api/v1/namespaces/{SYSTEM}/configmaps")).unwrap();
    all.retain(|name, _| name.starts_with(CONTRACT));
    all
}

/// The maps whose version differs.
fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeSet<String> {
    after.iter().filter(|(name, version)| before.get(*name) != Some(version)).map(|(name, _)| name.clone()).collect()
}

/// The names of the maps that the index names.
fn named(install: &Install) -> Vec<String> {
    let index = install.contract();
    assert!(index["resources"].is_string(), "a reader that knows no shards must refuse it: {index}");
    let shards = index["shards"].as_array().unwrap_or_else(|| panic!("there is no index: {index}"));
    shards.iter().map(|shard| format!("{CONTRACT}-{}", shard["number"])).collect()
}

fn binary(install: &Install, map: &str) -> Value {
    install.admin.get("v1", "ConfigMap", SYSTEM, map).unwrap_or_default()["binaryData"].clone()
}

/// All files that the data planes read.
fn files(install: &Install) -> String {
    let folder = fs::read_dir(install.plane.contract.path()).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    paths.map(|path| fs::read_to_string(path).unwrap_or_default()).collect()
}

fn post(install: &Install, namespace: &str, number: usize, id: &str) {
    let path = format!("/{namespace}/c{number}");
    let answer = install.ingress.client().post("x", &path, &TestEvent::new(id)).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[test]
fn a_contract_larger_than_a_config_map_is_live_at_both_data_planes_and_survives_damage() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let subscriber = Subscriber::accepting();
    let mut control = install.start_control();
    let mut dispatcher = install.plane.start_dispatcher();
    let namespace = install.cluster.fresh_namespace();
    apply_all(&install, &namespace, &subscriber.url("/"), LONG);
    wait_until_all_are_ready(&install, &namespace);
    let shards = named(&install);
    assert_eq!(shards.len(), 8);
    for number in [0, CHANNELS - 1] {
        post(&install, &namespace, number, "first");
        subscriber.wait_for_ids(&format!("/{number}"), &["first".to_owned()], PATIENCE);
    }

    let before = versions(&install);
    let index = || fs::read(install.plane.contract.file("data")).unwrap_or_default();
    let old = index();
    install.apply_subscription(&namespace, "c7-b", "c7", &subscription("http://127.0.0.1:9/changed", LONG));
    // A shard is no news before the index names it.
    let live = || index() != old && files(&install).contains("127.0.0.1:9/changed");
    wait_until("the change at the data planes", PATIENCE, live);
    let written = changed(&before, &versions(&install));
    assert_eq!(written.len(), 2, "one shard and the index: {written:?}");
    assert!(written.contains(CONTRACT), "{written:?}");

    // What somebody does to a shard is undone, without another index.
    let shards = named(&install);
    let (first, second) = (&shards[0], &shards[1]);
    let whole = (binary(&install, first), binary(&install, second));
    let index = versions(&install)[CONTRACT].clone();
    install.admin.delete(["v1", "ConfigMap", SYSTEM, first]);
    let key = format!("data-{}", second.rsplit_once('-').unwrap().1);
    // "corrupt" in base64.
    let _ = install.admin.patch(["v1", "ConfigMap", SYSTEM, second], &json!({"binaryData": {key: "Y29ycnVwdA=="}}));
    let is_whole = |expected: &(Value, Value)| (binary(&install, first), binary(&install, second)) == *expected;
    wait_until("the shards to be put right", PATIENCE, || is_whole(&whole));
    assert_eq!(versions(&install)[CONTRACT], index);

    // Also what happened while nobody looked.
    assert_eq!(control.stop(PATIENCE).code(), Some(0));
    install.admin.delete(["v1", "ConfigMap", SYSTEM, first]);
    let mut control = install.start_control();
    wait_until("the shard to be back", PATIENCE, || is_whole(&whole));
    post(&install, &namespace, 0, "second");
    subscriber.wait_for_ids("/0", &["second".to_owned()], PATIENCE);

    apply_all(&install, &namespace, &subscriber.url("/"), 1);
    wait_for("the contract to be in one map again", PATIENCE, || {
        let left = versions(&install);
        if left.len() == 1 { Ok(()) } else { Err(format!("{left:?}")) }
    });
    assert_eq!(install.contract()["resources"].as_array().map(Vec::len), Some(CHANNELS));
    wait_until_all_are_ready(&install, &namespace);
    post(&install, &namespace, 3, "third");
    subscriber.wait_for_ids("/3", &["third".to_owned()], PATIENCE);
    assert_eq!((control.has_ended(), dispatcher.has_ended()), (None, None));
}

#[test]
fn people_are_told_in_time_and_nothing_is_spread_before_every_pod_can_read_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let old = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": SYSTEM, "name": "old-0", "labels": {"app": "kafka-channel-dispatcher"}},
        "spec": {"containers": [{"name": "c", "image": "none"}]}});
    install.apply(&old);
    let mut control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    let more = |from: usize, to: usize| {
        for number in from..to {
            let spec = subscription("http://127.0.0.1:9/", LONG);
            install.apply_subscription(&namespace, &format!("s{number}"), "orders", &spec);
        }
    };
    more(0, 29);
    let full = install.wait_for_condition(CHANNEL, &namespace, "orders", "ContractHasRoom", "False");
    let told = condition(&full, "ContractHasRoom");
    assert_eq!((&told["severity"], &told["reason"]), (&json!("Warning"), &json!("ContractAlmostFull")), "{told}");
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    wait_until("an event on the map", PATIENCE, || {
        let events = install.admin.list("events.k8s.io/v1", "Event", SYSTEM);
        events.iter().any(|event| event["reason"] == "ContractAlmostFull" && event["regarding"]["name"] == CONTRACT)
    });

    more(29, 36);
    // A channel is in one shard as a whole, and is too large for one.
    let refused = install.wait_for_condition(CHANNEL, &namespace, "orders", "ConfigMapUpdated", "False");
    let why = condition(&refused, "ConfigMapUpdated")["message"].to_string();
    assert!(why.contains("1 pods of the data plane do not mount the others, old-0 among them"), "{why}");
    install.admin.delete(["v1", "Pod", SYSTEM, "old-0"]);
    wait_for("the next reason", PATIENCE, || {
        let why = condition(&install.channel(&namespace, "orders"), "ConfigMapUpdated")["message"].to_string();
        if why.contains(&format!("have no room for channel {namespace}/orders")) { Ok(()) } else { Err(why) }
    });
    assert!(install.contract()["resources"].is_array(), "the last contract stays");
    for number in 20..36 {
        install.admin.delete([SUBSCRIPTION[0], SUBSCRIPTION[1], &namespace, &format!("s{number}")]);
    }
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    wait_until("the warning to be taken back", PATIENCE, || {
        condition(&install.channel(&namespace, "orders"), "ContractHasRoom") == Value::Null
    });
    assert_eq!(control.has_ended(), None);
}
