//! The embedded broker: librdkafka's in-process mock cluster, one broker on the loopback interface.
//!
//! The only file of this package that speaks to librdkafka, and the only one with unsafe code: two settings of the
//! mock cluster have no safe wrapper. What it cannot do (keep anything, create topics by an admin client, more than
//! 5 MiB or 100,000 records a partition) is told to the user by `retention` and the help texts, not here.

use std::ffi::CString;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;
use rdkafka::{ClientConfig, ClientContext};

/// The mock cluster numbers its brokers from 1; we have one.
const BROKER_ID: i32 = 1;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    #[error("cannot start the embedded broker")]
    Start(#[source] KafkaError),
    #[error("the embedded broker did not say where it listens, but {found:?}")]
    Address { found: String },
    #[error("the embedded broker refuses topic {topic} with {partitions} partitions")]
    Topic { topic: String, partitions: i32, source: KafkaError },
}

/// A running broker; dropping it ends it and forgets every record. Dropping blocks for up to a second.
pub(crate) struct EmbeddedBroker {
    /// Owns the mock cluster; never produces anything itself.
    owner: BaseProducer,
    address: SocketAddr,
}

impl EmbeddedBroker {
    /// Starts it on a free port of the loopback interface; see [`EmbeddedBroker::advertise`] for a fixed one. Blocks for
    /// some milliseconds.
    pub(crate) fn start() -> Result<Self, BrokerError> {
        let owner: BaseProducer = ClientConfig::new()
            .set("test.mock.num.brokers", BROKER_ID.to_string())
            .create()
            .map_err(BrokerError::Start)?;
        let listed = cluster(&owner)?.bootstrap_servers();
        let address = listed.parse().map_err(|_| BrokerError::Address { found: listed })?;
        let broker = Self { owner, address };
        broker.join_groups_at_once()?;
        Ok(broker)
    }

    /// Where it really listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Creates a topic. True if it is new; a topic that exists stays as it is, whatever its number of partitions.
    ///
    /// # Errors
    /// When the broker refuses the name or the number.
    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) -> Result<bool, BrokerError> {
        match cluster(&self.owner)?.create_topic(topic, partitions, 1) {
            Ok(()) => Ok(true),
            Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(false),
            Err(source) => Err(BrokerError::Topic { topic: topic.to_owned(), partitions, source }),
        }
    }

    /// The oldest offset that a partition still holds: above 0 the broker has dropped records. Blocks for up to a second.
    pub(crate) fn oldest_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        let wait = Timeout::After(Duration::from_secs(1));
        self.owner.client().fetch_watermarks(topic, partition, wait).ok().map(|(oldest, _)| oldest)
    }

    /// Lets a group assign partitions when its first member joins. Otherwise each group waits three seconds for more.
    #[expect(unsafe_code, reason = "rdkafka has no safe wrapper for this setting of the mock cluster")]
    fn join_groups_at_once(&self) -> Result<(), BrokerError> {
        let native = self.native_cluster()?;
        // SAFETY: `native` belongs to `self.owner`, which lives as long as `self`, and the call only stores a number in
        // it under the cluster's own lock.
        unsafe { bindings::rd_kafka_mock_group_initial_rebalance_delay_ms(native, 0) };
        Ok(())
    }

    /// Makes clients connect to this port of the loopback interface instead; something must forward it to
    /// [`EmbeddedBroker::address`]. The mock cluster itself cannot listen on a chosen port.
    #[expect(unsafe_code, reason = "rdkafka has no safe wrapper for this setting of the mock cluster")]
    pub(crate) fn advertise(&self, port: u16) -> Result<(), BrokerError> {
        let native = self.native_cluster()?;
        let host = CString::new(Ipv4Addr::LOCALHOST.to_string()).expect("an IP address holds no NUL byte");
        // SAFETY: `native` belongs to `self.owner`, which lives as long as `self`; `host` is NUL-terminated and lives
        // until the call returns, and the call copies it.
        unsafe {
            bindings::rd_kafka_mock_broker_set_host_port(native, BROKER_ID, host.as_ptr(), i32::from(port));
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "rdkafka keeps the mock cluster's pointer to itself")]
    fn native_cluster(&self) -> Result<*mut bindings::rd_kafka_mock_cluster_t, BrokerError> {
        // SAFETY: `native_ptr` is the live handle of `self.owner`. The result is null or lives as long as that handle.
        let native = unsafe { bindings::rd_kafka_handle_mock_cluster(self.owner.client().native_ptr()) };
        if native.is_null() {
            return Err(no_cluster());
        }
        Ok(native)
    }
}

fn cluster<C>(owner: &BaseProducer<C>) -> Result<rdkafka::mocking::MockCluster<'_, C>, BrokerError>
where
    C: rdkafka::producer::ProducerContext + ClientContext,
{
    owner.client().mock_cluster().ok_or_else(no_cluster)
}

fn no_cluster() -> BrokerError {
    BrokerError::Start(KafkaError::MockCluster(RDKafkaErrorCode::Fail))
}

#[cfg(test)]
mod tests;
