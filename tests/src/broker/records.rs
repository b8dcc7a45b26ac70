//! Reads and writes records, offsets and group commits of any broker, with a plain librdkafka client.
//!
//! Blocking. Never joins a group, so that it disturbs no consumer under test.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::PATIENCE;
use crate::wait::wait_for;

/// Commits follow the work within 100 ms (design, section 4 row 4); the rest is room for a loaded machine. Less than the
/// 5 s of the peer's timer.
pub const COMMIT_LIMIT: Duration = Duration::from_secs(4);

/// A record to write.
#[derive(Debug, Clone, Default)]
pub struct NewRecord {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its value; `None` is a null value.
    pub value: Option<Vec<u8>>,
}

/// A record as it is stored.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Its value; `None` is a null value.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// The first header with this name, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

/// Writes records, acknowledged by all replicas when it returns.
///
/// # Panics
/// When one is not acknowledged in 30 s.
pub fn produce(bootstrap: &str, topic: &str, records: &[NewRecord]) {
    let producer: ThreadedProducer<_> =
        client(bootstrap).set("acks", "all").set("linger.ms", "5").create().expect("a producer");
    for record in records {
        let mut headers = OwnedHeaders::new();
        for (name, value) in &record.headers {
            headers = headers.insert(Header { key: name, value: Some(value) });
        }
        let mut next: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).headers(headers);
        next.key = record.key.as_deref();
        next.payload = record.value.as_deref();
        producer.send(next).expect("the queue has room");
    }
    producer.flush(PATIENCE).expect("all records are acknowledged in time");
}

/// Reads a topic from its beginning until there are at least `count` records; ordered by partition, then offset.
///
/// # Panics
/// When there are fewer after 30 s.
#[must_use]
#[track_caller]
pub fn read(bootstrap: &str, topic: &str, count: usize) -> Vec<Record> {
    let consumer = reader(bootstrap);
    let mut assignment = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&assignment).expect("an assignment");
    let (mut records, started) = (Vec::new(), Instant::now());
    while records.len() < count {
        assert!(started.elapsed() < PATIENCE, "{topic} has {} records, not {count}, after {PATIENCE:?}", records.len());
        let polled = consumer.poll(Duration::from_millis(50));
        if let Some(message) = polled.and_then(Result::ok) {
            records.push(owned(&message));
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// The end offset of every partition.
///
/// # Panics
/// When the broker does not answer in 30 s.
#[must_use]
pub fn end_offsets(bootstrap: &str, topic: &str) -> BTreeMap<i32, i64> {
    let consumer = reader(bootstrap);
    let ends = partitions(&consumer, topic).into_iter().map(|partition| {
        let (_, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the broker tells the end");
        (partition, end)
    });
    ends.collect()
}

/// The committed offset of every partition that has one.
///
/// # Panics
/// When the broker does not answer in 30 s.
#[must_use]
pub fn committed(bootstrap: &str, group: &str, topic: &str) -> BTreeMap<i32, i64> {
    commits(bootstrap, group, topic).into_iter().map(|(partition, (offset, _))| (partition, offset)).collect()
}

/// The committed offset and metadata of every partition that has one.
///
/// # Panics
/// When the broker does not answer in 30 s.
#[must_use]
pub fn commits(bootstrap: &str, group: &str, topic: &str) -> BTreeMap<i32, (i64, String)> {
    let consumer: BaseConsumer = client(bootstrap).set("group.id", group).create().expect("a consumer");
    let mut asked = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        asked.add_partition(topic, partition);
    }
    let known = consumer.committed_offsets(asked, PATIENCE).expect("the broker tells committed offsets");
    let offsets = known.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), (offset, element.metadata().to_owned()))),
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
    });
    offsets.collect()
}

/// Waits until a group has committed the end of every partition that has records. To be called when all is delivered.
///
/// # Panics
/// When it has not after [`COMMIT_LIMIT`].
#[track_caller]
pub fn wait_for_no_lag(bootstrap: &str, group: &str, topic: &str) {
    wait_for(&format!("group {group} to commit the end of {topic}"), COMMIT_LIMIT, || {
        let (ends, committed) = (end_offsets(bootstrap, topic), committed(bootstrap, group, topic));
        let behind = ends.iter().any(|(partition, end)| *end > 0 && committed.get(partition) != Some(end));
        if behind { Err(format!("committed {committed:?}, ends {ends:?}")) } else { Ok(()) }
    });
}

/// The partitions of a topic.
fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    wait_for(&format!("metadata of {topic}"), PATIENCE, || {
        let metadata =
            consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).map_err(|error| error.to_string())?;
        let found =
            metadata.topics().first().map(|topic| topic.partitions().iter().map(|p| p.id()).collect::<Vec<_>>());
        found.filter(|partitions| !partitions.is_empty()).ok_or_else(|| "no partitions".to_owned())
    })
}

fn reader(bootstrap: &str) -> BaseConsumer {
    client(bootstrap)
        .set("group.id", "millrace-tests-reader")
        .set("fetch.wait.max.ms", "10")
        .create()
        .expect("a consumer")
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("enable.auto.commit", "false");
    config.set("enable.metrics.push", "false").set("allow.auto.create.topics", "false");
    config.set("topic.metadata.propagation.max.ms", "0");
    config
}

fn owned(message: &impl Message) -> Record {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        value: message.payload().map(<[u8]>::to_vec),
    }
}
