//! Records that nobody takes: parked on librdkafka's in-process cluster, or held.

use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::dispatch::{Dispatched, dispatch};
use crate::reply::topic::tokens::TokenContext;
use crate::testing::{Script, Subscriber, shared, shared_storing};

const TOPIC: &str = "orders.undelivered";

fn record(offset: i64, bytes: usize) -> Record {
    let mut builder = Record::builder("orders".into(), 0, offset, bytes + 256);
    for (name, value) in [("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_source", "/s"), ("ce_type", "t")] {
        builder.header(name, Some(value.as_bytes()));
    }
    builder.value(Some(&vec![b'x'; bytes]));
    builder.build()
}

async fn refusing() -> Subscriber {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &[Script::status(400)]);
    subscriber
}

/// How many headers and bytes the record at this offset has.
fn stored(servers: &str, offset: i64) -> (usize, usize) {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "reader").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Offset(offset)).unwrap();
    client.assign(&list).unwrap();
    let message = client.poll(Duration::from_secs(20)).unwrap().unwrap();
    (message.headers().unwrap().count(), message.payload_len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_kept_with_its_reasons_or_without_them_where_only_they_make_it_too_large() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let client = [("bootstrap.servers", servers.as_str()), ("message.max.bytes", "1000"), ("linger.ms", "0")];
    let client: BTreeMap<_, _> = client.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let subscriber = refusing().await;
    let shared =
        shared_storing(RecordProducer::new(&client, TokenContext::default(), Duration::ZERO), &subscriber, "", "");
    let pipeline = shared.pipeline.load();
    for (offset, bytes, outcome) in
        [(0, 10, Outcome::Undelivered), (1, 800, Outcome::Undelivered), (2, 2000, Outcome::Lost)]
    {
        let mut slot = shared.slots.clone().take(1, CancellationToken::new()).await.unwrap();
        let dispatched = dispatch(&pipeline, &record(offset, bytes), &mut slot).await;
        assert_eq!(dispatched, Dispatched::Finished(outcome), "{bytes} bytes");
    }
    let kept = tokio::task::spawn_blocking(move || [stored(&servers, 0), stored(&servers, 1)]).await.unwrap();
    assert_eq!(kept, [(12, 10), (4, 800)], "headers and bytes");
}

#[tokio::test]
async fn a_blocked_record_keeps_its_place_and_no_slot_until_its_partition_stops() {
    let subscriber = refusing().await;
    let shared = shared(&subscriber, "", "millrace.undelivered=block\nmillrace.in.flight.max=1\n");
    let (pipeline, stopping) = (shared.pipeline.load(), CancellationToken::new());
    let mut slot = shared.slots.clone().take(1, stopping.clone()).await.unwrap();
    let record = record(0, 10);
    let blocked = dispatch(&pipeline, &record, &mut slot);
    tokio::pin!(blocked);
    tokio::select! {
        dispatched = &mut blocked => panic!("{dispatched:?}"),
        other = shared.slots.clone().take(1, stopping.clone()) => drop(other.unwrap()),
    }
    assert_eq!(subscriber.arrivals("/subscriber").len(), 1);
    stopping.cancel();
    assert_eq!(blocked.await, Dispatched::Abandoned);
}
