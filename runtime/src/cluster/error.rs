//! What can go wrong between a process and the Kubernetes API, in words that an operator can act on.
//!
//! Texts name objects, statuses and the API server's own reason; never the content of a Secret, a token or a kubeconfig.

use std::time::Duration;

/// Why the Kubernetes API gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Neither `KUBECONFIG` nor the files of a pod lead to a cluster. Looked for again by the next call.
    #[error("no Kubernetes cluster to ask: {reason}")]
    Configuration {
        /// What was looked for, without its content.
        reason: String,
    },
    /// The contract names something that no object can be called.
    #[error("{name:?} cannot be the name of an object or an absolute http or https URL")]
    Name {
        /// The text.
        name: String,
    },
    /// The object does not exist.
    #[error("{what} not found")]
    NotFound {
        /// Kind, namespace and name.
        what: String,
    },
    /// An object of that name exists.
    #[error("{what} already exists")]
    AlreadyExists {
        /// Path of the collection.
        what: String,
    },
    /// The API server refused, often for want of a role.
    #[error("the API server answered {status} for {what}: {message}")]
    Refused {
        /// Kind, namespace and name.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The API server's reason.
        message: String,
    },
    /// No answer in time.
    #[error("no answer from the API server for {what} within {limit:?}")]
    TimedOut {
        /// Kind, namespace and name.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
    /// No connection, or one that broke.
    #[error("cannot reach the API server for {what}: {reason}")]
    Unreachable {
        /// Kind, namespace and name.
        what: String,
        /// What the connection met with.
        reason: String,
    },
    /// The answer is not what it should be.
    #[error("the answer for {what} cannot be used: {reason}")]
    Answer {
        /// Kind, namespace and name.
        what: String,
        /// Without any of the answer's values.
        reason: String,
    },
}
