//! Makes sure that topics exist.
//!
//! A trait, because the broker that runs inside `millrace dev` knows no admin requests. An existing topic
//! is never changed; it is deleted only by [`Removals`], which only the shell for Kubernetes asks.
//! Source: control-plane spec 2.3 (steps 6 and 7).

pub mod admin;
pub mod embedded;

use std::collections::BTreeMap;
use std::future::Future;

use crate::kafka_access::KafkaAccess;
use crate::reconcile::TopicRequest;

/// Why a topic does not exist yet. Worth another attempt later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Our client cannot even be made.
    #[error("cannot make a Kafka client: {0}")]
    Client(String),
    /// The cluster is not there, or not reachable from here.
    #[error("Kafka at {0} does not answer")]
    Away(String),
    /// No answer, or an answer that is none.
    #[error("{0}")]
    Request(String),
    /// The cluster said no.
    #[error("the cluster refused the topic: {0}")]
    Refused(String),
    /// Our client would not even ask for it, nor for anything else in the same request.
    #[error("no Kafka takes the topic: {0}")]
    Impossible(String),
    /// The cluster said no to a deletion.
    #[error("the cluster refused the deletion: {0}")]
    NotRemoved(String),
}

/// Something that can delete what channels and subscriptions leave behind. What is not there counts as deleted.
pub trait Removals: Send + Sync + 'static {
    /// Deletes a topic with everything in it, after the groups whose names are `group_prefix` and one more part without
    /// a dot: a crash may have left some that nobody remembers. Takes a bounded time; asking again is safe.
    fn remove_topic(
        &self,
        access: &KafkaAccess,
        topic: &str,
        group_prefix: &str,
    ) -> impl Future<Output = Result<(), TopicError>> + Send;

    /// Deletes a consumer group without members. Takes a bounded time; asking again is safe.
    fn remove_group(&self, access: &KafkaAccess, group: &str) -> impl Future<Output = Result<(), TopicError>> + Send;
}

/// Something that knows how many partitions topics have.
pub trait Partitions: Send + Sync + 'static {
    /// How many partitions each topic of the cluster has. Takes a bounded time; asking again is safe.
    fn partitions(
        &self,
        access: &KafkaAccess,
    ) -> impl Future<Output = Result<BTreeMap<String, i32>, TopicError>> + Send;
}

/// Something that can create topics.
pub trait Topics: Send + Sync + 'static {
    /// Makes sure that the topics exist; one result for each request, in their order. A topic that exists already is
    /// a success. Takes a bounded time. Dropping the future is safe: asking again for the same topics is, too.
    fn ensure(
        &self,
        access: &KafkaAccess,
        requests: &[TopicRequest],
    ) -> impl Future<Output = Vec<Result<(), TopicError>>> + Send;
}
