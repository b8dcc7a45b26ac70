//! Kafka in trouble.

use std::time::{Duration, Instant};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::json;

use super::broker::PARTITIONS;
use super::harness::*;

const IMPATIENT: &str = "enable.idempotence=false\ndelivery.timeout.ms=1500\nrequest.timeout.ms=1000\n\
                         max.block.ms=1000\nreconnect.backoff.max.ms=100\nmillrace.ingress.retry.after.ms=2500\n";

#[track_caller]
fn check_unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("3")), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn a_broker_that_is_not_there_at_start_is_503_until_it_comes() {
    let broker = Broker::with_topic("orders");
    broker.0.broker_down(1).unwrap();
    let mut harness = Harness::new();
    harness.write("config/producer.properties", IMPATIENT);
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    let running = harness.ready().await;
    check_unavailable(&ask(running.address(), event("/ns/name")).await);
    broker.0.broker_up(1).unwrap();
    until_status(running.address(), &event("/ns/name"), 202).await;
}

#[tokio::test]
async fn a_broker_that_goes_and_comes_back_is_ridden_through() {
    let broker = Broker::with_topic("orders");
    let mut harness = Harness::new();
    harness.write("config/producer.properties", IMPATIENT);
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    let running = harness.ready().await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    broker.0.broker_down(1).unwrap();
    check_unavailable(&ask(running.address(), event("/ns/name")).await);
    broker.0.broker_up(1).unwrap();
    until_status(running.address(), &event("/ns/name"), 202).await;
}

#[tokio::test]
async fn what_kafka_says_of_a_record_becomes_the_answer() {
    let (_harness, broker, running) = one_target().await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    for (error, status) in [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 413),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, 503),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 503),
    ] {
        broker.0.request_errors(RDKafkaApiKey::Produce, &[error]);
        let answer = ask(running.address(), event("/ns/name")).await;
        assert_eq!(answer.status, status, "{error:?}: {answer:?}");
        assert!(answer.body.contains("orders"), "{answer:?}");
    }
    // librdkafka may repeat the last refusal until it has looked at the topic again.
    until_status(running.address(), &event("/ns/name"), 202).await;
}

#[tokio::test]
async fn a_producer_that_failed_for_good_is_replaced() {
    let broker = Broker::with_topic("orders");
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    broker.0.request_errors(RDKafkaApiKey::InitProducerId, &[denied, denied]);
    let mut harness = Harness::new();
    harness.write("config/producer.properties", "enable.idempotence=true\nlinger.ms=0\n");
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    let running = harness.ready().await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 503);
    let begun = Instant::now();
    until_status(running.address(), &event("/ns/name"), 202).await;
    // The second one is denied too, and lives for as long as the first.
    assert!(begun.elapsed() > Duration::from_secs(7), "replaced after {:?}", begun.elapsed());
    assert_eq!(broker.read("orders", 1).len(), 1);
}

#[tokio::test]
async fn a_missing_topic_is_503_and_delays_nobody_else() {
    let broker = Broker::with_topic("orders");
    broker.0.topic_error("missing", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let servers = broker.bootstrap_servers();
    let mut harness = Harness::new();
    harness.write("config/producer.properties", "enable.idempotence=false\nmax.block.ms=3000\n");
    harness.contract(&[
        resource("uid-1", "orders", &servers, json!({"path": "/ns/name"})),
        resource("uid-2", "missing", &servers, json!({"path": "/ns/missing"})),
    ]);
    let running = harness.ready().await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    let mut stuck = Client::connect(running.address()).await;
    stuck.write(event("/ns/missing")).await;
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "the healthy topic took {:?}", begun.elapsed());
    let answer = stuck.answer().await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("topic missing does not exist"), "{answer:?}");
}

#[tokio::test]
async fn a_full_queue_is_503_at_once_and_leaves_room_for_other_targets() {
    let broker = Broker::with_topic("orders");
    broker.0.create_topic("stuck", PARTITIONS, 1).unwrap();
    let servers = broker.bootstrap_servers();
    let mut harness = Harness::new();
    harness.write(
        "config/producer.properties",
        "enable.idempotence=false\nmillrace.ingress.queue.max=4\nmillrace.ingress.retry.after.ms=2500\n",
    );
    harness.contract(&[
        resource("uid-1", "orders", &servers, json!({"path": "/ns/name"})),
        resource("uid-2", "stuck", &servers, json!({"path": "/ns/stuck"})),
    ]);
    let running = harness.ready().await;
    assert_eq!(ask(running.address(), event("/ns/stuck")).await.status, 202);
    broker.0.broker_round_trip_time(1, Duration::from_secs(2)).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(running.address()).await;
        client.write(event("/ns/stuck")).await;
        waiting.push(client);
    }
    until("two requests in flight", async || {
        admin(&running, "/metrics").await.contains("millrace_ingress_in_flight_requests 2\n").then_some(())
    })
    .await;
    let refused = ask(running.address(), event("/ns/stuck")).await;
    check_unavailable(&refused);
    assert!(refused.body.contains("wait for Kafka"), "{refused:?}");
    let mut other = Client::connect(running.address()).await;
    other.write(event("/ns/name")).await;
    broker.0.broker_round_trip_time(1, Duration::ZERO).unwrap();
    assert_eq!(other.answer().await.status, 202);
    for mut client in waiting {
        assert_eq!(client.answer().await.status, 202);
    }
}

#[tokio::test]
async fn an_event_whose_sender_went_away_is_stored_and_frees_its_place() {
    let (_harness, broker, running) = one_target().await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    broker.0.broker_round_trip_time(1, Duration::from_millis(500)).unwrap();
    let mut client = Client::connect(running.address()).await;
    client.write(request("/ns/name", &[("ce-id", "orphan")], "x")).await;
    until("a request in flight", async || {
        admin(&running, "/metrics").await.contains("millrace_ingress_in_flight_requests 1\n").then_some(())
    })
    .await;
    drop(client);
    broker.0.broker_round_trip_time(1, Duration::ZERO).unwrap();
    let records = broker.read("orders", 2);
    assert!(records.iter().any(|record| record.header("ce_id") == Some("orphan")));
    assert!(running.drain().await);
}
