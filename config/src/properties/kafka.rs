//! Kafka properties in Java's names, as settings of librdkafka and of our own code.
//!
//! librdkafka refuses keys it does not know and numbers out of its range, so every Java key is one of: translated,
//! implemented by us, or ignored with one warning that names it. What Java allows and librdkafka does not becomes the
//! nearest possible value, with a warning; what Java refuses too is an error. Defaults are Java's where they differ.
//!
//! Bootstrap servers, group and credentials come from the contract, never from these files.
//!
//! Source: Kafka's producer and consumer configuration, librdkafka 2.12's CONFIGURATION.md and its consistency checks.

mod common;
mod consumer;
mod ignored;
mod jaas;
mod numbers;
mod producer;
mod security;
mod tokens;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Properties, PropertyErrors, Warning};
use crate::contract::ContentMode;
use crate::contract::credentials::{Credentials, TokenSource};

/// librdkafka's limit.
const LONGEST_POLL_INTERVAL: Duration = Duration::from_millis(86_400_000);

/// How to produce.
#[derive(Clone, PartialEq)]
pub struct ProducerSettings {
    /// librdkafka keys, without servers and security; see [`ProducerSettings::client_for`].
    pub client: BTreeMap<String, String>,
    /// librdkafka keys about TLS and SASL that the file gives; they only matter beside credentials that use them.
    pub security: BTreeMap<String, String>,
    /// Where tokens come from, for credentials that use some. Absent: the file does not say.
    pub tokens: Option<TokenSource>,
    /// How long a record may wait for room in the queue and for metadata.
    pub max_block: Duration,
    /// Largest record in bytes, as Java estimates it: key, value, headers and overhead, before compression.
    pub max_request_size: usize,
    /// How long after being queued a record is given up; never zero.
    pub delivery_timeout: Duration,
    /// Records in flight per producer; more are refused at once (`millrace.ingress.queue.max`).
    pub queue_max: usize,
    /// How long a request may wait for its acknowledgement before it is answered with a failure
    /// (`millrace.ingress.deadline.ms`). Absent: only `max_block` and `delivery_timeout` limit it.
    pub deadline: Option<Duration>,
    /// What `Retry-After` says when Kafka cannot take events (`millrace.ingress.retry.after.ms`).
    pub retry_after: Duration,
    /// Layout of reply records, if the file chooses one; ingress takes it from the contract.
    pub content_mode: Option<ContentMode>,
    /// What to log once.
    pub warnings: Vec<Warning>,
}

/// How to consume.
#[derive(Clone, PartialEq)]
pub struct ConsumerSettings {
    /// librdkafka keys, without servers, group, security and `max.poll.interval.ms`; see
    /// [`ConsumerSettings::client_for`].
    pub client: BTreeMap<String, String>,
    /// librdkafka keys about TLS and SASL that the file gives; they only matter beside credentials that use them.
    pub security: BTreeMap<String, String>,
    /// Where tokens come from, for credentials that use some. Absent: the file does not say.
    pub tokens: Option<TokenSource>,
    /// Records that one partition hands over before the others of its consumer get their turn: `max.poll.records`, 50
    /// when absent. How many are in flight is for `in_flight_max` and `in_flight_bytes` to say.
    pub max_poll_records: usize,
    /// `session.timeout.ms`, 45 s when absent.
    pub session_timeout: Duration,
    /// The longest time a finished record may stay uncommitted: `auto.commit.interval.ms`, 5 s when absent.
    pub commit_interval: Duration,
    /// Limit of calls about offsets: `default.api.timeout.ms`, 60 s when absent.
    pub api_timeout: Duration,
    /// Whether plain records become events: `cloudevent.invalid.transformer.enabled`.
    pub transformer_enabled: bool,
    /// For the source of such events: `cloudevent.invalid.kind.plural`. Absent when blank.
    pub kind_plural: Option<String>,
    /// Records of one egress that may be delivered at the same time (`millrace.in.flight.max`, 1000).
    pub in_flight_max: usize,
    /// Bytes that those records may have together (`millrace.in.flight.bytes`, 32 MiB).
    pub in_flight_bytes: usize,
    /// Bytes that records of one egress may have together while they wait in memory without being sent: for their next
    /// attempt, or for an earlier record of their key (`millrace.waiting.bytes`, 64 MiB).
    pub waiting_bytes: usize,
    /// Ordered egresses keep the order of records with the same key only (`millrace.ordered.by=key`).
    pub ordered_by_key: bool,
    /// What happens to a record that nobody takes (`millrace.undelivered`).
    pub undelivered: Undelivered,
    /// Limits of pauses between attempts (`millrace.retry.*`).
    pub retry: RetryLimits,
    /// How hard one subscriber may be pressed (`millrace.rate.max` and others).
    pub pressure: PressureLimits,
    /// Whether commits say which later records are finished too (`millrace.commit.metadata`, true).
    pub commit_metadata: bool,
    /// What to log once.
    pub warnings: Vec<Warning>,
}

/// What happens to a record when subscriber and dead letter sink do not take it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Undelivered {
    /// It goes to the topic `<topic>.undelivered`.
    #[default]
    Park,
    /// It is tried again until somebody takes it; later records of its partition wait.
    Block,
    /// It is dropped, with an error in the log. What the peer does.
    Drop,
}

/// Limits of pauses between attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryLimits {
    /// Longest pause (`millrace.retry.delay.max.ms`, 600 s).
    pub max_delay: Duration,
    /// Largest part of a pause that is added to it at random, from 0 to 1 (`millrace.retry.jitter`, 0.1).
    pub jitter: f64,
    /// Longest `Retry-After` that is honoured; longer ones are cut to it (`millrace.retry.after.max.ms`, 600 s). Zero:
    /// the header is ignored.
    pub retry_after_max: Duration,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self { max_delay: Duration::from_secs(600), jitter: 0.1, retry_after_max: Duration::from_secs(600) }
    }
}

/// How hard one target may be pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PressureLimits {
    /// The number of attempts under way adapts to the target (`millrace.concurrency.adaptive`, true).
    pub adaptive: bool,
    /// Attempts that may start in a second, for each subscription in each process (`millrace.rate.max`). Absent: no limit.
    pub rate_max: Option<u32>,
    /// How long an event may wait, all in all, for a target that is down (`millrace.breaker.wait.max.ms`, 600 s); never
    /// longer than the pauses between its attempts together. Zero: nobody waits.
    pub breaker_wait_max: Duration,
}

impl Default for PressureLimits {
    fn default() -> Self {
        Self { adaptive: true, rate_max: None, breaker_wait_max: Duration::from_secs(600) }
    }
}

impl ProducerSettings {
    /// Everything librdkafka needs to know for one set of brokers.
    pub fn client_for(&self, bootstrap_servers: &str, credentials: &Credentials) -> BTreeMap<String, String> {
        let mut client = self.client.clone();
        credentials.apply(&mut client, &self.security);
        client.insert("bootstrap.servers".to_owned(), bootstrap_servers.to_owned());
        client
    }
}

impl ConsumerSettings {
    /// Everything librdkafka needs to know for one consumer. `max_poll_interval` is raised to the session timeout and
    /// cut to a day, which are librdkafka's limits.
    pub fn client_for(
        &self,
        bootstrap_servers: &str,
        credentials: &Credentials,
        group: &str,
        max_poll_interval: Duration,
    ) -> BTreeMap<String, String> {
        let mut client = self.client.clone();
        credentials.apply(&mut client, &self.security);
        // The session timeout is at most an hour, so the two limits never cross.
        let interval = max_poll_interval.max(self.session_timeout).min(LONGEST_POLL_INTERVAL);
        client.insert("bootstrap.servers".to_owned(), bootstrap_servers.to_owned());
        client.insert("group.id".to_owned(), group.to_owned());
        client.insert("max.poll.interval.ms".to_owned(), interval.as_millis().to_string());
        client
    }
}

/// Settings of producers.
///
/// # Errors
/// Every value that cannot be used, each naming its key.
pub fn producer(properties: &Properties) -> Result<ProducerSettings, PropertyErrors> {
    producer::read(properties)
}

/// Settings of consumers.
///
/// # Errors
/// Every value that cannot be used, each naming its key.
pub fn consumer(properties: &Properties) -> Result<ConsumerSettings, PropertyErrors> {
    consumer::read(properties)
}

/// `Debug` names the keys of `security`, not its values.
macro_rules! redacted_debug {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter
                    .debug_struct(stringify!($type))
                    $( .field(stringify!($field), &self.$field) )*
                    .field("security", &self.security.keys().collect::<Vec<_>>())
                    .finish()
            }
        }
    };
}

redacted_debug!(ProducerSettings {
    client,
    tokens,
    max_block,
    max_request_size,
    delivery_timeout,
    queue_max,
    deadline,
    retry_after,
    content_mode,
    warnings,
});
redacted_debug!(ConsumerSettings {
    client,
    tokens,
    max_poll_records,
    session_timeout,
    commit_interval,
    api_timeout,
    transformer_enabled,
    kind_plural,
    in_flight_max,
    in_flight_bytes,
    waiting_bytes,
    ordered_by_key,
    undelivered,
    retry,
    pressure,
    commit_metadata,
    warnings,
});

#[cfg(test)]
mod tests;
