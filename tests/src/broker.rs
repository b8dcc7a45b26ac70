//! Brokers for tests, and what a test asks of any broker.
//!
//! `embedded` is librdkafka's mock cluster in the test's process: it starts in milliseconds, keeps little and has no admin
//! protocol. `kafka` is a real Apache Kafka: for durability, admin, groups and compatibility.

pub mod embedded;
pub mod kafka;
pub mod records;
pub mod topic_endpoint;

/// What the journeys need from a broker.
pub trait Broker: Sync {
    /// `host:port` for clients.
    fn bootstrap(&self) -> String;

    /// Creates a topic; must be ready for use when it returns.
    fn create_topic(&self, name: &str, partitions: i32);

    /// Lines that the dispatcher's consumer properties need with this broker, in Java's key names.
    fn consumer_properties(&self) -> &'static str;
}
