//! Commits a group's first offsets: the end of every partition for which the group has none.
//!
//! Done before a subscription's egress is in the contract, hence before any member joins. Whatever is sent after the
//! subscription is ready is then behind the committed offsets and is delivered, even if the dispatcher comes later.
//! A partition that was added while the group had offsets already begins with its first record: all of it came after the
//! subscription was ready. The peer takes the end there, too, and loses what came before it looked.
//! Blocks; the shells call it on a blocking thread. Source: control-plane spec 2.11 and section 10.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka_access::KafkaAccess;
use crate::reconcile::observed::GroupKey;

/// How long each request may take. A commit without a coordinator ends with librdkafka's session timeout.
const TIMEOUT: Duration = Duration::from_secs(6);

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialised {
    /// Offsets were committed for so many partitions; 0 when every partition had one.
    Committed(usize),
    /// The group has members, which refuse commits of others. They have offsets, or start at the end themselves.
    HasMembers,
}

/// Why there are no first offsets. Worth another attempt later.
#[derive(Debug, thiserror::Error)]
pub enum OffsetsError {
    /// The cluster is not there, or not reachable from here.
    #[error("Kafka at {0} does not answer")]
    Away(String),
    /// Kafka did not do what it was asked for.
    #[error("cannot {step}: {source}")]
    Kafka {
        /// What was asked for.
        step: &'static str,
        /// The answer.
        source: KafkaError,
    },
    /// The topic is not there, or not yet.
    #[error("topic {0} has no partitions yet")]
    NoPartitions(String),
    /// The answer names a partition's trouble.
    #[error("cannot read the committed offset of partition {partition}: {source}")]
    Partition {
        /// Which.
        partition: i32,
        /// Why not.
        source: KafkaError,
    },
}

/// Commits the first offsets of a group on its topic. Never moves an offset that is already committed. Blocks, for a
/// bounded time.
///
/// # Errors
/// When Kafka does not answer or refuses; nothing or a part is committed then, and it can be tried again.
pub fn initialise(access: &KafkaAccess, key: &GroupKey) -> Result<Initialised, OffsetsError> {
    let mut result = None;
    initialise_then(access, key, None, |found| result = Some(found));
    result.expect("the result is always reported")
}

/// As [`initialise`], but reports before the client is closed: closing takes a tenth of a second, for which a
/// subscription need not wait. Partitions from number `added` on were added later. Blocks until it is closed.
pub fn initialise_then(
    access: &KafkaAccess,
    key: &GroupKey,
    added: Option<i32>,
    report: impl FnOnce(Result<Initialised, OffsetsError>),
) {
    match connect(access, &key.group) {
        Ok(consumer) => report(commit_missing(&consumer, key, added)),
        Err(source) => report(Err(OffsetsError::Kafka { step: "make a Kafka client", source })),
    }
}

fn commit_missing(consumer: &BaseConsumer, key: &GroupKey, added: Option<i32>) -> Result<Initialised, OffsetsError> {
    let topic = key.topic.topic.as_str();
    let failed = |step: &'static str| move |source: KafkaError| OffsetsError::Kafka { step, source };
    let metadata = consumer
        .fetch_metadata(Some(topic), TIMEOUT)
        .map_err(|error| away(&error, key).unwrap_or_else(|| failed("read the topic's partitions")(error)))?;
    let partitions = metadata.topics().iter().find(|found| found.name() == topic);
    let mut wanted = TopicPartitionList::new();
    for partition in partitions.map_or(&[][..], |found| found.partitions()) {
        wanted.add_partition(topic, partition.id());
    }
    if wanted.count() == 0 {
        return Err(OffsetsError::NoPartitions(topic.to_owned()));
    }
    let committed =
        consumer.committed_offsets(wanted, TIMEOUT).map_err(failed("read the group's committed offsets"))?;
    let is_new = committed.elements().iter().all(|element| !matches!(element.offset(), Offset::Offset(_)));
    let mut missing = TopicPartitionList::new();
    for element in committed.elements() {
        let partition = element.partition();
        element.error().map_err(|source| OffsetsError::Partition { partition, source })?;
        if matches!(element.offset(), Offset::Offset(_)) {
            continue;
        }
        let (first, end) =
            consumer.fetch_watermarks(topic, partition, TIMEOUT).map_err(failed("read the end of a partition"))?;
        let is_added = !is_new && added.is_some_and(|added| partition >= added);
        missing
            .add_partition_offset(topic, partition, Offset::Offset(if is_added { first } else { end }))
            .map_err(failed("note the end of a partition"))?;
    }
    if missing.count() == 0 {
        return Ok(Initialised::Committed(0));
    }
    match consumer.commit(&missing, CommitMode::Sync) {
        Ok(()) => Ok(Initialised::Committed(missing.count())),
        Err(error) if error.rdkafka_error_code().is_some_and(refused_by_members) => Ok(Initialised::HasMembers),
        Err(source) => Err(OffsetsError::Kafka { step: "commit the first offsets", source }),
    }
}

/// Whether no broker at all answered the first request; later ones fail for reasons worth naming.
fn away(error: &KafkaError, key: &GroupKey) -> Option<OffsetsError> {
    let codes = [
        RDKafkaErrorCode::OperationTimedOut,
        RDKafkaErrorCode::BrokerTransportFailure,
        RDKafkaErrorCode::AllBrokersDown,
    ];
    let is_away = error.rdkafka_error_code().is_some_and(|code| codes.contains(&code));
    is_away.then(|| OffsetsError::Away(key.topic.servers.clone()))
}

/// A commit from outside a group that has members.
fn refused_by_members(code: RDKafkaErrorCode) -> bool {
    [
        RDKafkaErrorCode::UnknownMemberId,
        RDKafkaErrorCode::IllegalGeneration,
        RDKafkaErrorCode::RebalanceInProgress,
        RDKafkaErrorCode::NonEmptyGroup,
    ]
    .contains(&code)
}

fn connect(access: &KafkaAccess, group: &str) -> Result<BaseConsumer, KafkaError> {
    let mut config = ClientConfig::new();
    for (key, value) in access.credentials.client_properties() {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", access.servers())
        .set("client.id", "millrace-control")
        .set("group.id", group)
        // This client must never commit anything but what is told to it.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        // The very end: with read_committed it would be the end of the oldest open transaction.
        .set("isolation.level", "read_uncommitted")
        .set("session.timeout.ms", "6000")
        .set("enable.metrics.push", "false")
        .create()
}
