//! No broker at all: how long events are held, when they are refused at once, and what ends it.
//!
//! The times for delivery are the shipped ones: only `max.block.ms` and the refusals keep these tests short.

use std::time::{Duration, Instant};

use millrace_ingress::app::Running;
use serde_json::{Value, json};

use super::harness::*;

/// Much less than any time in the properties.
const AT_ONCE: Duration = Duration::from_secs(2);

async fn start(broker: &Broker, properties: &str) -> (Harness, Running) {
    let mut harness = Harness::new();
    harness.write("config/producer.properties", &format!("enable.idempotence=false\nlinger.ms=0\n{properties}"));
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    let running = harness.ready().await;
    (harness, running)
}

/// Waits until the page says this of the brokers.
async fn until_brokers(running: &Running, expected: &str) {
    until(expected, async || {
        let page: Value = serde_json::from_str(&admin(running, "/debug/routes").await).unwrap();
        (page["targets"][0]["brokers"] == expected).then_some(())
    })
    .await;
}

#[track_caller]
fn check_unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
}

#[tokio::test]
async fn an_event_waits_for_a_first_broker_as_long_as_max_block_says_and_no_longer() {
    let broker = Broker::with_topic("orders");
    broker.0.broker_down(1).unwrap();
    let (_harness, running) = start(&broker, "max.block.ms=1000\n").await;
    check_unavailable(&ask(running.address(), event("/ns/name")).await);
}

#[tokio::test]
async fn an_event_waits_for_lost_brokers_as_long_as_max_block_says_and_no_longer() {
    let broker = Broker::with_topic("orders");
    let (_harness, running) = start(&broker, "max.block.ms=1000\n").await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    broker.0.broker_down(1).unwrap();
    until_brokers(&running, "reported down").await;
    check_unavailable(&ask(running.address(), event("/ns/name")).await);
}

#[tokio::test]
async fn a_broker_that_is_there_but_slow_is_waited_for_longer_than_max_block() {
    let broker = Broker::with_topic("orders");
    let (_harness, running) = start(&broker, "max.block.ms=300\n").await;
    until_status(running.address(), &event("/ns/name"), 202).await;
    broker.0.broker_round_trip_time(1, Duration::from_secs(1)).unwrap();
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
}

#[tokio::test]
async fn brokers_that_stay_away_are_503_at_once_and_their_return_ends_it() {
    let broker = Broker::with_topic("orders");
    broker.0.broker_down(1).unwrap();
    let (_harness, running) = start(&broker, "").await;
    for round in 0..2 {
        let mut held = Client::connect(running.address()).await;
        until_brokers(&running, "reported down").await;
        held.write(request("/ns/name", &[("ce-id", "held")], "x")).await;
        until_brokers(&running, "away, events are refused").await;
        let begun = Instant::now();
        for _ in 0..5 {
            let answer = ask(running.address(), event("/ns/name")).await;
            check_unavailable(&answer);
            assert!(answer.body.contains("no Kafka broker for topic orders can be reached"), "{answer:?}");
        }
        assert!(begun.elapsed() < AT_ONCE, "round {round}: five refusals took {:?}", begun.elapsed());
        broker.0.broker_up(1).unwrap();
        // What was accepted before the refusals is not lost with them.
        assert_eq!(held.answer().await.status, 202);
        until_brokers(&running, "reached").await;
        assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
        broker.0.broker_down(1).unwrap();
    }
}

#[tokio::test]
async fn the_return_of_brokers_is_noticed_without_any_record_that_waits() {
    let broker = Broker::with_topic("orders");
    broker.0.broker_down(1).unwrap();
    let (_harness, running) =
        start(&broker, "max.block.ms=100\ndelivery.timeout.ms=1000\nrequest.timeout.ms=500\n").await;
    until_brokers(&running, "reported down").await;
    check_unavailable(&ask(running.address(), event("/ns/name")).await);
    // The record's own time is over long before.
    until_brokers(&running, "away, events are refused").await;
    broker.0.broker_up(1).unwrap();
    until_brokers(&running, "reached").await;
}

#[tokio::test]
async fn brokers_that_went_and_came_back_in_a_quiet_night_cost_no_event_in_the_morning() {
    let broker = Broker::with_topic("orders");
    let (_harness, running) = start(&broker, "").await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    broker.0.broker_down(1).unwrap();
    until_brokers(&running, "reported down").await;
    broker.0.broker_up(1).unwrap();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(running.address()).await;
        client.write(event("/ns/name")).await;
        clients.push(client);
    }
    for mut client in clients {
        assert_eq!(client.answer().await.status, 202);
    }
    until_brokers(&running, "reached").await;
}
