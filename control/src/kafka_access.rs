//! Which Kafka the channels use, and with which credentials.
//!
//! Pure: reads the ConfigMap `kafka-channel-config` and its Secret out of the index. Gives the contract its reference
//! to the Secret, and `control`'s own Kafka clients their settings. Values of Secrets never get into the contract.
//! Source: control-plane spec 2.1 and 2.5.

mod secret;

use millrace_config::contract::credentials::{Credentials, CredentialsError};
use millrace_config::contract::wire;

use std::collections::BTreeMap;

use crate::api::core::ConfigMap;
use crate::index::{Index, Key};

/// Where Kafka is and how to get in.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaAccess {
    /// `host:port`, sorted as upstream writes them, never empty.
    pub bootstrap_servers: Vec<String>,
    /// What the contract says about authentication.
    pub auth: ContractAuth,
    /// For `control`'s own clients.
    pub credentials: Credentials,
}

impl KafkaAccess {
    /// The servers as the contract and librdkafka want them.
    #[must_use]
    pub fn servers(&self) -> String {
        self.bootstrap_servers.join(",")
    }
}

/// The part of a resource that says where its credentials are.
#[derive(Debug, Clone, PartialEq)]
pub enum ContractAuth {
    /// Neither encryption nor credentials.
    None,
    /// A Secret that names its protocol.
    Secret(wire::Reference),
    /// A Secret in the older format, field by field.
    Fields(wire::MultiSecretReference),
}

/// Why it is unknown which Kafka to use. The text becomes the reason of `ConfigParsed`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Neither the flag nor the ConfigMap.
    #[error("failed to get configmap {0}: it does not exist, and no bootstrap servers were given otherwise")]
    NoConfigMap(String),
    /// The key is missing or has nothing in it.
    #[error("unable to get bootstrapServers from configmap {0}: bootstrap.servers is missing or empty")]
    NoServers(String),
    /// Upstream takes the whole ConfigMap for invalid then.
    #[error("configmap {config_map}: {key} must be a number, found {found:?}")]
    NotANumber {
        /// Namespace and name.
        config_map: String,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
    },
    /// The Secret that the ConfigMap names is not there.
    #[error("failed to get secret {0}: it does not exist")]
    NoSecret(String),
    /// The Secret that the ConfigMap names cannot be read.
    #[error("failed to get secret {secret}: {reason}")]
    UnreadableSecret {
        /// Namespace and name.
        secret: String,
        /// Why not.
        reason: String,
    },
    /// The Secret cannot be used.
    #[error("secret {secret}: {error}")]
    Secret {
        /// Namespace and name.
        secret: String,
        /// Which key and why, without its value.
        error: CredentialsError,
    },
}

impl AccessError {
    /// The same error in a cluster: with namespaces, and with what is known about Secrets that cannot be read.
    #[must_use]
    pub fn explained(self, unreadable: &BTreeMap<Key, String>, namespace: &str) -> Self {
        match self {
            Self::NoConfigMap(name) => Self::NoConfigMap(format!("{namespace}/{name}")),
            Self::NoSecret(secret) => {
                let found = unreadable.iter().find(|((namespace, name), _)| secret == format!("{namespace}/{name}"));
                match found {
                    Some((_, reason)) => Self::UnreadableSecret { secret, reason: reason.clone() },
                    None => Self::NoSecret(secret),
                }
            }
            other @ (Self::NoServers(_)
            | Self::NotANumber { .. }
            | Self::UnreadableSecret { .. }
            | Self::Secret { .. }) => other,
        }
    }
}

/// Namespace and name of the Secret that a ConfigMap with bootstrap servers names; absent: none.
#[must_use]
pub fn secret_of(config: &ConfigMap) -> Option<Key> {
    let name = config.text("auth.secret.ref.name")?.trim();
    let namespace = config.text("auth.secret.ref.namespace").map(str::trim).filter(|name| !name.is_empty());
    Some((namespace.unwrap_or(&config.meta.namespace).to_owned(), name.to_owned()))
}

/// Finds the Kafka to use. Servers given as `servers` win over the ConfigMap's; with `embedded`, credentials of the
/// ConfigMap are left alone, because the embedded broker has none.
///
/// # Errors
/// A reason that a person can act on.
pub fn find(
    index: &Index,
    config_map: &str,
    servers: Option<&[String]>,
    embedded: bool,
) -> Result<KafkaAccess, AccessError> {
    let entry = index.config_maps.get(config_map);
    let map_name = entry.map_or_else(
        || config_map.to_owned(),
        |entry| format!("{}/{}", entry.object.meta.namespace, entry.object.meta.name),
    );
    let mut bootstrap_servers = match (servers, entry) {
        (Some(servers), _) => servers.to_vec(),
        (None, None) => return Err(AccessError::NoConfigMap(map_name)),
        (None, Some(entry)) => split_servers(entry.object.text("bootstrap.servers").unwrap_or_default()),
    };
    if bootstrap_servers.is_empty() {
        return Err(AccessError::NoServers(map_name));
    }
    bootstrap_servers.sort();
    let open = KafkaAccess { bootstrap_servers, auth: ContractAuth::None, credentials: Credentials::plaintext() };
    let Some(entry) = entry else { return Ok(open) };
    let config = &entry.object;
    for key in ["default.topic.partitions", "default.topic.replication.factor"] {
        if let Some(found) = config.text(key)
            && found.trim().parse::<i32>().is_err()
        {
            return Err(AccessError::NotANumber { config_map: map_name, key, found: found.to_owned() });
        }
    }
    let Some(key) = secret_of(config).filter(|_| !embedded) else { return Ok(open) };
    let secret_place = format!("{}/{}", key.0, key.1);
    let Some(secret) = index.secrets.get(&key) else { return Err(AccessError::NoSecret(secret_place)) };
    let (auth, credentials) =
        secret::read(&secret.object).map_err(|error| AccessError::Secret { secret: secret_place, error })?;
    Ok(KafkaAccess { auth, credentials, ..open })
}

/// A comma-separated list; blanks around and between entries mean nothing.
#[must_use]
pub fn split_servers(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|server| !server.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
