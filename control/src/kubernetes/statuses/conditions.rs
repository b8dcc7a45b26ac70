//! Conditions as they stand in objects.
//!
//! Pure. Source: control-plane spec 1.10.

use serde_json::{Map, Value, json};

use crate::reconcile::orphans::NO_CHANNEL;
use crate::status::{Condition, Truth, ready};

/// Conditions that say something without counting for `Ready`.
const INFORMATIONAL: [&str; 2] = ["Addressable", "EventPoliciesReady"];
/// One that a person should see although everything works.
const WARNING: &str = "ContractHasRoom";

/// New conditions in the form of the API, with the time of the last change of each. With `keep`, an answer that is
/// there already stays where there is no new one yet.
pub(super) fn merge(status: &Value, conditions: Vec<Condition>, keep: bool, now: &str) -> Vec<Value> {
    let before = status.get("conditions").and_then(Value::as_array);
    let old = |kind: &str| before.into_iter().flatten().find(|condition| condition["type"] == kind);
    let one = |condition: Condition| {
        let old = old(&condition.kind);
        let has_answer = old.is_some_and(|old| old["status"] == "True" || old["status"] == "False");
        // One that is missing is known to be missing.
        let is_open = condition.status == Truth::Unknown && condition.reason != NO_CHANNEL;
        if let Some(old) = old.filter(|_| keep && has_answer && is_open) {
            return old.clone();
        }
        let truth = condition.status.to_string();
        let since =
            old.filter(|old| old["status"] == truth.as_str()).and_then(|old| old["lastTransitionTime"].as_str());
        let mut value = Map::new();
        value.insert("type".to_owned(), json!(condition.kind));
        value.insert("status".to_owned(), json!(truth));
        value.insert("lastTransitionTime".to_owned(), json!(since.unwrap_or(now)));
        for (field, text) in [("reason", condition.reason), ("message", condition.message)] {
            if !text.is_empty() {
                value.insert(field.to_owned(), json!(text));
            }
        }
        if INFORMATIONAL.contains(&condition.kind.as_str()) {
            value.insert("severity".to_owned(), json!("Info"));
        } else if condition.kind == WARNING {
            value.insert("severity".to_owned(), json!("Warning"));
        }
        Value::Object(value)
    };
    conditions.into_iter().map(one).collect()
}

/// `Ready` as it follows from conditions in the form of the API.
pub(super) fn ready_of(conditions: &[Value], gates: &[&str]) -> Condition {
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let found: Vec<Condition> = gates
        .iter()
        .filter_map(|gate| conditions.iter().find(|condition| condition["type"] == *gate))
        .map(|condition| Condition {
            kind: text(condition, "type"),
            status: match condition["status"].as_str() {
                Some("True") => Truth::True,
                Some("False") => Truth::False,
                Some(_) | None => Truth::Unknown,
            },
            reason: text(condition, "reason"),
            message: text(condition, "message"),
        })
        .collect();
    ready(found.iter())
}

/// By type, as upstream has them.
pub(super) fn sorted(mut conditions: Vec<Value>) -> Value {
    conditions.sort_by(|a, b| a["type"].as_str().cmp(&b["type"].as_str()));
    Value::Array(conditions)
}
