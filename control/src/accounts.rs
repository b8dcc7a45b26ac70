//! Service accounts of Subscriptions: the identities whose tokens go with deliveries.
//!
//! Pure. Made only for Subscriptions that no controller of Knative's looks after. Names and forms are Knative's, so that
//! policies which name an account hold whoever made it.
//! Source: control-plane spec 1.2 (step 1); sender identity as Knative Eventing 1.20 creates it.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::api::meta::Meta;
use crate::index::Key;
use crate::reconcile::failure::Failure;

/// Marks all accounts that were made for tokens.
pub const LABEL: &str = "oidc";
/// The condition of Subscriptions that tells of them.
pub const CONDITION: &str = "OIDCIdentityCreated";
/// What every name ends with, unless that makes it too long.
const SUFFIX: &str = "-oidc-messaging.knative.dev-Subscription";
/// Longest name, as Knative bounds it.
const LONGEST: usize = 63;
/// What is left of a long name beside an MD5 digest in hexadecimal digits.
const HEAD: usize = 31;

/// An account as it stands in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingAccount {
    /// Its own uid.
    pub uid: String,
    /// Uid of the controlling owner; empty for none.
    pub owner: String,
}

/// What is known about the labelled accounts of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Accounts {
    /// Nothing, yet.
    #[default]
    Unknown,
    /// They cannot be read, for this reason.
    Unreadable(String),
    /// All of them, by namespace and name.
    Known(BTreeMap<Key, ExistingAccount>),
}

impl Accounts {
    /// Whether there is certainly none of this name.
    #[must_use]
    pub fn lack(&self, namespace: &str, name: &str) -> bool {
        match self {
            Self::Known(all) => !all.contains_key(&(namespace.to_owned(), name.to_owned())),
            Self::Unknown | Self::Unreadable(_) => false,
        }
    }
}

/// The account of one Subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Account {
    /// None is asked for.
    #[default]
    Off,
    /// Named in the channel by Knative's controller, which looks after it.
    Given(String),
    /// It is there and belongs to the Subscription.
    Ready(String),
    /// It is wanted, and not there yet.
    Missing(String),
    /// It is wanted and cannot be had.
    Refused {
        /// Its name.
        name: String,
        /// Why not.
        message: String,
    },
    /// Tokens are not asked for any more; it is still there, with this uid.
    Leftover {
        /// Its name.
        name: String,
        /// Its own uid.
        uid: String,
    },
}

impl Account {
    /// The account of a Subscription of our own. `wanted` says whether tokens are asked for; `failures` are the server's
    /// words about accounts that could not be created.
    #[must_use]
    pub fn of(subscription: &Meta, wanted: bool, accounts: &Accounts, failures: &BTreeMap<Key, String>) -> Self {
        let name = name(&subscription.name);
        let key = (subscription.namespace.clone(), name.clone());
        let found = match accounts {
            Accounts::Known(all) => all.get(&key),
            Accounts::Unknown | Accounts::Unreadable(_) => None,
        };
        let owned = found.filter(|found| !found.owner.is_empty() && found.owner == subscription.uid);
        match (wanted, accounts, found, owned) {
            (false, _, _, Some(found)) => Self::Leftover { name, uid: found.uid.clone() },
            (false, _, _, None) => Self::Off,
            (true, _, _, Some(_)) => Self::Ready(name),
            (true, _, Some(_), None) => {
                let message = format!("service account {name} not owned by Subscription {}", subscription.name);
                Self::Refused { name, message }
            }
            (true, Accounts::Unreadable(reason), None, None) => {
                let place = format!("{}/{}", subscription.name, subscription.namespace);
                let message = format!("could not get OIDC service account {place} for Subscription: {reason}");
                Self::Refused { name, message }
            }
            (true, Accounts::Known(_) | Accounts::Unknown, None, None) => match failures.get(&key) {
                Some(error) => {
                    let place = format!("{}/{}", subscription.name, subscription.namespace);
                    let message = format!("could not create OIDC service account {place} for Subscription: {error}");
                    Self::Refused { name, message }
                }
                None => Self::Missing(name),
            },
        }
    }

    /// The name that the status tells; none for a Subscription without an account.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Off => None,
            Self::Given(name)
            | Self::Ready(name)
            | Self::Missing(name)
            | Self::Refused { name, .. }
            | Self::Leftover { name, .. } => Some(name),
        }
    }

    /// The account whose tokens the dispatcher sends; empty for none.
    ///
    /// # Errors
    /// When it has to be there first.
    pub fn for_deliveries(&self) -> Result<&str, Failure> {
        match self {
            Self::Off | Self::Leftover { .. } => Ok(""),
            Self::Given(name) | Self::Ready(name) => Ok(name),
            Self::Missing(name) => {
                let message = format!("waiting for the service account {name}");
                Err(Failure { reason: CONDITION.to_owned(), message })
            }
            Self::Refused { message, .. } => Err(Failure { reason: REFUSED.to_owned(), message: message.clone() }),
        }
    }

    /// Whether it only takes a moment until it is there.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        match self {
            Self::Missing(_) => true,
            Self::Off | Self::Given(_) | Self::Ready(_) | Self::Refused { .. } | Self::Leftover { .. } => false,
        }
    }
}

/// Reason of an identity that cannot be had, in Knative's words.
pub const REFUSED: &str = "Unable to resolve service account for OIDC authentication";

/// The account's name: Knative's suffix after the Subscription's name, or, where that is too long, a digest.
#[must_use]
pub fn name(subscription: &str) -> String {
    let whole = format!("{subscription}{SUFFIX}");
    if whole.len() <= LONGEST {
        return whole.to_lowercase();
    }
    let digest: String = Md5::digest(whole.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let head: String = subscription.chars().take(HEAD).collect();
    let filled: String = format!("{head}{digest}{SUFFIX}").chars().take(LONGEST).collect();
    filled.trim_end_matches(|last: char| !last.is_ascii_alphanumeric()).to_lowercase()
}

/// The account as it is created.
#[must_use]
pub fn body(subscription: &Meta) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": name(&subscription.name),
            "namespace": subscription.namespace,
            "labels": {LABEL: "enabled"},
            "annotations": {
                "description":
                    format!("Service Account for OIDC Authentication for Subscription {:?}", subscription.name)
            },
            "ownerReferences": [{
                "apiVersion": "messaging.knative.dev/v1", "kind": "Subscription", "name": subscription.name,
                "uid": subscription.uid, "controller": true, "blockOwnerDeletion": false
            }]
        }
    })
}

#[cfg(test)]
mod tests;
