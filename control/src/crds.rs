//! What `millrace-control crds` prints: the definitions of our objects, and who may write which of their fields.
//!
//! Everything that upstream's webhook fills in or refuses is said by the API server itself here: defaults and
//! validation by schema and CEL, the check of the writer by an admission policy. There is no webhook that could be
//! down. Pure: builds values and text, talks to nobody.
//!
//! What the webhook accepts is accepted, so that objects move over untouched. What cannot be said here (features,
//! references, durations that overflow) is a condition of the object instead.
//! Source: control-plane spec 1.1, 1.2, 1.3 and section 10.

mod admission;
mod delivery;
mod kafka_channel;
mod schema;
mod status;
mod subscription;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition,
};
use serde::Serialize;
use serde_json::Value;

pub use admission::{binding, policy};
pub use kafka_channel::definition as kafka_channel;
pub use subscription::definition as subscription;

/// The API group of both kinds.
const GROUP: &str = "messaging.knative.dev";

/// Why there is nothing to print. Only a mistake of ours can cause it.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// A value has no JSON.
    #[error("cannot turn a definition into JSON")]
    Json(#[from] serde_json::Error),
    /// JSON that has no YAML.
    #[error("cannot turn a definition into YAML")]
    Yaml(#[from] serde_saphyr::SerializeError),
}

/// What can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// KafkaChannel with both versions.
    KafkaChannel,
    /// Who may write which fields of a KafkaChannel.
    Admission,
    /// Subscription, only for clusters without Knative Eventing.
    Subscription,
}

/// The part as YAML, ready to be applied.
///
/// # Errors
/// Never, but for a mistake of ours.
pub fn yaml(part: Part) -> Result<String, CrdError> {
    let (name, values) = match part {
        Part::KafkaChannel => ("kafka-channel", vec![json(&kafka_channel())?]),
        Part::Admission => ("admission", vec![json(&policy())?, json(&binding())?]),
        Part::Subscription => ("subscription", vec![json(&subscription())?]),
    };
    let mut text = String::new();
    for value in values {
        text.push_str("---\n");
        if text.len() == "---\n".len() {
            text.push_str(&format!("# Printed by `millrace-control crds {name}`; a test compares the two.\n"));
        }
        text.push_str(&serde_saphyr::to_string(&value)?);
    }
    Ok(text)
}

fn json(value: &impl Serialize) -> Result<Value, CrdError> {
    Ok(whole(serde_json::to_value(value)?))
}

/// Limits of numbers are floating point in the API's types; `1.0` as the limit of a whole number only puzzles.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            let shorter = text.strip_suffix(".0").and_then(|text| text.parse::<i64>().ok());
            shorter.map_or(Value::Number(number), Value::from)
        }
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, field)| (name, whole(field))).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

fn column(name: &str, kind: &str, path: &str) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: kind.to_owned(),
        json_path: path.to_owned(),
        ..CustomResourceColumnDefinition::default()
    }
}

/// `Ready` and `Reason`, as every Knative kind shows them.
fn ready_columns() -> [CustomResourceColumnDefinition; 2] {
    [
        column("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
        column("Reason", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
    ]
}

/// Strings for the types of the API, which own them.
fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A definition that is only waiting for its `spec`.
fn named(name: &str, labels: &[(&str, &str)]) -> CustomResourceDefinition {
    let mut definition = CustomResourceDefinition::default();
    definition.metadata.name = Some(name.to_owned());
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    definition.metadata.labels = Some(labels.collect());
    definition
}

#[cfg(test)]
mod tests;
