//! The contract: every channel, broker, sink and source this installation serves, ready to run as it stands.
//!
//! `control` writes it as one JSON file, or as several when one ConfigMap cannot hold it ([`shards`]); `ingress` and
//! `dispatcher` read it. The file's exact shape is in [`wire`]; the types here are checked: what a value of them says can be used without looking at it again. What could not be used
//! is in [`Contract::refused`], entry by entry, so that one bad entry hurts nobody else.
//!
//! Source: `contract.proto` of eventing-kafka-broker and its protobuf-JSON mapping.

mod blank;
pub mod credentials;
pub mod delivery;
pub mod error;
pub mod file;
pub mod filter;
pub mod parse;
pub mod shards;
pub mod wire;
pub mod write;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use delivery::{BackoffPolicy, Delivery, DeliveryOrder, Egress, KeyType, Reply, Target};
pub use error::{ContractError, Entry, ParseError, Refusal};
pub use filter::{EventPolicy, FilterSpec, TokenMatcher};
pub use parse::parse;

/// One whole contract. A newer one replaces it as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contract {
    /// Differs from the previous contract's whenever the content differs; it may also become smaller.
    pub generation: u64,
    /// In the order of the file.
    pub resources: Vec<Arc<Resource>>,
    /// PEM texts, each with one or more certificates, that https subscribers may be signed by. Their order means nothing.
    pub trust_bundles: Vec<String>,
    /// What is in the file but not in `resources`, and why.
    pub refused: Vec<Refusal>,
}

impl Contract {
    /// Shares with an earlier contract every resource that is the same in both. Then it is held once, and that nothing changed
    /// shows in its address: in a large contract most of the work of a change is otherwise to find out what did not.
    pub fn share_unchanged(&mut self, earlier: &Self) {
        // Made only when the order differs.
        let mut by_uid: Option<HashMap<&str, &Arc<Resource>>> = None;
        for (index, resource) in self.resources.iter_mut().enumerate() {
            let same_place = earlier.resources.get(index).filter(|old| old.uid == resource.uid);
            let old = same_place.or_else(|| {
                let all = || earlier.resources.iter().map(|old| (old.uid.as_str(), old)).collect();
                by_uid.get_or_insert_with(all).get(resource.uid.as_str()).copied()
            });
            if let Some(old) = old.filter(|old| old == &&*resource) {
                *resource = Arc::clone(old);
            }
        }
    }
}

/// One channel, broker, sink or source: where its events are stored, how they come in and where they go out.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Unique in a contract.
    pub uid: String,
    /// Never empty. Ingress writes to the first; egresses read all of them.
    pub topics: Vec<String>,
    /// Comma-separated `host:port` list, never blank, exactly as in the file.
    pub bootstrap_servers: String,
    /// Where the credentials for Kafka are.
    pub auth: Auth,
    /// Absent: this process does not accept events for the resource.
    pub ingress: Option<Ingress>,
    /// May be empty.
    pub egresses: Vec<Arc<Egress>>,
    /// Extensions to set on every outgoing event, replacing those of the event. Names are `[a-z0-9]+`.
    pub overrides: BTreeMap<String, String>,
    /// The object the resource was made from.
    pub reference: Reference,
    /// Whether an `EventType` object is created for each new type of event.
    pub auto_create_event_types: bool,
}

impl Resource {
    /// The topic that ingress and replies write to.
    pub fn topic(&self) -> &str {
        self.topics.first().map_or("", String::as_str)
    }
}

/// Where the credentials for Kafka are kept. The contract never carries the credentials themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// No authentication and no encryption.
    #[default]
    Absent,
    /// One Secret, in the format that names its `protocol`.
    Secret(Reference),
    /// Fields collected from several Secrets.
    Secrets(MultiSecret),
}

impl Auth {
    /// The Secrets that the credentials come from; none when no credentials are needed.
    pub fn secrets(&self) -> impl Iterator<Item = &Reference> {
        let (one, several) = match self {
            Self::Absent => (None, None),
            Self::Secret(reference) => (Some(reference), None),
            Self::Secrets(multi) => (None, Some(&multi.secrets)),
        };
        one.into_iter().chain(several.into_iter().flatten().map(|fields| &fields.reference))
    }

    /// Whether the contract says which version of each Secret it means: what was read once is then good for as long as
    /// the contract says the same.
    pub fn is_pinned(&self) -> bool {
        self.secrets().all(|reference| !reference.version.is_empty())
    }
}

/// Credentials collected from several Secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MultiSecret {
    /// Decided by the contract, not by a Secret.
    pub protocol: credentials::SecurityProtocol,
    /// Empty when the protocol needs no credentials.
    pub secrets: Vec<SecretFields>,
}

/// One Secret and what to take out of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretFields {
    /// The Secret.
    pub reference: Reference,
    /// Key in the Secret's data, and what its value means.
    pub fields: Vec<(String, credentials::SecretField)>,
}

/// A Kubernetes object, as far as the contract names it. Any part may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Reference {
    /// `metadata.uid`.
    pub uuid: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.resourceVersion`; only Secrets carry it, so that a rotated Secret changes the contract.
    pub version: String,
    /// Such as `KafkaChannel`.
    pub kind: String,
    /// Such as `messaging.knative.dev/v1beta1`.
    pub group_version: String,
}

/// How events come in. At least one of `path` and `host` is present.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ingress {
    /// Request path, verbatim, never `/` and never empty. Unique in a contract.
    pub path: Option<String>,
    /// Value of the `Host` header, verbatim, never blank. Unique in a contract.
    pub host: Option<String>,
    /// How events are laid out in Kafka records.
    pub content_mode: ContentMode,
    /// Present: requests need a token for this audience, and one of `policies` must let them pass.
    pub audience: Option<String>,
    /// Any one suffices. With an audience and no policy nobody may send.
    pub policies: Vec<EventPolicy>,
}

/// How an event is laid out in a Kafka record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ContentMode {
    /// Attributes in record headers, data in the value.
    #[default]
    Binary,
    /// The whole event as JSON in the value.
    Structured,
}

#[cfg(test)]
mod tests;
