//! What is measured of Kafka producers: the peer's most used `kafka_producer_*` metrics, for every process that has some.
//!
//! librdkafka tells its statistics as JSON every few seconds; this reads what is wanted of them and leaves the rest. The
//! numbers are the client's own and begin again with each new client, so all of them are gauges here, also those that the
//! peer calls counters. Knows no client.
//! Source: spec ingress 8.1 (names and labels as micrometer derives them from Kafka's), librdkafka's STATISTICS.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::IntGauge;
use serde::Deserialize;

use super::family::{MAX_SERIES_PER_OWNER, OwnerLabels};
use super::{GaugeFamily, Metrics, MetricsError, OTHER, Series};

/// The client library in use. The peer names Kafka's version here.
const VERSION: &str = "librdkafka";

const ERRORS: (&str, &str) = ("kafka_producer_record_error_total", "Records that Kafka did not take");

/// Metrics of a client, each with its help; `Statistics::values` has them in the same order.
const CLIENT: [(&str, &str); 10] = [
    ("kafka_producer_record_send_total", "Records sent to brokers"),
    ("kafka_producer_request_total", "Requests sent to brokers"),
    ("kafka_producer_response_total", "Responses received from brokers"),
    ("kafka_producer_outgoing_byte_total", "Bytes sent to brokers"),
    ("kafka_producer_incoming_byte_total", "Bytes received from brokers"),
    ("kafka_producer_connection_count", "Connections to brokers"),
    ("kafka_producer_requests_in_flight", "Requests without a response yet"),
    ("kafka_producer_request_latency_avg", "Milliseconds from request to response on average"),
    ("kafka_producer_buffer_total_bytes", "Bytes that records may have while they wait"),
    ("kafka_producer_buffer_available_bytes", "Bytes of those that are free"),
];
const TOPIC: [(&str, &str); 2] = [
    ("kafka_producer_topic_record_send_total", "Records sent for the topic"),
    ("kafka_producer_topic_byte_total", "Bytes of records sent for the topic"),
];

/// Time between two statistics; their size grows with the topics that a producer has written to.
pub const STATISTICS_MILLIS: &str = "15000";

/// The families of the process.
#[derive(Clone, Debug)]
pub struct ProducerFamilies {
    errors: GaugeFamily,
    client: [GaugeFamily; 10],
    topic: [GaugeFamily; 2],
}

/// The series of one producer; they disappear when it is dropped.
#[derive(Clone, Debug)]
pub struct ProducerSeries {
    errors: Option<IntGauge>,
    _errors_shown: Arc<Series<IntGauge>>,
    client: [Arc<Series<IntGauge>>; 10],
    topic: [Arc<Series<IntGauge>>; 2],
}

impl ProducerFamilies {
    /// Registers all families.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(metrics: &Metrics) -> Result<Self, MetricsError> {
        let errors = metrics.family(ERRORS.0, ERRORS.1, &[])?;
        let [a, b, c, d, e, f, g, h, i, j] = CLIENT.map(|(name, help)| metrics.family(name, help, &[]));
        let [records, bytes] = TOPIC.map(|(name, help)| metrics.family(name, help, &["topic"]));
        Ok(Self { errors, client: [a?, b?, c?, d?, e?, f?, g?, h?, i?, j?], topic: [records?, bytes?] })
    }

    /// The series of the producer with this number, called as Java's client calls its producers.
    #[must_use]
    pub fn producer(&self, number: u64) -> ProducerSeries {
        let owner = OwnerLabels::from([
            ("client_id".to_owned(), format!("producer-{number}")),
            ("kafka_version".to_owned(), VERSION.to_owned()),
        ]);
        let errors = self.errors.series(owner.clone());
        ProducerSeries {
            errors: errors.with(&[]),
            _errors_shown: errors,
            client: self.client.clone().map(|family| family.series(owner.clone())),
            topic: self.topic.clone().map(|family| family.series(owner.clone())),
        }
    }
}

impl ProducerSeries {
    /// Kafka did not take a record.
    pub fn failed(&self) {
        if let Some(errors) = &self.errors {
            errors.inc();
        }
    }

    /// Takes in what the client says, or nothing if it is not what a client writes. Topics beyond the cap of a family are
    /// counted together as `other`.
    pub fn told(&self, json: &[u8]) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(json) else { return };
        for (series, value) in self.client.iter().zip(statistics.values()) {
            series.set(&[], value);
        }
        let [records, bytes] = &self.topic;
        let mut rest = (0, 0);
        for (number, (name, topic)) in statistics.topics.iter().enumerate() {
            let (sent, sent_bytes) = topic.sent();
            if number < MAX_SERIES_PER_OWNER - 1 {
                records.set(&[name], sent);
                bytes.set(&[name], sent_bytes);
            } else {
                rest = (rest.0 + sent, rest.1 + sent_bytes);
                records.set(&[OTHER], rest.0);
                bytes.set(&[OTHER], rest.1);
            }
        }
    }
}

/// What is read of librdkafka's statistics.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Statistics {
    tx: i64,
    rx: i64,
    tx_bytes: i64,
    rx_bytes: i64,
    txmsgs: i64,
    msg_size: i64,
    msg_size_max: i64,
    brokers: BTreeMap<String, Broker>,
    topics: BTreeMap<String, Topic>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Broker {
    state: String,
    waitresp_cnt: i64,
    rtt: Window,
}

/// Microseconds of the requests since the statistics before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Window {
    sum: i64,
    cnt: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Topic {
    partitions: BTreeMap<String, Partition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Partition {
    txmsgs: i64,
    txbytes: i64,
}

impl Statistics {
    /// In the order of `CLIENT`.
    fn values(&self) -> [i64; 10] {
        let sum = |of: fn(&Broker) -> i64| self.brokers.values().map(of).sum::<i64>();
        let (took_micros, requests) = (sum(|broker| broker.rtt.sum), sum(|broker| broker.rtt.cnt));
        [
            self.txmsgs,
            self.tx,
            self.rx,
            self.tx_bytes,
            self.rx_bytes,
            sum(|broker| i64::from(broker.state == "UP")),
            sum(|broker| broker.waitresp_cnt),
            took_micros / requests.max(1) / 1000,
            self.msg_size_max,
            self.msg_size_max - self.msg_size,
        ]
    }
}

impl Topic {
    /// Records and their bytes.
    fn sent(&self) -> (i64, i64) {
        self.partitions.values().fold((0, 0), |(records, bytes), it| (records + it.txmsgs, bytes + it.txbytes))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn partition(records: i64, bytes: i64) -> Value {
        json!({"txmsgs": records, "txbytes": bytes})
    }

    #[test]
    fn statistics_become_the_peers_metrics() {
        let metrics = Metrics::new();
        let series = ProducerFamilies::register(&metrics).unwrap().producer(1);
        let statistics = json!({
            "tx": 7, "rx": 6, "tx_bytes": 700, "rx_bytes": 600, "txmsgs": 5, "msg_size": 24, "msg_size_max": 1024,
            "brokers": {
                "a": {"state": "UP", "waitresp_cnt": 1, "rtt": {"sum": 9000, "cnt": 3}, "unknown": {}},
                "b": {"state": "DOWN", "waitresp_cnt": 0, "rtt": {"sum": 0, "cnt": 0}},
            },
            "topics": {"orders": {"partitions": {"0": partition(2, 20), "1": partition(3, 30), "-1": partition(0, 0)}}},
        });
        series.told(statistics.to_string().as_bytes());
        series.told(b"not statistics");
        series.failed();
        let text = metrics.text();
        let labels = r#"client_id="producer-1",kafka_version="librdkafka""#;
        for (name, value) in [
            ("record_send_total", 5),
            ("record_error_total", 1),
            ("request_total", 7),
            ("response_total", 6),
            ("outgoing_byte_total", 700),
            ("incoming_byte_total", 600),
            ("connection_count", 1),
            ("requests_in_flight", 1),
            ("request_latency_avg", 3),
            ("buffer_total_bytes", 1024),
            ("buffer_available_bytes", 1000),
        ] {
            let line = format!("kafka_producer_{name}{{{labels}}} {value}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        for (name, value) in [("record_send_total", 5), ("byte_total", 50)] {
            let line = format!("kafka_producer_topic_{name}{{{labels},topic=\"orders\"}} {value}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        drop(series);
        assert!(!metrics.text().contains("producer-1"));
    }

    #[test]
    fn topics_beyond_the_cap_are_counted_together() {
        let metrics = Metrics::new();
        let series = ProducerFamilies::register(&metrics).unwrap().producer(1);
        let topics: BTreeMap<_, _> =
            (0..300).map(|number| (format!("t{number:03}"), json!({"partitions": {"0": partition(1, 1)}}))).collect();
        series.told(json!({"topics": topics}).to_string().as_bytes());
        let text = metrics.text();
        let lines: Vec<_> =
            text.lines().filter(|line| line.starts_with("kafka_producer_topic_record_send_total{")).collect();
        assert_eq!(lines.len(), 200);
        assert!(lines.iter().any(|line| line.contains(r#"topic="other""#) && line.ends_with(" 101")), "{lines:?}");
    }
}
