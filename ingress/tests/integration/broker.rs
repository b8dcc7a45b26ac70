//! librdkafka's in-process cluster, and reading records back from it.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};

use super::harness::LIMIT;

/// Of every topic.
pub(crate) const PARTITIONS: i32 = 3;

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Stored {
    /// Headers as text, in order.
    pub(crate) fn header_texts(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), text_of(value.as_deref()))).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.header_texts().into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

fn text_of(value: Option<&[u8]>) -> &str {
    std::str::from_utf8(value.unwrap_or_default()).unwrap()
}

/// An in-process cluster of one broker.
pub(crate) struct Broker(pub(crate) MockCluster<'static, DefaultProducerContext>);

impl Broker {
    pub(crate) fn new() -> Self {
        Self(MockCluster::new(1).unwrap())
    }

    pub(crate) fn with_topic(topic: &str) -> Self {
        let broker = Self::new();
        broker.0.create_topic(topic, PARTITIONS, 1).unwrap();
        broker
    }

    pub(crate) fn bootstrap_servers(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// Reads `count` records of a topic with `PARTITIONS` partitions. Blocks.
    pub(crate) fn read(&self, topic: &str, count: usize) -> Vec<Stored> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap_servers())
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10")
            .create()
            .unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            partitions.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let (begun, mut found) = (Instant::now(), Vec::new());
        while found.len() < count {
            assert!(begun.elapsed() < LIMIT, "only {} of {count} records in {topic}", found.len());
            let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
            let record = record.unwrap();
            let headers = record.headers().map(|headers| {
                headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
            });
            found.push(Stored {
                partition: record.partition(),
                key: record.key().map(<[u8]>::to_vec),
                value: record.payload().map(<[u8]>::to_vec),
                headers: headers.unwrap_or_default(),
            });
        }
        found
    }
}
