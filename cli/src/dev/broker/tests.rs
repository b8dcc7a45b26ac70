//! The embedded broker as clients see it: topics by its endpoint, records in and out, on a port that was asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::dev::{broker_api, forward};

const PATIENCE: Duration = Duration::from_secs(20);

fn broker() -> EmbeddedBroker {
    EmbeddedBroker::start().unwrap()
}

#[test]
fn a_topic_has_the_partitions_that_were_asked_for_and_keeps_them() {
    let broker = broker();
    assert!(broker.create_topic("orders", 3).unwrap());
    assert!(!broker.create_topic("orders", 5).unwrap());
    assert_eq!(partitions(&broker.address().to_string(), "orders"), 3);
}

#[test]
fn a_partition_that_dropped_nothing_starts_at_zero() {
    let broker = broker();
    assert!(broker.create_topic("orders", 1).unwrap());
    assert_eq!(broker.oldest_offset("orders", 0), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_by_put() {
    let broker = Arc::new(broker());
    let stop = CancellationToken::new();
    let api = broker_api::start(Arc::clone(&broker), stop.clone()).await.unwrap();
    let put = async |path: &str| {
        let answer = reqwest::Client::new().put(format!("{}{path}", api.url())).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(put("/topics/orders?partitions=2").await, 201);
    assert_eq!(put("/topics/orders?partitions=2").await, 200);
    assert_eq!(put("/topics/default?").await, 201);
    assert_eq!(put("/topics/orders?partitions=0").await, 400);
    assert_eq!(put("/topics/orders?partitions=many").await, 400);
    assert_eq!(put("/topics/no%20spaces?partitions=1").await, 400);
    let address = broker.address().to_string();
    let (orders, default) =
        tokio::task::spawn_blocking(move || (partitions(&address, "orders"), partitions(&address, "default")))
            .await
            .unwrap();
    assert_eq!((orders, default), (2, 1));
    stop.cancel();
    api.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_in_and_out_on_a_fixed_port() {
    let broker = broker();
    assert!(broker.create_topic("orders", 1).unwrap());
    let stop = CancellationToken::new();
    // Port 0 lets the system choose; what matters is that it is not the mock's own.
    let forward = forward::start(0, broker.address(), stop.clone()).await.unwrap();
    broker.advertise(forward.port()).unwrap();
    assert_ne!(forward.port(), broker.address().port());
    let address = format!("127.0.0.1:{}", forward.port());

    let (advertised, value, took) = tokio::task::spawn_blocking(move || {
        let advertised = advertised_port(&address);
        produce(&address, "orders", "hello");
        let started = Instant::now();
        (advertised, consume(&address, "orders"), started.elapsed())
    })
    .await
    .unwrap();
    assert_eq!(value, "hello");
    assert_eq!(advertised, i32::from(forward.port()));
    // Without the setting in `join_groups_at_once` a group takes three seconds to begin.
    assert!(took < Duration::from_millis(2500), "the group took {took:?} to join and read");

    stop.cancel();
    forward.ended().await;
}

fn partitions(address: &str, topic: &str) -> usize {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    client.fetch_metadata(Some(topic), PATIENCE).unwrap().topics()[0].partitions().len()
}

fn advertised_port(address: &str) -> i32 {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    client.fetch_metadata(None, PATIENCE).unwrap().brokers()[0].port()
}

fn produce(address: &str, topic: &str, value: &str) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    producer.send(BaseRecord::<str, str>::to(topic).payload(value)).unwrap();
    producer.flush(PATIENCE).unwrap();
}

fn consume(address: &str, topic: &str) -> String {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "readers")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(50)) {
            return String::from_utf8(record.payload().unwrap().to_vec()).unwrap();
        }
    }
    panic!("no record within {PATIENCE:?}");
}
