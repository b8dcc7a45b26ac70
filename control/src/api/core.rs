//! ConfigMap and Secret of the core group.
//!
//! Both become a map from key to bytes. What a key means is decided where it is used.
//! Source: Kubernetes API, core/v1.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::meta::{FieldError, Meta, ObjectMeta, check_meta, null_as_default};

/// A ConfigMap as it stands in a document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMapDocument {
    /// `v1`.
    pub api_version: String,
    /// Always `ConfigMap`.
    pub kind: String,
    /// Name, namespace.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: ObjectMeta,
    /// Texts.
    #[serde(deserialize_with = "null_as_default")]
    pub data: BTreeMap<String, String>,
    /// Bytes in base64.
    #[serde(deserialize_with = "null_as_default")]
    pub binary_data: BTreeMap<String, String>,
    /// Accepted, unused.
    pub immutable: Option<Value>,
}

/// A Secret as it stands in a document.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretDocument {
    /// `v1`.
    pub api_version: String,
    /// Always `Secret`.
    pub kind: String,
    /// Name, namespace, uid.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: ObjectMeta,
    /// Bytes in base64.
    #[serde(deserialize_with = "null_as_default")]
    pub data: BTreeMap<String, String>,
    /// Texts, which win over `data`, as on the API server.
    #[serde(deserialize_with = "null_as_default")]
    pub string_data: BTreeMap<String, String>,
    /// Accepted, unused.
    #[serde(rename = "type")]
    pub secret_type: Option<Value>,
    /// Accepted, unused.
    pub immutable: Option<Value>,
}

/// A checked ConfigMap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigMap {
    /// Name, namespace.
    pub meta: Meta,
    /// Values by key, from `data` and `binaryData`.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl ConfigMap {
    /// The value of a key as text; absent when there is no such key or its bytes are no UTF-8.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

/// A checked Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Name, namespace, uid, resourceVersion.
    pub meta: Meta,
    /// Values by key.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values are credentials: names of keys are all that may be printed.
        f.debug_struct("Secret").field("meta", &self.meta).field("keys", &self.data.keys()).finish_non_exhaustive()
    }
}

impl Secret {
    /// The value of a key as text; absent when there is no such key or its bytes are no UTF-8.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// True when the key is there with at least one byte.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.data.get(key).is_some_and(|bytes| !bytes.is_empty())
    }
}

/// Checks a ConfigMap.
///
/// # Errors
/// Every field that is wrong, not just the first.
pub fn check_config_map(document: &ConfigMapDocument) -> Result<ConfigMap, Vec<FieldError>> {
    let mut errors = Vec::new();
    let meta = check_meta(&document.metadata, &mut errors);
    let mut data = decode(&document.binary_data, "binaryData", &mut errors);
    for (key, text) in &document.data {
        check_key(key, "data", &mut errors);
        if data.insert(key.clone(), text.clone().into_bytes()).is_some() {
            errors.push(FieldError::new(format!("data.{key}"), "is in data and in binaryData"));
        }
    }
    if errors.is_empty() { Ok(ConfigMap { meta, data }) } else { Err(errors) }
}

/// Checks a Secret.
///
/// # Errors
/// Every field that is wrong, not just the first.
pub fn check_secret(document: &SecretDocument) -> Result<Secret, Vec<FieldError>> {
    let mut errors = Vec::new();
    let meta = check_meta(&document.metadata, &mut errors);
    let mut data = decode(&document.data, "data", &mut errors);
    for (key, text) in &document.string_data {
        check_key(key, "stringData", &mut errors);
        data.insert(key.clone(), text.clone().into_bytes());
    }
    if errors.is_empty() { Ok(Secret { meta, data }) } else { Err(errors) }
}

fn decode(encoded: &BTreeMap<String, String>, field: &str, errors: &mut Vec<FieldError>) -> BTreeMap<String, Vec<u8>> {
    let mut data = BTreeMap::new();
    for (key, text) in encoded {
        check_key(key, field, errors);
        let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        match STANDARD.decode(compact) {
            Ok(bytes) => {
                data.insert(key.clone(), bytes);
            }
            // The text itself may be a credential and stays out of the message.
            Err(_) => errors.push(FieldError::new(format!("{field}.{key}"), "is not base64")),
        }
    }
    data
}

/// Keys become file names in the data plane's mounts, so only what Kubernetes allows may pass.
fn check_key(key: &str, field: &str, errors: &mut Vec<FieldError>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || key.len() > 253 || key.starts_with("..") || key == "." || !key.chars().all(allowed) {
        errors.push(FieldError::new(
            format!("{field}.{key}"),
            "not a valid key: only letters, digits, - _ . are allowed",
        ));
    }
}
