//! What is known about objects that destinations point at: the address of each, or why it has none.
//!
//! Pure: a shell finds it out, the core reads it. Source: Knative's URI resolver; control-plane spec 1.2.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Address, ResolveError};
use crate::api::meta::KReference;

/// One object that a destination points at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferenceKey {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Never empty.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ReferenceKey {
    /// The object behind a reference; `parent` is the namespace of whoever refers to it.
    #[must_use]
    pub fn of(reference: &KReference, parent: &str) -> Self {
        let namespace = reference.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or(parent);
        Self {
            api_version: reference.api_version.clone(),
            kind: reference.kind.clone(),
            namespace: namespace.to_owned(),
            name: reference.name.clone(),
        }
    }
}

/// One entry of `status.addresses`, or `status.address` itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Empty for none.
    pub name: String,
    /// Where events go.
    pub address: Address,
}

/// What was found out about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A Service of the core group: its address is its name.
    Service,
    /// `status.address` first, then those of `status.addresses`.
    Addresses(Vec<Named>),
    /// It is there and has no address, or not yet.
    NoAddress,
    /// Its kind is not served, or may not be read; with the reason.
    Unreadable(String),
}

/// All that is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum References {
    /// There is no cluster that could be asked.
    #[default]
    NoCluster,
    /// An object that is not in the map does not exist.
    Cluster(Arc<BTreeMap<ReferenceKey, Found>>),
}

impl References {
    /// The address of an object other than a KafkaChannel; `domain` is the cluster's.
    pub(super) fn address(
        &self,
        reference: &KReference,
        parent: &str,
        domain: &str,
    ) -> Option<Result<Address, ResolveError>> {
        let Self::Cluster(known) = self else { return None };
        let key = ReferenceKey::of(reference, parent);
        let at = |message: &str| ResolveError::Object {
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            message: message.to_owned(),
        };
        Some(match known.get(&key) {
            None => Err(at("does not exist")),
            Some(Found::Unreadable(reason)) => Err(at(reason)),
            Some(Found::NoAddress) => Err(at("has no address")),
            Some(Found::Service) => Ok(Address {
                url: format!("http://{}.{}.svc.{domain}", key.name, key.namespace),
                ca_certs: String::new(),
                audience: String::new(),
            }),
            Some(Found::Addresses(addresses)) => {
                let wanted = reference.address.as_deref().filter(|name| !name.is_empty());
                let found = match wanted {
                    Some(name) => addresses.iter().find(|address| address.name == name),
                    None => addresses.first(),
                };
                found.map(|named| named.address.clone()).ok_or_else(|| at("has no address of the name in the ref"))
            }
        })
    }
}
