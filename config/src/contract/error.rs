//! What can be wrong with a contract: with the file as a whole, or with one entry of it.

/// Why a file is not a contract at all. The previous contract stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A new ConfigMap starts out empty: this is normal at installation.
    #[error("the contract file is empty")]
    Empty,
    /// The text breaks the rules of JSON or of the protobuf-JSON mapping.
    #[error("line {line}, column {column}: {field}: {message}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
        /// Where in the document, such as `resources[3].egresses[0].vReplicas`; `contract` for the document itself.
        field: String,
        /// What is wrong there.
        message: String,
    },
}

/// What kind of entry was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A whole resource, with its ingress and all its egresses.
    Resource,
    /// Only the ingress of a resource.
    Ingress,
    /// Only one egress of a resource.
    Egress,
}

impl Entry {
    /// The word for logs and metrics: `resource`, `ingress` or `egress`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// One entry that is in the file but cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of the resource, for a resource or an ingress; of the egress, for an egress. May be empty if that is the problem.
    pub uid: String,
    /// What was refused.
    pub entry: Entry,
    /// Why.
    pub error: ContractError,
}

/// Why an entry of a contract cannot be used. Other entries are not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// An earlier entry of the same kind has the uid; this one comes into force when that one goes.
    #[error("uid {uid:?} is already used by an earlier entry")]
    DuplicateUid {
        /// The uid of both.
        uid: String,
    },
    /// A list of topics with nothing in it, or with a blank name.
    #[error("topics must name at least one topic and no blank one")]
    Topics,
    /// Nowhere to connect to.
    #[error("bootstrapServers is blank")]
    BootstrapServers,
    /// Nothing would ever be routed to the ingress.
    #[error("path and host are both blank")]
    NoRoute,
    /// An earlier ingress has the path; this one comes into force when that one goes.
    #[error("path {path} is already used by resource {other}")]
    DuplicatePath {
        /// The path of both.
        path: String,
        /// The uid of the resource that has it.
        other: String,
    },
    /// An earlier ingress has the host; this one comes into force when that one goes.
    #[error("host {host} is already used by resource {other}")]
    DuplicateHost {
        /// The host of both.
        host: String,
        /// The uid of the resource that has it.
        other: String,
    },
    /// Offsets are kept per group: there is no safe default.
    #[error("consumerGroup is blank")]
    ConsumerGroup,
    /// A URL that cannot be sent to.
    #[error("{field} {found:?} is not usable: {reason}")]
    Url {
        /// `destination`, `replyUrl` or `deadLetter`.
        field: &'static str,
        /// The text in the contract, with any password taken out.
        found: String,
        /// What an absolute http or https URL would have.
        reason: &'static str,
    },
    /// CloudEvents extensions are lower-case letters and digits.
    #[error("override {name:?} is not an extension name: only a-z and 0-9 are allowed")]
    OverrideName {
        /// The name in the contract.
        name: String,
    },
    /// A protocol this version does not know. Falling back to plain text would expose credentials and events.
    #[error("multiAuthSecret.protocol {found:?} is not known")]
    AuthProtocol {
        /// The name or number in the contract.
        found: String,
    },
    /// A field of a Secret whose meaning this version does not know.
    #[error("multiAuthSecret field {found:?} for key {secret_key:?} is not known")]
    SecretField {
        /// The key in the Secret.
        secret_key: String,
        /// The name or number in the contract.
        found: String,
    },
    /// A Secret without a name cannot be read.
    #[error("{field} names no Secret")]
    SecretReference {
        /// Which reference.
        field: &'static str,
    },
}
