//! What is measured of the Kafka client: the peer's most used `kafka_consumer_*` metrics, and lag.
//!
//! librdkafka tells its statistics as JSON every few seconds; this reads what is wanted of them and leaves the rest. The
//! numbers are the client's own and begin again with each new client, so all of them are gauges here, also those that the
//! peer calls counters.
//! Source: dispatcher spec 8.1 (names and labels as micrometer derives them from Kafka's), librdkafka's STATISTICS.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_config::contract::Egress;
use millrace_runtime::metrics::family::{MAX_SERIES_PER_OWNER, OwnerLabels};
use millrace_runtime::metrics::{CounterFamily, GaugeFamily, Metrics, MetricsError, Series};
use prometheus::{IntCounter, IntGauge};
use serde::{Deserialize, Serialize};

const LAG: &str = "millrace_dispatcher_lag_records";
const FAILURES: &str = "millrace_dispatcher_kafka_errors_total";
/// The client library in use. The peer names Kafka's version here.
const VERSION: &str = "librdkafka";

/// Metrics of a client, each with its help.
const CLIENT: [(&str, &str); 14] = [
    ("kafka_consumer_coordinator_assigned_partitions", "Partitions assigned to this consumer"),
    ("kafka_consumer_coordinator_rebalance_total", "Rebalances of the group that this consumer took part in"),
    ("kafka_consumer_coordinator_last_rebalance_seconds_ago", "Seconds since the last of them"),
    ("kafka_consumer_coordinator_commit_total", "Commits asked for"),
    ("kafka_consumer_coordinator_heartbeat_total", "Heartbeats sent to the group's coordinator"),
    ("kafka_consumer_coordinator_join_total", "Times that this consumer asked to join the group"),
    ("kafka_consumer_coordinator_sync_total", "Times that it asked for its part of an assignment"),
    ("kafka_consumer_fetch_manager_fetch_total", "Fetches sent to brokers"),
    ("kafka_consumer_fetch_manager_records_lag_max", "The largest lag of any of its partitions"),
    ("kafka_consumer_connection_count", "Connections to brokers"),
    ("kafka_consumer_request_total", "Requests sent to brokers"),
    ("kafka_consumer_response_total", "Responses received from brokers"),
    ("kafka_consumer_outgoing_byte_total", "Bytes sent to brokers"),
    ("kafka_consumer_incoming_byte_total", "Bytes received from brokers"),
];
const TOPIC: [(&str, &str); 2] = [
    ("kafka_consumer_fetch_manager_records_consumed_total", "Records read from the topic"),
    ("kafka_consumer_fetch_manager_bytes_consumed_total", "Bytes read from the topic"),
];
const RECORDS_LAG: &str = "kafka_consumer_fetch_manager_records_lag";

/// Seconds between two statistics. They cost some microseconds each, and there may be hundreds of clients.
pub(crate) const STATISTICS_SECONDS: u32 = 15;

/// The families of the process.
#[derive(Clone, Debug)]
pub(crate) struct KafkaFamilies {
    lag: GaugeFamily,
    failures: CounterFamily,
    /// Absent: `DISABLE_KAFKA_CLIENTS_METRICS`.
    clients: Option<ClientFamilies>,
}

#[derive(Clone, Debug)]
struct ClientFamilies {
    /// In the order of `CLIENT`.
    client: Vec<GaugeFamily>,
    topic: [GaugeFamily; 2],
    records_lag: GaugeFamily,
}

impl KafkaFamilies {
    /// Registers all families; those of clients only if they are wanted.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub(crate) fn register(metrics: &Metrics, clients: bool) -> Result<Self, MetricsError> {
        let lag = metrics.family(LAG, "Records between the committed offset and the end of the topic", &["topic"])?;
        let clients = if clients { Some(ClientFamilies::register(metrics)?) } else { None };
        let failures =
            metrics.family(FAILURES, "What the Kafka client complained about, by librdkafka's code", &["error"])?;
        Ok(Self { lag, failures, clients })
    }

    /// The series of one egress.
    pub(super) fn egress(&self, egress: &Egress, owner: &OwnerLabels) -> KafkaSeries {
        let client = OwnerLabels::from([
            ("client_id".to_owned(), format!("consumer-{}-{}", egress.consumer_group, egress.uid)),
            ("kafka_version".to_owned(), VERSION.to_owned()),
        ]);
        KafkaSeries {
            lag: self.lag.series(owner.clone()),
            failures: self.failures.series(owner.clone()),
            clients: self.clients.as_ref().map(|families| ClientSeries {
                client: families.client.iter().map(|family| family.series(client.clone())).collect(),
                topic: families.topic.clone().map(|family| family.series(client.clone())),
                records_lag: families.records_lag.series(client.clone()),
            }),
        }
    }
}

impl ClientFamilies {
    fn register(metrics: &Metrics) -> Result<Self, MetricsError> {
        let client = CLIENT.iter().map(|(name, help)| metrics.family(name, help, &[])).collect::<Result<_, _>>()?;
        let [records, bytes] = TOPIC.map(|(name, help)| metrics.family(name, help, &["topic"]));
        let records_lag = metrics.family(RECORDS_LAG, "Records between position and end", &["topic", "partition"])?;
        Ok(Self { client, topic: [records?, bytes?], records_lag })
    }
}

/// The series of one egress; they disappear when it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct KafkaSeries {
    lag: Arc<Series<IntGauge>>,
    failures: Arc<Series<IntCounter>>,
    clients: Option<ClientSeries>,
}

#[derive(Clone, Debug)]
struct ClientSeries {
    client: Vec<Arc<Series<IntGauge>>>,
    topic: [Arc<Series<IntGauge>>; 2],
    records_lag: Arc<Series<IntGauge>>,
}

impl KafkaSeries {
    /// The client complained; `code` is librdkafka's name of it.
    pub(crate) fn failed(&self, code: &str) {
        if let Some(counter) = self.failures.with(&[code]) {
            counter.inc();
        }
    }

    /// Takes in what the client says.
    pub(crate) fn set(&self, statistics: &Statistics) {
        for (topic, found) in &statistics.topics {
            self.lag.set(&[topic], found.own().map(|(_number, partition)| partition.lag()).sum());
        }
        let Some(clients) = &self.clients else { return };
        let lag_max = statistics.partitions().map(|(_topic, _number, partition)| partition.lag()).max();
        let connected = statistics.brokers.values().filter(|broker| broker.state == "UP").count();
        let values = [
            statistics.cgrp.assignment_size,
            statistics.cgrp.rebalance_cnt,
            statistics.cgrp.rebalance_age / 1000,
            statistics.asked("OffsetCommit"),
            statistics.asked("Heartbeat"),
            statistics.asked("JoinGroup"),
            statistics.asked("SyncGroup"),
            statistics.asked("Fetch"),
            lag_max.unwrap_or(0),
            i64::try_from(connected).unwrap_or(i64::MAX),
            statistics.tx,
            statistics.rx,
            statistics.tx_bytes,
            statistics.rx_bytes,
        ];
        for (series, value) in clients.client.iter().zip(values) {
            series.set(&[], value);
        }
        let [records, bytes] = &clients.topic;
        for (topic, found) in &statistics.topics {
            records.set(&[topic], found.own().map(|(_number, partition)| partition.rxmsgs).sum());
            bytes.set(&[topic], found.own().map(|(_number, partition)| partition.rxbytes).sum());
        }
        for (topic, number, partition) in statistics.partitions().take(MAX_SERIES_PER_OWNER) {
            clients.records_lag.set(&[topic, number], partition.lag());
        }
    }
}

/// What is read of librdkafka's statistics.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Statistics {
    tx: i64,
    rx: i64,
    tx_bytes: i64,
    rx_bytes: i64,
    brokers: BTreeMap<String, Broker>,
    topics: BTreeMap<String, Topic>,
    cgrp: Group,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Broker {
    state: String,
    /// Requests by kind.
    req: BTreeMap<String, i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    rebalance_cnt: i64,
    /// Milliseconds.
    rebalance_age: i64,
    assignment_size: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Topic {
    partitions: BTreeMap<String, Partition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Partition {
    /// From the committed offset to the end; -1 while nothing is committed or the client does not know it.
    consumer_lag: i64,
    /// The end; negative while the client does not know it.
    hi_offset: i64,
    /// The next offset to read; negative while nothing was read.
    app_offset: i64,
    rxmsgs: i64,
    rxbytes: i64,
}

/// A partition and how far the group is behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Lag {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) records: i64,
}

impl Statistics {
    /// # Errors
    ///
    /// When the text is not what the client writes.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The lag of each partition that the client knows.
    pub(crate) fn lags(&self) -> Vec<Lag> {
        let known = self.partitions().filter(|(_topic, _number, partition)| partition.known_lag().is_some());
        let lag = |(topic, number, partition): (&str, &str, &Partition)| Lag {
            topic: topic.to_owned(),
            partition: number.parse().unwrap_or(-1),
            records: partition.lag(),
        };
        known.map(lag).collect()
    }

    /// Requests of this kind, to all brokers.
    fn asked(&self, kind: &str) -> i64 {
        self.brokers.values().filter_map(|broker| broker.req.get(kind)).sum()
    }

    fn partitions(&self) -> impl Iterator<Item = (&str, &str, &Partition)> {
        self.topics
            .iter()
            .flat_map(|(topic, found)| found.own().map(move |(number, partition)| (topic.as_str(), number, partition)))
    }
}

impl Topic {
    /// Without the one numbered -1, in which librdkafka keeps what belongs to none.
    fn own(&self) -> impl Iterator<Item = (&str, &Partition)> {
        let real = |(number, _partition): &(&String, &Partition)| !number.starts_with('-');
        self.partitions.iter().filter(real).map(|(number, partition)| (number.as_str(), partition))
    }
}

impl Partition {
    /// 0 for a partition that another process has: the sum over all processes is the group's lag.
    fn lag(&self) -> i64 {
        self.known_lag().unwrap_or(0)
    }

    /// Before the first commit of a group only what is not read yet is known to be behind.
    fn known_lag(&self) -> Option<i64> {
        if self.consumer_lag >= 0 {
            return Some(self.consumer_lag);
        }
        (self.app_offset >= 0 && self.hi_offset >= self.app_offset).then_some(self.hi_offset - self.app_offset)
    }
}

#[cfg(test)]
mod tests;
