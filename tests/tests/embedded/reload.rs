//! Contracts that change while events flow.

use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::{Channel, Subscription, uid};
use millrace_tests::event::TestEvent;
use millrace_tests::journeys::Whole;
use millrace_tests::load::{Load, accepted};
use millrace_tests::plane::{Ingress, Plane, wait_until_assigned};
use millrace_tests::process::{Line, has, is_message};
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::wait_until;
use serde_json::Value;

#[test]
fn a_contract_that_changes_under_load_fails_no_request() {
    let broker = EmbeddedBroker::start();
    let subscriber = Subscriber::accepting();
    let subscription = || Subscription::new("all", subscriber.url("/in")).unordered();
    let whole = Whole::start(&broker, "busy", 4, subscription());
    let load = Load::start(whole.ingress.address, &whole.channel, "e", 4, 100_000);
    for round in 1..=20_u64 {
        // The busy channel changes in every round too: its content mode and its subscription.
        let busy = Channel::new("busy", &broker.bootstrap()).subscribed(subscription().timeout_ms(10_000 + round));
        let busy = if round % 2 == 0 { busy } else { busy.structured() };
        let other = Channel::new(&format!("other-{round}"), &broker.bootstrap());
        whole.plane.publish(round + 1, &[busy, other.clone()]);
        whole.ingress.wait_until_routed(&other);
        let done = load.done();
        wait_until("events between two contracts", PATIENCE, || load.done() > done + 20);
    }
    let outcomes = load.stop();
    let failed: Vec<_> = outcomes.iter().filter(|(_, status)| *status != Some(202)).collect();
    assert!(failed.is_empty(), "{} of {} requests failed, such as {:?}", failed.len(), outcomes.len(), failed.first());
    subscriber.wait_for_ids("/in", &accepted(&outcomes), Duration::from_secs(60));
    records::wait_for_no_lag(&broker.bootstrap(), &whole.channel.group("all"), &whole.channel.topic());
}

#[test]
fn one_of_ten_thousand_channels_that_changes_again_and_again_fails_no_request() {
    const CHANGING: usize = 5000;
    let broker = EmbeddedBroker::start();
    let mut channels: Vec<_> =
        (0..10_000).map(|number| Channel::new(&format!("many-{number}"), &broker.bootstrap())).collect();
    let (quiet, changing) = (channels[0].clone(), channels[CHANGING].clone());
    for channel in [&quiet, &changing] {
        broker.create_topic(&channel.topic(), 1);
    }
    let plane = Plane::new(&broker);
    plane.publish(1, &channels);
    let mut ingress = Ingress::start(&plane.ingress_program().env("MILLRACE_LOG", "info"));
    ingress.wait_until_ready();
    let loads = [&quiet, &changing].map(|channel| Load::start(ingress.address, channel, &channel.name, 2, usize::MAX));
    for generation in 2..=10_u64 {
        channels[CHANGING].structured = !channels[CHANGING].structured;
        plane.publish(generation, &channels);
        let is_of = |line: &Line| line.get("contractGeneration").and_then(Value::as_u64) == Some(generation);
        let changes = ingress
            .process
            .wait_for_log("what changes", PATIENCE, |line| is_message(line, "Reconcile ingress diff") && is_of(line));
        assert!(has(&changes, "diff", "added=0 updated=1 removed=0"), "{changes}");
        ingress.process.wait_for_log("the contract in force", PATIENCE, |line| {
            is_message(line, "Reconciled contract generation") && is_of(line)
        });
        for load in &loads {
            let done = load.done();
            wait_until("events between two contracts", PATIENCE, || load.done() > done + 5);
        }
    }
    for (load, channel) in loads.into_iter().zip([quiet, changing]) {
        let outcomes = load.stop();
        let failed: Vec<_> = outcomes.iter().filter(|(_, status)| *status != Some(202)).collect();
        assert!(failed.is_empty(), "{} of {} failed, such as {:?}", failed.len(), outcomes.len(), failed.first());
        let stored: i64 = records::end_offsets(&broker.bootstrap(), &channel.topic()).values().sum();
        assert_eq!(usize::try_from(stored).ok(), Some(outcomes.len()), "each event of {} once", channel.name);
    }
}

#[test]
fn added_and_removed_channels_and_subscriptions_take_effect() {
    let broker = EmbeddedBroker::start();
    let subscriber = Subscriber::accepting();
    let first = || Subscription::new("first", subscriber.url("/first"));
    let mut whole = Whole::start(&broker, "one", 1, first());
    let two = Channel::new("two", &broker.bootstrap());
    assert!(!whole.ingress.is_routed(&two), "an unknown channel is not routed");

    let both = Channel::new("one", &broker.bootstrap());
    let both = both.subscribed(first()).subscribed(Subscription::new("second", subscriber.url("/second")));
    broker.create_topic(&two.topic(), 1);
    whole.plane.publish(2, &[both, two.clone()]);
    whole.ingress.wait_until_routed(&two);
    wait_until_assigned(&mut whole.dispatcher, &uid("one", "second"), PATIENCE);
    whole.post(&TestEvent::new("a"));
    subscriber.wait_for_arrivals("/first", 1, PATIENCE);
    subscriber.wait_for_arrivals("/second", 1, PATIENCE);

    let only_second =
        Channel::new("one", &broker.bootstrap()).subscribed(Subscription::new("second", subscriber.url("/second")));
    whole.plane.publish(3, &[only_second]);
    wait_until("channel two to be gone", PATIENCE, || !whole.ingress.is_routed(&two));
    whole.dispatcher.wait_for_message("Egress stopped", PATIENCE);
    whole.post(&TestEvent::new("b"));
    subscriber.wait_for_arrivals("/second", 2, PATIENCE);
    assert_eq!(subscriber.count_on("/first"), 1, "a removed subscription gets nothing");
}

#[test]
fn a_contract_that_is_not_json_changes_nothing_until_a_good_one_comes() {
    let broker = EmbeddedBroker::start();
    let subscriber = Subscriber::accepting();
    let mut whole = Whole::start(&broker, "kept", 1, Subscription::new("all", subscriber.url("/in")));
    for bytes in [&b"{\"generation\":\"2\",\"resou"[..], b"", b"[]", b"\xff\xfe\x00"] {
        whole.plane.publish_bytes(bytes);
        whole.ingress.process.wait_for_log("a warning or error about the contract", PATIENCE, is_trouble);
        whole.dispatcher.wait_for_log("a warning or error about the contract", PATIENCE, is_trouble);
        assert!(whole.ingress.is_routed(&whole.channel));
    }
    whole.post(&TestEvent::new("a"));
    subscriber.wait_for_arrivals("/in", 1, PATIENCE);
    let next = Channel::new("next", &broker.bootstrap());
    whole.plane.publish(3, &[whole.channel.clone(), next.clone()]);
    whole.ingress.wait_until_routed(&next);
}

#[test]
fn one_bad_entry_of_a_contract_hurts_nobody_else() {
    let broker = EmbeddedBroker::start();
    let subscriber = Subscriber::accepting();
    let channel = Channel::new("good", &broker.bootstrap());
    let channel = channel
        .subscribed(Subscription::new("bad", "not a url"))
        .subscribed(Subscription::new("all", subscriber.url("/in")));
    broker.create_topic(&channel.topic(), 1);
    let plane = Plane::new(&broker);
    let mut contract: serde_json::Value =
        serde_json::from_slice(&millrace_tests::contract::contract(1, std::slice::from_ref(&channel))).unwrap();
    let blank = serde_json::json!({"uid": "blank", "topics": ["t"], "bootstrapServers": broker.bootstrap(), "ingress": {"path": "/"}});
    contract["resources"].as_array_mut().unwrap().push(blank);
    plane.publish_bytes(contract.to_string().as_bytes());
    let ingress = plane.start_ready_ingress();
    let mut dispatcher = plane.start_dispatcher();
    wait_until_assigned(&mut dispatcher, &uid("good", "all"), PATIENCE);
    let answer = ingress.client().post(&channel.host(), &channel.path(), &TestEvent::new("a")).unwrap();
    assert_eq!(answer.status, 202);
    subscriber.wait_for_arrivals("/in", 1, PATIENCE);
    assert!(ingress.process.output().contains("blank"), "the refused entry is named:\n{}", ingress.process.output());
    assert!(dispatcher.output().contains("not a url"), "the refused entry is explained:\n{}", dispatcher.output());
}

fn is_trouble(line: &serde_json::Value) -> bool {
    let level = line.get("level").and_then(serde_json::Value::as_str).unwrap_or_default();
    matches!(level, "WARN" | "ERROR") && line.to_string().contains("contract")
}
