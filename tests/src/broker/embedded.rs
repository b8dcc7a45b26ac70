//! librdkafka's mock cluster inside the test's process.
//!
//! Keeps at most 5 MiB or 100,000 record sets a partition and drops older ones silently: bigger tests use a real Kafka.
//! The one unsafe call of the harness is here: the crate has no safe function for the group's first rebalance delay, and
//! without it every group takes 3 s to form.

use std::net::SocketAddr;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings::{rd_kafka_handle_mock_cluster, rd_kafka_mock_group_initial_rebalance_delay_ms};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::broker::Broker;
use crate::process::while_no_process_starts;

/// A mock cluster of one broker; ends with this value.
pub struct EmbeddedBroker {
    /// Owns the cluster: it lives as long as this client.
    producer: BaseProducer,
    bootstrap: String,
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EmbeddedBroker").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl EmbeddedBroker {
    /// Starts it on a port that the system chooses.
    ///
    /// # Panics
    /// When librdkafka refuses.
    #[must_use]
    pub fn start() -> Self {
        let producer: BaseProducer =
            ClientConfig::new().set("test.mock.num.brokers", "1").create().expect("a mock cluster can be created");
        without_first_rebalance_delay(&producer);
        let bootstrap = cluster(&producer).bootstrap_servers();
        // Clients are to see the same spelling as with other brokers.
        let bootstrap = bootstrap.replace("localhost", "127.0.0.1");
        bootstrap.parse::<SocketAddr>().expect("the mock listens on an address");
        Self { producer, bootstrap }
    }

    /// Answers the next requests of this kind with these errors, one each.
    pub fn fail_next(&self, api: RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
        cluster(&self.producer).request_errors(api, errors);
    }

    /// Takes back what [`Self::fail_next`] has not used up.
    pub fn stop_failing(&self, api: RDKafkaApiKey) {
        cluster(&self.producer).clear_request_errors(api);
    }

    /// Makes every use of a topic fail with this error; `RD_KAFKA_RESP_ERR_NO_ERROR` ends it.
    ///
    /// # Panics
    /// When the mock refuses.
    pub fn fail_topic(&self, topic: &str, error: RDKafkaRespErr) {
        cluster(&self.producer).topic_error(topic, error).expect("the mock takes topic errors");
    }

    /// Closes all connections and refuses new ones.
    ///
    /// # Panics
    /// When the mock refuses.
    pub fn down(&self) {
        // The mock binds its port anew at once, and aborts the process when somebody still has it.
        while_no_process_starts(|| cluster(&self.producer).broker_down(1)).expect("the mock can go down");
    }

    /// Serves again.
    ///
    /// # Panics
    /// When the mock refuses.
    pub fn up(&self) {
        cluster(&self.producer).broker_up(1).expect("the mock can come up");
    }

    /// Delays every answer.
    ///
    /// # Panics
    /// When the mock refuses.
    pub fn delay(&self, round_trip: Duration) {
        cluster(&self.producer).broker_round_trip_time(1, round_trip).expect("the mock can be slow");
    }
}

impl Broker for EmbeddedBroker {
    fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    fn create_topic(&self, name: &str, partitions: i32) {
        cluster(&self.producer).create_topic(name, partitions, 1).expect("the mock can create a topic");
    }

    fn consumer_properties(&self) -> &'static str {
        // An empty fetch always waits its full time on the mock.
        "fetch.max.wait.ms=10\n"
    }
}

fn cluster(producer: &BaseProducer) -> MockCluster<'_, DefaultProducerContext> {
    producer.client().mock_cluster().expect("the client was created with a mock cluster")
}

#[expect(unsafe_code, reason = "rdkafka has no safe function for this setting of the mock cluster")]
fn without_first_rebalance_delay(producer: &BaseProducer) {
    // SAFETY: the client is alive for the whole call and was created with a mock cluster, so both pointers are valid.
    unsafe {
        let cluster = rd_kafka_handle_mock_cluster(producer.client().native_ptr());
        rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::records::{self, NewRecord};

    #[test]
    fn a_record_comes_back_with_its_key_headers_and_value() {
        let broker = EmbeddedBroker::start();
        broker.create_topic("t", 3);
        let record = NewRecord {
            key: Some(b"k".to_vec()),
            headers: vec![("h".into(), b"v".to_vec())],
            value: Some(b"x".to_vec()),
        };
        records::produce(&broker.bootstrap(), "t", &[record]);
        let found = records::read(&broker.bootstrap(), "t", 1);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].key.as_deref(), Some(&b"k"[..]));
        assert_eq!(found[0].headers, [("h".to_owned(), Some(b"v".to_vec()))]);
        assert_eq!(found[0].value.as_deref(), Some(&b"x"[..]));
        assert_eq!(records::end_offsets(&broker.bootstrap(), "t").values().sum::<i64>(), 1);
    }
}
