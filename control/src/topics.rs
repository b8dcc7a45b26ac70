//! Makes sure that topics exist.
//!
//! A trait, because the broker that runs inside `millrace dev` knows no admin requests. Topics are only ever created:
//! an existing topic is never changed and never deleted, whatever the objects say.
//! Source: control-plane spec 2.3 (steps 6 and 7).

pub mod admin;
pub mod embedded;

use std::future::Future;

use crate::kafka_access::KafkaAccess;
use crate::reconcile::TopicRequest;

/// Why a topic does not exist yet. Worth another attempt later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Our client cannot even be made.
    #[error("failed to obtain Kafka cluster admin: {0}")]
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
