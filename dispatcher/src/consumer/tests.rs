//! A consumer with librdkafka's in-process cluster and a scripted subscriber: commits, revocation, leaving.

use std::sync::Arc;

use millrace_config::contract::credentials::Credentials;
use millrace_config::properties::{grammar, kafka};
use rdkafka::TopicPartitionList;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::Semaphore;

use super::*;
use crate::testing::{Script, Subscriber, shared};

const TOPIC: &str = "orders";
const GROUP: &str = "billing";
const PROPERTIES: &str = "auto.offset.reset=earliest\nfetch.max.wait.ms=10\nsession.timeout.ms=6000";
const WAIT: Duration = Duration::from_secs(20);

struct Broker {
    cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    producer: FutureProducer,
}

impl Broker {
    fn start(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, partitions, 1).unwrap();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("linger.ms", "0")
            .create()
            .unwrap();
        Self { cluster, producer }
    }

    async fn produce(&self, partition: i32, id: &str) {
        let mut headers = OwnedHeaders::new();
        for (key, value) in [("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "/shop"), ("ce_type", "order")] {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let record = FutureRecord::<str, str>::to(TOPIC).partition(partition).headers(headers).payload("data");
        self.producer.send_result(record).map_err(|(error, _)| error).unwrap().await.unwrap().unwrap();
    }

    /// The offset the group has committed, asked by a client of its own.
    async fn committed(&self, partition: i32) -> Option<i64> {
        self.commit(partition).await.0
    }

    async fn wait_for_metadata(&self, partition: i32) {
        let deadline = Instant::now() + WAIT;
        // Five bits, the last four set.
        while !self.commit(partition).await.1.ends_with("Ee") {
            assert!(Instant::now() < deadline, "metadata is {:?}", self.commit(partition).await);
        }
    }

    /// Offset and metadata.
    async fn commit(&self, partition: i32) -> (Option<i64>, String) {
        let servers = self.cluster.bootstrap_servers();
        let asked = tokio::task::spawn_blocking(move || {
            let client: BaseConsumer =
                ClientConfig::new().set("bootstrap.servers", servers).set("group.id", GROUP).create().unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition(TOPIC, partition);
            let answered = client.committed_offsets(list, WAIT).unwrap();
            let found = answered.find_partition(TOPIC, partition).unwrap();
            (found.offset(), found.metadata().to_owned())
        });
        let (offset, metadata) = asked.await.unwrap();
        (if let rdkafka::Offset::Offset(offset) = offset { Some(offset) } else { None }, metadata)
    }

    async fn wait_for_commit(&self, partition: i32, offset: i64) {
        let deadline = Instant::now() + WAIT;
        let mut found = self.committed(partition).await;
        while found != Some(offset) {
            assert!(Instant::now() < deadline, "partition {partition} is committed up to {found:?}, not {offset}");
            found = self.committed(partition).await;
        }
    }

    async fn consumer(&self, subscriber: &Subscriber, revoke_wait: Duration) -> ConsumerHandle {
        self.consumer_of(shared(subscriber, r#","deliveryOrder":"UNORDERED""#, PROPERTIES), revoke_wait).await
    }

    async fn consumer_of(&self, shared: Shared, revoke_wait: Duration) -> ConsumerHandle {
        let properties = grammar::parse(PROPERTIES.as_bytes()).unwrap();
        let settings = kafka::consumer(&properties).unwrap();
        let client = settings.client_for(&self.cluster.bootstrap_servers(), &Credentials::plaintext(), GROUP, WAIT);
        let spec = ConsumerSpec {
            egress: "e".to_owned(),
            topics: vec![TOPIC.to_owned()],
            client,
            tokens: None,
            commit_interval: Duration::from_millis(100),
            revoke_wait,
            group: GROUP.to_owned(),
            batch: 50,
            shared,
        };
        ConsumerHandle::start(spec).await.unwrap()
    }
}

#[tokio::test]
async fn every_finished_record_is_committed_soon_not_only_the_first() {
    let (broker, subscriber) = (Broker::start(2), Subscriber::start().await);
    let consumer = broker.consumer(&subscriber, Duration::from_secs(3)).await;
    for (count, partition, committed) in [(1, 0, 1), (2, 1, 1), (3, 1, 2), (4, 0, 2)] {
        broker.produce(partition, &format!("event-{count}")).await;
        subscriber.wait("/subscriber", count).await;
        broker.wait_for_commit(partition, committed).await;
    }
    consumer.stop(Instant::now() + WAIT).await;
}

#[tokio::test]
async fn stopping_waits_for_what_is_sent_commits_it_and_reads_nothing_more() {
    let (broker, subscriber) = (Broker::start(1), Subscriber::start().await);
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }]);
    let consumer = broker.consumer(&subscriber, Duration::from_secs(3)).await;
    broker.produce(0, "event-1").await;
    subscriber.wait("/subscriber", 1).await;
    let stopping = consumer.stop(Instant::now() + WAIT);
    tokio::pin!(stopping);
    assert!(futures_util::poll!(&mut stopping).is_pending());
    broker.produce(0, "event-2").await;
    gate.add_permits(1);
    stopping.await;
    assert_eq!(broker.committed(0).await, Some(1));
    assert_eq!(subscriber.arrivals("/subscriber").len(), 1);
}

#[tokio::test]
async fn stopping_gives_up_at_its_deadline_and_commits_nothing_unfinished() {
    let (broker, subscriber) = (Broker::start(1), Subscriber::start().await);
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(gate), ..Script::status(200) }]);
    let consumer = broker.consumer(&subscriber, Duration::from_secs(3)).await;
    broker.produce(0, "event-1").await;
    subscriber.wait("/subscriber", 1).await;
    consumer.stop(Instant::now()).await;
    assert_eq!(broker.committed(0).await, None);
}

#[tokio::test]
async fn a_partition_that_another_member_takes_over_is_committed_first() {
    let (broker, subscriber) = (Broker::start(2), Subscriber::start().await);
    let first = broker.consumer(&subscriber, Duration::from_secs(3)).await;
    for partition in [0, 1] {
        broker.produce(partition, &format!("before-{partition}")).await;
    }
    subscriber.wait("/subscriber", 2).await;
    let second = broker.consumer(&subscriber, Duration::from_secs(3)).await;
    first.stop(Instant::now() + WAIT).await;
    for partition in [0, 1] {
        broker.produce(partition, &format!("after-{partition}")).await;
        broker.wait_for_commit(partition, 2).await;
    }
    second.stop(Instant::now() + WAIT).await;
    let mut ids: Vec<_> = subscriber.arrivals("/subscriber").into_iter().map(|arrival| arrival.id).collect();
    ids.sort();
    assert_eq!(ids, ["after-0", "after-1", "before-0", "before-1"], "each event was delivered once");
}

#[tokio::test]
async fn a_setting_that_the_client_refuses_is_named_and_leaves_nothing_behind() {
    let subscriber = Subscriber::start().await;
    let spec = ConsumerSpec {
        egress: "e".to_owned(),
        topics: vec![TOPIC.to_owned()],
        client: BTreeMap::from([("no.such.key".to_owned(), "1".to_owned())]),
        tokens: None,
        commit_interval: Duration::from_millis(100),
        revoke_wait: Duration::ZERO,
        group: GROUP.to_owned(),
        batch: 50,
        shared: shared(&subscriber, "", PROPERTIES),
    };
    let error = ConsumerHandle::start(spec).await.unwrap_err();
    assert!(error.to_string().contains("no.such.key"), "{error}");
}

#[tokio::test]
async fn a_restart_sends_only_what_was_unfinished() {
    let (broker, subscriber) = (Broker::start(1), Subscriber::start().await);
    let gate = Arc::new(Semaphore::new(0));
    let held = Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) };
    subscriber.answer("/subscriber", &[held, Script::status(200)]);
    let first = broker.consumer(&subscriber, Duration::from_secs(3)).await;
    broker.produce(0, "event-0").await;
    subscriber.wait("/subscriber", 1).await;
    for number in 1..5 {
        broker.produce(0, &format!("event-{number}")).await;
    }
    subscriber.wait("/subscriber", 5).await;
    broker.wait_for_metadata(0).await;
    // The deadline has passed: what hangs is cut, as by a crash.
    first.stop(Instant::now()).await;
    assert_eq!(broker.committed(0).await, Some(0));
    let second = broker.consumer(&subscriber, Duration::from_secs(3)).await;
    broker.wait_for_commit(0, 5).await;
    second.stop(Instant::now() + WAIT).await;
    let ids: Vec<_> = subscriber.arrivals("/subscriber").into_iter().map(|arrival| arrival.id).collect();
    assert_eq!(ids[5..], ["event-0"], "{ids:?}");
}

#[tokio::test]
async fn the_lag_that_the_client_tells_reaches_the_debug_page() {
    let (broker, subscriber) = (Broker::start(1), Subscriber::start().await);
    let gate = Arc::new(Semaphore::new(1));
    subscriber.answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }]);
    let settings = kafka::consumer(&grammar::parse(PROPERTIES.as_bytes()).unwrap()).unwrap();
    let servers = broker.cluster.bootstrap_servers();
    let mut client = settings.client_for(&servers, &Credentials::plaintext(), GROUP, WAIT);
    client.insert("statistics.interval.ms".to_owned(), "50".to_owned());
    let shared = shared(&subscriber, r#","deliveryOrder":"UNORDERED""#, PROPERTIES);
    let live = Arc::clone(&shared.pipeline.load().live);
    let spec = ConsumerSpec {
        egress: "e".to_owned(),
        topics: vec![TOPIC.to_owned()],
        client,
        tokens: None,
        commit_interval: Duration::from_millis(100),
        revoke_wait: Duration::from_secs(3),
        group: GROUP.to_owned(),
        batch: 50,
        shared,
    };
    let consumer = ConsumerHandle::start(spec).await.unwrap();
    let wait_for_lag = async |records: i64| {
        let deadline = Instant::now() + WAIT;
        while live.lag().first().map(|lag| lag.records) != Some(records) {
            assert!(Instant::now() < deadline, "lag is {:?}, not {records}", live.lag());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    broker.produce(0, "event-1").await;
    broker.wait_for_commit(0, 1).await;
    for number in 2..=4 {
        broker.produce(0, &format!("event-{number}")).await;
    }
    wait_for_lag(3).await;
    gate.add_permits(3);
    wait_for_lag(0).await;
    consumer.stop(Instant::now() + WAIT).await;
}

#[tokio::test]
async fn a_topic_that_may_not_be_read_is_shown_and_read_soon_after_it_may() {
    for (error, name) in [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "TopicAuthorizationFailed"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "UnknownTopicOrPartition"),
    ] {
        let (broker, subscriber) = (Broker::start(1), Subscriber::start().await);
        broker.produce(0, "event-1").await;
        broker.cluster.topic_error(TOPIC, error).unwrap();
        let shared = shared(&subscriber, "", PROPERTIES);
        let live = Arc::clone(&shared.pipeline.load().live);
        let consumer = broker.consumer_of(shared, Duration::from_secs(3)).await;
        let deadline = Instant::now() + WAIT;
        while live.kafka_error().is_none_or(|shown| !shown.error.contains(name)) {
            assert!(Instant::now() < deadline, "{:?} is not {name}", live.kafka_error());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        broker.cluster.topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        // librdkafka itself would look after minutes.
        let deadline = Instant::now() + WAIT;
        while live.assigned() == 0 {
            assert!(Instant::now() < deadline, "the topic is not read: {:?}", live.kafka_error());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        subscriber.wait("/subscriber", 1).await;
        assert!(live.kafka_error().is_none());
        consumer.stop(Instant::now() + WAIT).await;
    }
}
