//! Tests of statuses: what is written, and above all what is not.

use serde_json::json;

use super::*;
use crate::api::channel;
use crate::api::meta::Meta;

const NOW: &str = "2026-01-02T00:00:00Z";
const BEFORE: &str = "2026-01-01T00:00:00Z";

fn object(status: Value) -> ChannelObject {
    let metadata = json!({"name": "kc", "namespace": "ns", "uid": "u", "generation": 2});
    let document = serde_json::from_value(json!({"metadata": metadata})).unwrap();
    ChannelObject { channel: channel::accept(&document), status }
}

fn found(probe: Truth) -> ChannelStatus {
    let gate = |kind: &str| Condition::truth(kind, Truth::True);
    let mut conditions: Vec<Condition> =
        ["ConfigParsed", "TopicReady", "ConfigMapUpdated", "Subscribers"].into_iter().map(gate).collect();
    conditions.push(Condition::new("ProbeSucceeded", probe, if probe == Truth::True { "" } else { "ProbeStatus" }, ""));
    conditions.push(Condition::truth("Addressable", if probe == Truth::True { Truth::True } else { Truth::Unknown }));
    let address = ChannelAddress { name: "http", url: "http://a".to_owned(), ca_certs: None, audience: None };
    ChannelStatus {
        namespace: "ns".to_owned(),
        name: "kc".to_owned(),
        uid: "u".to_owned(),
        url: String::new(),
        topic: "t".to_owned(),
        ready: probe,
        reason: String::new(),
        message: String::new(),
        conditions,
        addresses: vec![address],
        policies: Vec::new(),
        delivery: None,
    }
}

fn subscriber(ready: Truth) -> SubscriptionStatus {
    SubscriptionStatus {
        namespace: "ns".to_owned(),
        name: "s".to_owned(),
        uid: "s-1".to_owned(),
        channel: "kc".to_owned(),
        subscriber: None,
        dead_letter_sink: None,
        ready,
        reason: "InitializeOffset".to_owned(),
        message: "no brokers".to_owned(),
        generation: 4,
        managed: true,
        physical: crate::status::Physical::default(),
        account: Account::Off,
    }
}

/// The status after a patch, as the API server merges it.
fn merged(before: &Value, patch: Option<Value>) -> Value {
    let mut after = before.as_object().cloned().unwrap_or_default();
    for (field, value) in patch.unwrap_or_default()["status"].as_object().cloned().unwrap_or_default() {
        if value.is_null() {
            after.remove(&field)
        } else {
            after.insert(field, value)
        };
    }
    Value::Object(after)
}

fn condition(status: &Value, kind: &str) -> Value {
    let found = status["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == kind);
    found.cloned().unwrap_or_default()
}

#[test]
fn a_status_that_is_as_it_should_be_is_not_written() {
    let first = channel(&object(Value::Null), &found(Truth::True), &[&subscriber(Truth::True)], None, BEFORE);
    let status = merged(&Value::Null, first);
    assert_eq!(condition(&status, "Ready")["status"], "True");
    assert_eq!(channel(&object(status), &found(Truth::True), &[&subscriber(Truth::True)], None, NOW), None);
}

#[test]
fn what_is_not_known_yet_takes_no_answer_away_unless_the_object_changed() {
    let status = merged(
        &Value::Null,
        channel(&object(Value::Null), &found(Truth::True), &[&subscriber(Truth::True)], None, BEFORE),
    );
    let (unknown, waiting) = (found(Truth::Unknown), subscriber(Truth::Unknown));
    assert_eq!(channel(&object(status.clone()), &unknown, &[&waiting], None, NOW), None);
    let mut older = status;
    older["observedGeneration"] = json!(1);
    let after = merged(&older, channel(&object(older.clone()), &unknown, &[&waiting], None, NOW));
    assert_eq!(condition(&after, "Ready")["status"], "Unknown");
    assert_eq!(after["observedGeneration"], 2);
}

#[test]
fn the_time_of_a_condition_is_that_of_its_last_change() {
    let status = merged(&Value::Null, channel(&object(Value::Null), &found(Truth::True), &[], None, BEFORE));
    let after = merged(&status, channel(&object(status.clone()), &found(Truth::False), &[], None, NOW));
    let time = |kind: &str| condition(&after, kind)["lastTransitionTime"].clone();
    assert_eq!((time("ProbeSucceeded"), time("Ready"), time("TopicReady")), (json!(NOW), json!(NOW), json!(BEFORE)));
    assert_eq!(condition(&after, "Ready")["reason"], "ProbeStatus");
    // The peer keeps the address of a channel whose probe fails.
    assert_eq!(after["address"]["url"], "http://a");
}

#[test]
fn an_unready_subscriber_has_the_peers_message_and_a_ready_one_none() {
    let with = |ready: Truth| {
        let patch = channel(&object(Value::Null), &found(Truth::True), &[&subscriber(ready)], None, NOW);
        merged(&Value::Null, patch)["subscribers"][0].clone()
    };
    assert_eq!(with(Truth::True), json!({"uid": "s-1", "observedGeneration": 4, "ready": "True"}));
    let failed = with(Truth::False);
    assert_eq!(failed["message"], "Subscriber s-1 not ready: InitializeOffset no brokers");
}

#[test]
fn dead_letter_sinks_and_subscribers_that_are_gone_leave_the_status() {
    let delivery =
        millrace_config::contract::wire::EgressConfig { dead_letter: "http://dead".to_owned(), ..Default::default() };
    let with = ChannelStatus { delivery: Some(delivery), ..found(Truth::True) };
    let status = merged(&Value::Null, channel(&object(Value::Null), &with, &[&subscriber(Truth::True)], None, NOW));
    assert_eq!(status["deadLetterSinkUri"], "http://dead");
    let after = merged(&status, channel(&object(status.clone()), &found(Truth::True), &[], None, NOW));
    assert_eq!((&after["deadLetterSinkUri"], &after["subscribers"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_service_of_somebody_else_makes_a_channel_unready() {
    let patch = channel(&object(Value::Null), &found(Truth::True), &[], Some("not ours"), NOW);
    let status = merged(&Value::Null, patch);
    for kind in ["Ready", "Addressable"] {
        let found = condition(&status, kind);
        assert_eq!((&found["status"], &found["message"]), (&json!("False"), &json!("not ours")));
    }
}

#[test]
fn a_subscription_has_knatives_four_conditions() {
    let spec = json!({"channel": {"kind": "KafkaChannel", "name": "kc"}, "subscriber": {"uri": "http://s"}});
    let document = json!({"metadata": {"name": "s", "namespace": "ns", "uid": "s-1", "generation": 4}, "spec": spec});
    let checked = crate::api::subscription::accept(&serde_json::from_value(document).unwrap());
    let object = SubscriptionObject { subscription: checked, status: Value::Null };
    let status = merged(&Value::Null, subscription(&object, &subscriber(Truth::False), true, NOW));
    let types: Vec<&str> =
        status["conditions"].as_array().unwrap().iter().map(|found| found["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["AddedToChannel", "ChannelReady", "OIDCIdentityCreated", "Ready", "ReferencesResolved"]);
    assert_eq!(condition(&status, "Ready")["reason"], "SubscriptionNotMarkedReadyByChannel");
    assert_eq!(condition(&status, "AddedToChannel")["status"], "True");
    let unresolved = SubscriptionStatus { reason: "SubscriberResolveFailed".to_owned(), ..subscriber(Truth::False) };
    let status = merged(&Value::Null, subscription(&object, &unresolved, false, NOW));
    assert_eq!(condition(&status, "ReferencesResolved")["status"], "False");
    assert_eq!(condition(&status, "Ready")["reason"], "SubscriberResolveFailed");
}

#[test]
fn a_subscription_whose_channel_goes_stops_to_be_ready() {
    let spec = json!({"channel": {"kind": "KafkaChannel", "name": "kc"}, "subscriber": {"uri": "http://s"}});
    let document = json!({"metadata": {"name": "s", "namespace": "ns", "uid": "s-1", "generation": 4}, "spec": spec});
    let checked = crate::api::subscription::accept(&serde_json::from_value(document).unwrap());
    let mut object = SubscriptionObject { subscription: checked, status: Value::Null };
    object.status = merged(&Value::Null, subscription(&object, &subscriber(Truth::True), true, BEFORE));
    assert_eq!(condition(&object.status, "Ready")["status"], "True");
    let orphan = SubscriptionStatus { reason: NO_CHANNEL.to_owned(), ..subscriber(Truth::False) };
    let after = merged(&object.status, subscription(&object, &orphan, false, NOW));
    for kind in ["ReferencesResolved", "Ready"] {
        let found = condition(&after, kind);
        assert_eq!((&found["status"], &found["reason"]), (&json!("Unknown"), &json!(NO_CHANNEL)));
        assert_eq!(found["message"], "Failed to get Spec.Channel or backing channel: no brokers");
    }
}

#[test]
fn identities_are_told_as_knative_tells_them() {
    let spec = json!({"channel": {"kind": "KafkaChannel", "name": "kc"}, "subscriber": {"uri": "http://s"}});
    let document = json!({"metadata": {"name": "s", "namespace": "ns", "uid": "s-1", "generation": 4}, "spec": spec});
    let checked = crate::api::subscription::accept(&serde_json::from_value(document).unwrap());
    let object = SubscriptionObject { subscription: checked, status: Value::Null };
    let with = |ready: Truth, account: &Account| {
        let reason = account.for_deliveries().err().map_or_else(String::new, |failure| failure.reason);
        let found = SubscriptionStatus { account: account.clone(), reason, ..subscriber(ready) };
        let status = merged(&Value::Null, subscription(&object, &found, true, NOW));
        let identity = condition(&status, "OIDCIdentityCreated");
        let shown = (identity["status"].clone(), identity["reason"].clone(), status["auth"].clone());
        (shown, condition(&status, "ChannelReady")["status"].clone(), condition(&status, "Ready")["status"].clone())
    };
    let auth = json!({"serviceAccountName": "a"});
    let off = (json!("True"), json!("authentication-oidc feature disabled"), Value::Null);
    assert_eq!(with(Truth::True, &Account::Off), (off, json!("True"), json!("True")));
    let there = (json!("True"), Value::Null, auth.clone());
    assert_eq!(with(Truth::True, &Account::Ready("a".to_owned())), (there, json!("True"), json!("True")));
    let missing = (json!("Unknown"), Value::Null, auth.clone());
    let waiting = with(Truth::Unknown, &Account::Missing("a".to_owned()));
    assert_eq!(waiting, (missing, json!("Unknown"), json!("Unknown")));
    let refused = Account::Refused { name: "a".to_owned(), message: "quota".to_owned() };
    let reason = json!("Unable to resolve service account for OIDC authentication");
    assert_eq!(with(Truth::False, &refused), ((json!("False"), reason, auth), json!("Unknown"), json!("False")));
}

#[test]
fn a_subscriber_s_identity_is_told_by_its_channel_and_leaves_with_it() {
    let known = SubscriptionStatus { account: Account::Given("sa".to_owned()), ..subscriber(Truth::True) };
    let status = merged(&Value::Null, channel(&object(Value::Null), &found(Truth::True), &[&known], None, BEFORE));
    assert_eq!(status["subscribers"][0]["auth"], json!({"serviceAccountName": "sa"}));
    let without = SubscriptionStatus { account: Account::Off, ..known };
    let after = merged(&status, channel(&object(status.clone()), &found(Truth::True), &[&without], None, NOW));
    assert_eq!(after["subscribers"][0], json!({"uid": "s-1", "observedGeneration": 4, "ready": "True"}));
}

#[test]
fn a_new_generation_that_nothing_is_known_about_says_so() {
    let mut older = merged(&Value::Null, channel(&object(Value::Null), &found(Truth::True), &[], None, BEFORE));
    older["observedGeneration"] = json!(1);
    let mut unknown = found(Truth::Unknown);
    for condition in &mut unknown.conditions {
        (condition.status, condition.reason) = (Truth::Unknown, String::new());
    }
    let after = merged(&older, channel(&object(older.clone()), &unknown, &[], None, NOW));
    let ready = condition(&after, "Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("Unknown"), &json!("NewObservedGenFailure")));
    // At the first look there is nothing older.
    let first = merged(&Value::Null, channel(&object(Value::Null), &unknown, &[], None, NOW));
    assert_eq!(condition(&first, "Ready")["reason"], Value::Null);
}

#[test]
fn a_departing_channel_keeps_its_other_conditions_and_loses_its_address() {
    let status = merged(&Value::Null, channel(&object(Value::Null), &found(Truth::True), &[], None, BEFORE));
    let waiting = Condition::new("TopicReady", Truth::False, "Failed to delete topic: t", "away");
    let ready = Condition { kind: "Ready".to_owned(), ..waiting.clone() };
    let meta = Meta::default();
    let departure = Departure {
        namespace: meta.namespace,
        name: "kc".to_owned(),
        uid: "u".to_owned(),
        finished: false,
        left_behind: Vec::new(),
        conditions: vec![ready, waiting],
    };
    let after = merged(&status, super::departure(&object(status.clone()), &departure, NOW));
    assert_eq!(after["address"], Value::Null);
    assert_eq!(condition(&after, "Ready")["reason"], "Failed to delete topic: t");
    assert_eq!(condition(&after, "ConfigParsed")["lastTransitionTime"], BEFORE);
}

#[test]
fn a_warning_does_not_make_a_channel_unready_and_goes_without_a_trace() {
    let mut full = found(Truth::True);
    full.conditions.push(Condition::new("ContractHasRoom", Truth::False, "ContractAlmostFull", "80 %"));
    let status = merged(&Value::Null, channel(&object(Value::Null), &full, &[], None, BEFORE));
    assert_eq!(condition(&status, "ContractHasRoom")["severity"], "Warning");
    assert_eq!(condition(&status, "Ready")["status"], "True");
    let status = merged(&status, channel(&object(status.clone()), &found(Truth::True), &[], None, NOW));
    assert!(status["conditions"].as_array().unwrap().iter().all(|found| found["type"] != "ContractHasRoom"));
    assert_eq!(condition(&status, "Ready")["lastTransitionTime"], BEFORE);
}
