//! Metadata and references as every Kubernetes object has them.
//!
//! Serde shapes and their checks only. A field that is `null` counts as absent, as for the API server.
//! Source: Kubernetes API conventions; Knative duck types (control-plane spec 1.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Namespace of an object that names none, as with `kubectl`.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Reads a field whose `null` means the same as leaving it out.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// `metadata` as it stands in a document. Fields that only a cluster needs are accepted and not looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Required.
    pub name: Option<String>,
    /// Absent: `default`.
    pub namespace: Option<String>,
    /// Absent in files written by hand.
    pub uid: Option<String>,
    /// Changes with every write to the API server.
    pub resource_version: Option<String>,
    /// Changes with every change of `spec`.
    pub generation: Option<i64>,
    /// EventPolicies select channels by them.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// `kafka.eventing.knative.dev/delivery.order` is read here.
    #[serde(deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// Who owns the object; a channel owned by a Broker creates no event types.
    #[serde(deserialize_with = "null_as_default")]
    pub owner_references: Vec<OwnerReference>,
    /// Accepted, unused.
    pub creation_timestamp: Option<Value>,
    /// Accepted, unused.
    pub deletion_timestamp: Option<Value>,
    /// Accepted, unused.
    pub deletion_grace_period_seconds: Option<Value>,
    /// Who has work to do before the object may go.
    #[serde(deserialize_with = "null_as_default")]
    pub finalizers: Vec<String>,
    /// Accepted, unused.
    pub managed_fields: Option<Value>,
    /// Accepted, unused.
    pub self_link: Option<Value>,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner.
    pub uid: String,
    /// Accepted, unused.
    pub controller: Option<bool>,
    /// Accepted, unused.
    pub block_owner_deletion: Option<bool>,
}

/// Checked metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// A DNS-1123 name.
    pub name: String,
    /// A DNS-1123 label, never empty.
    pub namespace: String,
    /// Empty when the document has none; the index then makes a stable one.
    pub uid: String,
    /// Empty when the document has none.
    pub resource_version: String,
    /// 0 when the document has none.
    pub generation: i64,
    /// As written.
    pub annotations: BTreeMap<String, String>,
    /// As written.
    pub owners: Vec<OwnerReference>,
    /// As written.
    pub finalizers: Vec<String>,
    /// As written.
    pub labels: BTreeMap<String, String>,
    /// Somebody deleted the object and its finalizers keep it. Only an API server knows; false in files.
    pub departing: bool,
}

/// A reference to an object (Knative's `KReference`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KReference {
    /// Kind of the object.
    #[serde(deserialize_with = "null_as_default")]
    pub kind: String,
    /// Absent: the namespace of the referring object.
    pub namespace: Option<String>,
    /// Name of the object.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Group and version.
    #[serde(deserialize_with = "null_as_default")]
    pub api_version: String,
    /// Group without version; only behind Knative's alpha feature `kreference-group`.
    pub group: Option<String>,
    /// Name of one of several addresses of the object.
    pub address: Option<String>,
}

impl KReference {
    /// The API group without its version; empty for the core group.
    #[must_use]
    pub fn api_group(&self) -> &str {
        match (&self.group, self.api_version.split_once('/')) {
            (Some(group), _) => group,
            (None, Some((group, _))) => group,
            (None, None) => "",
        }
    }
}

/// Where events go (Knative's `Destination`): an object, a URI, or a URI relative to an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Destination {
    /// The object whose address is used.
    #[serde(rename = "ref")]
    pub reference: Option<KReference>,
    /// Absolute or, with a reference, relative to the object's address.
    pub uri: Option<String>,
    /// PEM certificates to trust for this destination.
    #[serde(rename = "CACerts")]
    pub ca_certs: Option<String>,
    /// OIDC audience of the destination.
    pub audience: Option<String>,
}

/// A problem with one field of a document: its path and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path such as `spec.delivery.retry`.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl FieldError {
    /// An error about `field`.
    #[must_use]
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Checks the metadata; every problem is added to `errors`.
pub(crate) fn check_meta(meta: &ObjectMeta, errors: &mut Vec<FieldError>) -> Meta {
    let name = meta.name.clone().unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::new("metadata.name", "required"));
    } else if !is_dns_subdomain(&name) {
        errors.push(FieldError::new("metadata.name", "not a DNS name: only a-z, 0-9, '-' and '.' are allowed"));
    }
    let namespace = match &meta.namespace {
        Some(namespace) if !namespace.is_empty() => namespace.clone(),
        Some(_) | None => DEFAULT_NAMESPACE.to_owned(),
    };
    if !is_dns_label(&namespace) {
        errors.push(FieldError::new("metadata.namespace", "not a DNS label: only a-z, 0-9 and '-' are allowed"));
    }
    Meta {
        name,
        namespace,
        uid: meta.uid.clone().unwrap_or_default(),
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        annotations: meta.annotations.clone(),
        owners: meta.owner_references.clone(),
        finalizers: meta.finalizers.clone(),
        labels: meta.labels.clone(),
        departing: false,
    }
}

/// Checks a destination that was given; every problem is added to `errors`.
pub(crate) fn check_destination(destination: &Destination, path: &str, errors: &mut Vec<FieldError>) {
    if destination.reference.is_none() && destination.uri.as_deref().is_none_or(str::is_empty) {
        errors.push(FieldError::new(path, "needs a ref or a uri"));
    }
    if let Some(reference) = &destination.reference {
        check_reference(reference, &format!("{path}.ref"), errors);
    }
    check_ca_certs(destination.ca_certs.as_deref(), &format!("{path}.CACerts"), errors);
}

/// Checks that a text holds a certificate, unless it is empty; a problem is added to `errors`.
pub(crate) fn check_ca_certs(certs: Option<&str>, path: &str, errors: &mut Vec<FieldError>) {
    let marks = ["-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"];
    let found = certs.filter(|certs| !certs.is_empty());
    if found.is_some_and(|certs| !marks.iter().all(|mark| certs.contains(mark))) {
        errors.push(FieldError::new(path, "holds no PEM certificate"));
    }
}

/// Checks that a reference names a kind and an object; every problem is added to `errors`.
pub(crate) fn check_reference(reference: &KReference, path: &str, errors: &mut Vec<FieldError>) {
    for (field, value) in [("name", &reference.name), ("kind", &reference.kind)] {
        if value.is_empty() {
            errors.push(FieldError::new(format!("{path}.{field}"), "required"));
        }
    }
    if reference.api_version.is_empty() && reference.group.is_none() {
        errors.push(FieldError::new(format!("{path}.apiVersion"), "required"));
    }
}

fn is_dns_label(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 63 && text.chars().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !label.is_empty() && label.chars().all(allowed) && !label.starts_with('-') && !label.ends_with('-')
        })
}
