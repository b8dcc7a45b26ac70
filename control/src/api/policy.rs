//! EventPolicy, `eventing.knative.dev/v1alpha1`: who may send which events where.
//!
//! Read as the API server holds it; Knative's own controller fills in its status. Source: control-plane spec 2.3 (step
//! 11) and 2.8.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::meta::null_as_default;

/// An EventPolicy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EventPolicy {
    /// Name, namespace.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Identified,
    /// What the user wants.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: EventPolicySpec,
    /// What Knative's controller found.
    #[serde(deserialize_with = "null_as_default")]
    pub status: EventPolicyStatus,
}

/// The part of the metadata that is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Identified {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

/// `spec` of an EventPolicy; `from` is read out of the status, where it is resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EventPolicySpec {
    /// Empty: everything in the namespace.
    #[serde(deserialize_with = "null_as_default")]
    pub to: Vec<Target>,
    /// Subscription filters; all must pass.
    #[serde(deserialize_with = "null_as_default")]
    pub filters: Vec<Value>,
}

/// One thing that a policy is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Target {
    /// One object.
    #[serde(rename = "ref")]
    pub reference: Option<TargetRef>,
    /// All objects with labels.
    pub selector: Option<Selector>,
}

/// A named object of the policy's own namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetRef {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// Objects of a kind with labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// All must be there with these values.
    #[serde(deserialize_with = "null_as_default")]
    pub match_labels: BTreeMap<String, String>,
    /// All must hold.
    #[serde(deserialize_with = "null_as_default")]
    pub match_expressions: Vec<Requirement>,
}

/// One condition on a label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// For the first two.
    #[serde(deserialize_with = "null_as_default")]
    pub values: Vec<String>,
}

/// `status` of an EventPolicy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EventPolicyStatus {
    /// Subjects, a star at the end standing for anything.
    #[serde(deserialize_with = "null_as_default")]
    pub from: Vec<String>,
    /// As everywhere.
    #[serde(deserialize_with = "null_as_default")]
    pub conditions: Vec<StatusCondition>,
}

/// The two fields of a condition that count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StatusCondition {
    /// Such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

impl EventPolicy {
    /// Whether Knative's controller has resolved it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}
