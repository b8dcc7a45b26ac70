//! Statuses as they are written into objects.
//!
//! Pure: the object as it is and what the core found out in, a merge patch out, or nothing when nothing changed. What is
//! not known yet never replaces an answer about the same generation: a restart takes no readiness away.
//! Source: control-plane spec 1.1, 1.2, 1.10, 2.2 and the real status in section 10.

mod conditions;

use serde_json::{Map, Value, json};

use self::conditions::{merge, ready_of};
use super::objects::{ChannelObject, SubscriptionObject};
use crate::accounts::{self, Account};
use crate::addressable::Address;
use crate::addresses::{ChannelAddress, primary};
use crate::reconcile::orphans::NO_CHANNEL;
use crate::reconcile::outcome::Departure;
use crate::status::{ChannelStatus, Condition, SubscriptionStatus, Truth};

/// Conditions of channels on which `Ready` depends, in the order in which the first bad one explains it.
const CHANNEL_GATES: [&str; 5] = ["ConfigParsed", "TopicReady", "ConfigMapUpdated", "ProbeSucceeded", "Subscribers"];
const SUBSCRIPTION_GATES: [&str; 4] = ["ReferencesResolved", "AddedToChannel", "ChannelReady", "OIDCIdentityCreated"];

/// The patch for a channel. `subscribers` are those of the channel, in its order; `foreign_service` says that its
/// Service belongs to somebody else.
pub(crate) fn channel(
    object: &ChannelObject,
    found: &ChannelStatus,
    subscribers: &[&SubscriptionStatus],
    foreign_service: Option<&str>,
    now: &str,
) -> Option<Value> {
    let generation = object.channel.meta.generation;
    let same_generation = object.status.get("observedGeneration").and_then(Value::as_i64) == Some(generation);
    let mut conditions: Vec<Condition> =
        found.conditions.iter().filter(|condition| condition.kind != "Ready").cloned().collect();
    if let Some(message) = foreign_service {
        conditions.retain(|condition| condition.kind != "Addressable");
        conditions.push(Condition::new("Addressable", Truth::False, "ServiceNotOwned", message));
    }
    let mut merged = merge(&object.status, conditions, same_generation, now);
    let gates: &[&str] = if foreign_service.is_some() { &["Addressable"] } else { &CHANNEL_GATES };
    let ready = of_generation(ready_of(&merged, gates), &object.status, same_generation);
    merged.extend(merge(&object.status, vec![ready], false, now));
    let mut status = Map::new();
    status.insert("observedGeneration".to_owned(), json!(generation));
    status.insert("conditions".to_owned(), conditions::sorted(merged));
    if !found.topic.is_empty() {
        status.insert("annotations".to_owned(), json!({"default.topic": found.topic}));
    }
    if found.conditions.iter().any(|condition| condition.kind == "Addressable" && condition.status == Truth::True) {
        status.insert("address".to_owned(), primary(&found.addresses).map_or(Value::Null, address));
        status.insert("addresses".to_owned(), list(found.addresses.iter().map(address)));
    }
    let delivery = found.delivery.clone().unwrap_or_default();
    let sink = Address {
        url: delivery.dead_letter,
        ca_certs: delivery.dead_letter_ca_certs,
        audience: delivery.dead_letter_audience,
    };
    put(&mut status, "deadLetterSink", "Uri", &sink);
    status.insert(
        "policies".to_owned(),
        list(found.policies.iter().map(|name| json!({"apiVersion": "eventing.knative.dev/v1alpha1", "name": name}))),
    );
    status.insert("subscribers".to_owned(), list(subscribers.iter().map(|found| subscriber(&object.status, found))));
    changes(&object.status, status)
}

/// The patch for a channel that is being deleted.
pub(crate) fn departure(object: &ChannelObject, departure: &Departure, now: &str) -> Option<Value> {
    let kept = |condition: &Value| departure.conditions.iter().all(|new| condition["type"] != new.kind.as_str());
    let old = object.status.get("conditions").and_then(Value::as_array).into_iter().flatten();
    let mut all: Vec<Value> = old.filter(|condition| kept(condition)).cloned().collect();
    all.extend(merge(&object.status, departure.conditions.clone(), false, now));
    let mut status = Map::new();
    status.insert("address".to_owned(), Value::Null);
    status.insert("addresses".to_owned(), Value::Null);
    status.insert("conditions".to_owned(), conditions::sorted(all));
    changes(&object.status, status)
}

/// The patch for a Subscription that no controller of Knative's looks after. `channel_exists` is false when what it
/// refers to is no channel of ours.
pub(crate) fn subscription(
    object: &SubscriptionObject,
    found: &SubscriptionStatus,
    in_contract: bool,
    now: &str,
) -> Option<Value> {
    let generation = object.subscription.meta.generation;
    let same_generation = object.status.get("observedGeneration").and_then(Value::as_i64) == Some(generation);
    let merged = merge(&object.status, subscription_conditions(found, in_contract), same_generation, now);
    let ready = of_generation(ready_of(&merged, &SUBSCRIPTION_GATES), &object.status, same_generation);
    let mut conditions = merged;
    conditions.extend(merge(&object.status, vec![ready], false, now));
    let mut status = Map::new();
    status.insert("observedGeneration".to_owned(), json!(generation));
    status.insert("conditions".to_owned(), conditions::sorted(conditions));
    status.insert("auth".to_owned(), auth(&found.account));
    let mut physical = Map::new();
    put(&mut physical, "subscriber", "Uri", &found.physical.subscriber);
    put(&mut physical, "reply", "Uri", &found.physical.reply);
    put(&mut physical, "deadLetterSink", "Uri", &found.physical.dead_letter_sink);
    let is_known = physical.values().any(|value| !value.is_null());
    let before = object.status.get("physicalSubscription").cloned().unwrap_or_default();
    let physical = if is_known { changes(&before, physical).map(|patch| patch["status"].clone()) } else { None };
    let mut patch = changes(&object.status, status);
    if let Some(physical) = physical {
        let patch = patch.get_or_insert_with(|| json!({"status": {}}));
        patch["status"]["physicalSubscription"] = physical;
    }
    patch
}

/// Knative's four conditions out of our one verdict.
fn subscription_conditions(found: &SubscriptionStatus, in_contract: bool) -> Vec<Condition> {
    const UNRESOLVED: [&str; 5] = [
        NO_CHANNEL,
        "SubscriberResolveFailed",
        "ReplyResolveFailed",
        "DeadLetterSinkResolveFailed",
        "InvalidSubscription",
    ];
    let unresolved = UNRESOLVED.contains(&found.reason.as_str());
    let unidentified = [accounts::CONDITION, accounts::REFUSED].contains(&found.reason.as_str());
    let resolved = if found.reason == NO_CHANNEL {
        // Nothing is wrong with the Subscription itself, so Knative says that it does not know.
        let message = format!("Failed to get Spec.Channel or backing channel: {}", found.message);
        Condition::new("ReferencesResolved", Truth::Unknown, NO_CHANNEL, &message)
    } else if unresolved {
        Condition::new("ReferencesResolved", found.ready, &found.reason, &found.message)
    } else {
        Condition::truth("ReferencesResolved", Truth::True)
    };
    let added = Condition::truth("AddedToChannel", if in_contract { Truth::True } else { Truth::Unknown });
    let channel = match found.ready {
        Truth::True => Condition::truth("ChannelReady", Truth::True),
        _ if unresolved || unidentified => Condition::truth("ChannelReady", Truth::Unknown),
        truth @ (Truth::False | Truth::Unknown) => {
            let message = format!("{}: {}", found.reason, found.message);
            Condition::new("ChannelReady", truth, "SubscriptionNotMarkedReadyByChannel", &message)
        }
    };
    vec![resolved, added, channel, identity_created(&found.account)]
}

fn identity_created(account: &Account) -> Condition {
    match account {
        Account::Off | Account::Leftover { .. } => {
            Condition::new(accounts::CONDITION, Truth::True, "authentication-oidc feature disabled", "")
        }
        Account::Given(_) | Account::Ready(_) => Condition::truth(accounts::CONDITION, Truth::True),
        Account::Missing(_) => Condition::truth(accounts::CONDITION, Truth::Unknown),
        Account::Refused { message, .. } => {
            Condition::new(accounts::CONDITION, Truth::False, accounts::REFUSED, message)
        }
    }
}

/// An identity, as statuses tell it; null for none.
fn auth(account: &Account) -> Value {
    account.name().map_or(Value::Null, |name| json!({"serviceAccountName": name}))
}

/// `Ready` of an object whose new generation nothing is known about yet says so, in the peer's words.
fn of_generation(ready: Condition, status: &Value, same_generation: bool) -> Condition {
    let is_changed = !same_generation && status.get("observedGeneration").is_some();
    if !is_changed || ready.status != Truth::Unknown || !ready.reason.is_empty() {
        return ready;
    }
    let message = if ready.message.is_empty() { "unsuccessfully observed a new generation" } else { &ready.message };
    Condition::new("Ready", Truth::Unknown, "NewObservedGenFailure", message)
}

/// One entry of a channel's `status.subscribers`.
fn subscriber(status: &Value, found: &SubscriptionStatus) -> Value {
    let before = status.get("subscribers").and_then(Value::as_array).into_iter().flatten();
    let known = before.into_iter().find(|entry| {
        entry["uid"] == found.uid.as_str()
            && entry["observedGeneration"].as_i64() == Some(found.generation)
            && entry["ready"] != "Unknown"
    });
    let mut entry = match (found.ready, known) {
        (Truth::Unknown, Some(known)) => known.clone(),
        (Truth::True, _) => json!({"uid": found.uid, "observedGeneration": found.generation, "ready": "True"}),
        (truth @ (Truth::False | Truth::Unknown), _) => json!({
            "uid": found.uid, "observedGeneration": found.generation, "ready": truth.to_string(),
            "message": format!("Subscriber {} not ready: {} {}", found.uid, found.reason, found.message)
        }),
    };
    match (auth(&found.account), entry.as_object_mut()) {
        (Value::Null, Some(fields)) => drop(fields.remove("auth")),
        (auth, Some(fields)) => drop(fields.insert("auth".to_owned(), auth)),
        (_, None) => {}
    }
    entry
}

fn address(address: &ChannelAddress) -> Value {
    let mut found = Map::from_iter([("name".to_owned(), json!(address.name)), ("url".to_owned(), json!(address.url))]);
    let optional = [("CACerts", &address.ca_certs), ("audience", &address.audience)];
    found.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))));
    Value::Object(found)
}

/// `prefixUri`, `prefixCACerts` and `prefixAudience`, null for what is empty.
fn put(status: &mut Map<String, Value>, prefix: &str, uri: &str, address: &Address) {
    for (suffix, text) in [(uri, &address.url), ("CACerts", &address.ca_certs), ("Audience", &address.audience)] {
        status.insert(format!("{prefix}{suffix}"), if text.is_empty() { Value::Null } else { json!(text) });
    }
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    let values: Vec<Value> = values.collect();
    if values.is_empty() { Value::Null } else { Value::Array(values) }
}

/// The fields that differ from the status as it is. Absent and null are the same; of an object in a field, only what is
/// given is compared, because others may have put more there.
fn changes(status: &Value, wanted: Map<String, Value>) -> Option<Value> {
    let differs = |(field, value): &(String, Value)| {
        let now = status.get(field).unwrap_or(&Value::Null);
        match (field.as_str(), value) {
            ("annotations", Value::Object(values)) => values.iter().any(|(key, value)| now.get(key) != Some(value)),
            _ => now != value,
        }
    };
    let changed: Map<String, Value> = wanted.into_iter().filter(differs).collect();
    (!changed.is_empty()).then(|| json!({"status": changed}))
}

#[cfg(test)]
mod tests;
