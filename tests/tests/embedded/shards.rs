//! A contract in several files, as both data planes follow it: as a whole, or not at all.

use std::io::Write as _;
use std::process::{Command, Stdio};

use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::contract::{Channel, Subscription, contract, uid};
use millrace_tests::event::TestEvent;
use millrace_tests::journeys::Whole;
use millrace_tests::metrics::metric;
use millrace_tests::plane::wait_until_assigned;
use millrace_tests::process::{Line, Process};
use millrace_tests::raw_http::get;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::wait_until;
use serde_json::json;

/// By coreutils, so that the product's own digest is not what it is compared with.
fn sha256(bytes: &[u8]) -> String {
    let mut program =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum is installed");
    program.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = program.wait_with_output().unwrap().stdout;
    String::from_utf8(output).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// A shard has the form of a contract.
fn shard(channel: &Channel) -> Vec<u8> {
    contract(0, std::slice::from_ref(channel))
}

fn index(generation: u64, shards: &[&[u8]]) -> Vec<u8> {
    let shards = (1..).zip(shards).map(|(number, bytes)| json!({"number": number, "sha256": sha256(bytes)}));
    let shards: Vec<_> = shards.collect();
    json!({"generation": generation.to_string(), "resources": "in shards", "shards": shards}).to_string().into_bytes()
}

fn says_incomplete(line: &Line) -> bool {
    line["level"] == "WARN"
        && line["message"].as_str().is_some_and(|text| text.starts_with("New contract is not complete yet"))
}

fn wait_until_both(planes: [&Process; 2], incomplete: bool) {
    for (name, process) in ["ingress", "dispatcher"].iter().zip(planes) {
        let metric_name = format!("millrace_{name}_contract_incomplete");
        let wanted = if incomplete { 1.0 } else { 0.0 };
        wait_until(&format!("{metric_name} to be {wanted}"), PATIENCE, || metric(process, &metric_name) == wanted);
    }
}

#[test]
fn a_contract_in_several_files_is_used_once_all_of_them_belong_together() {
    let broker = EmbeddedBroker::start();
    let subscriber = Subscriber::accepting();
    let mut whole = Whole::start(&broker, "one", 1, Subscription::new("first", subscriber.url("/first")));
    let two = Channel::new("two", &broker.bootstrap());
    let two = two.subscribed(Subscription::new("second", subscriber.url("/second")));
    broker.create_topic(&two.topic(), 1);
    let (one_shard, two_shard) = (shard(&whole.channel), shard(&two));
    let stale = shard(&Channel::new("stale", &broker.bootstrap()));
    let newest = index(2, &[&one_shard, &two_shard]);

    // The index came first, then a shard of an older set.
    whole.plane.contract.swap(&[("data", &newest), ("data-1", &one_shard)]);
    whole.ingress.process.wait_for_log("a warning", PATIENCE, says_incomplete);
    whole.dispatcher.wait_for_log("a warning", PATIENCE, says_incomplete);
    wait_until_both([&whole.ingress.process, &whole.dispatcher], true);
    whole.plane.contract.swap(&[("data", &newest), ("data-1", &one_shard), ("data-2", &stale)]);
    whole.ingress.process.wait_for_log("another warning", PATIENCE, |line| {
        says_incomplete(line) && line.to_string().contains("another content")
    });
    assert!(whole.ingress.is_routed(&whole.channel) && !whole.ingress.is_routed(&two));
    whole.post(&TestEvent::new("meanwhile"));
    subscriber.wait_for_arrivals("/first", 1, PATIENCE);
    // Whoever has no contract yet is not ready.
    let fresh = whole.plane.start_ingress();
    wait_until("the fresh one to have looked", PATIENCE, || fresh.process.lines().iter().any(says_incomplete));
    assert_eq!(get(fresh.address, "/readyz").unwrap().status, 503);

    whole.plane.contract.swap(&[("data", &newest), ("data-1", &one_shard), ("data-2", &two_shard)]);
    whole.ingress.wait_until_routed(&two);
    fresh.wait_until_ready();
    assert!(fresh.is_routed(&two) && fresh.is_routed(&whole.channel));
    wait_until_assigned(&mut whole.dispatcher, &uid("two", "second"), PATIENCE);
    wait_until_both([&whole.ingress.process, &whole.dispatcher], false);
    let answer = whole.ingress.client().post(&two.host(), &two.path(), &TestEvent::new("whole")).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    subscriber.wait_for_arrivals("/second", 1, PATIENCE);

    // Back in one file; shards that are still there mean nothing.
    whole.plane.contract.swap(&[("data", &contract(3, std::slice::from_ref(&whole.channel))), ("data-2", &two_shard)]);
    wait_until("channel two to be gone", PATIENCE, || !whole.ingress.is_routed(&two));
    assert!(whole.ingress.is_routed(&whole.channel));
}
