//! Tests of document checking, as a table of documents and what is said about them.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::api::delivery::BackoffPolicy;

/// The errors of a document, as `field: message`.
fn errors(document: &Value) -> Vec<String> {
    match decode(document) {
        Decoded::Bad { errors, .. } => errors.iter().map(|e| format!("{}: {}", e.field, e.message)).collect(),
        Decoded::Object { .. } | Decoded::Foreign(_) => Vec::new(),
    }
}

#[track_caller]
fn check_error(document: &Value, field: &str, message: &str) {
    let found = errors(document);
    assert!(found.iter().any(|error| error.starts_with(field) && error.contains(message)), "{found:?}");
}

fn channel(spec: &Value) -> Value {
    json!({"apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel", "metadata": {"name": "orders"}, "spec": spec})
}

fn subscription(spec: &Value) -> Value {
    json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Subscription", "metadata": {"name": "s"}, "spec": spec})
}

fn with_delivery(delivery: &Value) -> Value {
    subscription(&json!({
        "channel": {"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel", "name": "orders"},
        "subscriber": {"uri": "http://a"},
        "delivery": delivery
    }))
}

fn good_channel(spec: &Value) -> crate::api::channel::Channel {
    match decode(&channel(spec)) {
        Decoded::Object { object, .. } => {
            let Object::Channel(channel) = *object else { panic!("{object:?}") };
            *channel
        }
        bad @ (Decoded::Bad { .. } | Decoded::Foreign(_)) => panic!("{bad:?}"),
    }
}

#[test]
fn a_bare_channel_has_the_webhooks_defaults() {
    let channel = good_channel(&json!({}));
    assert_eq!((channel.topic.partitions, channel.topic.replication_factor), (1, 1));
    assert_eq!(channel.topic.retention, None);
    assert_eq!(channel.meta.namespace, "default");
    assert_eq!(good_channel(&json!({"numPartitions": 0})).topic.partitions, 1);
    assert_eq!(good_channel(&json!({"retentionDuration": ""})).topic.retention, None);
    let set = good_channel(&json!({"numPartitions": 3, "replicationFactor": 4, "retentionDuration": "PT10M"}));
    assert_eq!((set.topic.partitions, set.topic.replication_factor), (3, 4));
    assert_eq!(set.topic.retention, Some(Duration::from_mins(10)));
}

#[test]
fn both_versions_of_a_channel_are_read() {
    for version in ["v1", "v1beta1"] {
        let document = json!({"apiVersion": format!("messaging.knative.dev/{version}"), "kind": "KafkaChannel", "metadata": {"name": "a"}});
        assert!(matches!(decode(&document), Decoded::Object { .. }), "{version}");
    }
    let document =
        json!({"apiVersion": "messaging.knative.dev/v1alpha1", "kind": "KafkaChannel", "metadata": {"name": "a"}});
    check_error(&document, "apiVersion", "v1alpha1");
}

#[test]
fn a_channel_that_the_webhook_refuses_is_refused() {
    check_error(&channel(&json!({"numPartitions": -1})), "spec.numPartitions", "found -1");
    check_error(&channel(&json!({"numPartitions": "3"})), "spec.numPartitions", "must be a whole number");
    check_error(&channel(&json!({"numPartitions": 100_001})), "spec.numPartitions", "1 and 100000, found 100001");
    check_error(&channel(&json!({"replicationFactor": 10_001})), "spec.replicationFactor", "1 and 10000, found 10001");
    let most = good_channel(&json!({"numPartitions": 100_000, "replicationFactor": 10_000})).topic;
    assert_eq!((most.partitions, most.replication_factor), (100_000, 10_000));
    check_error(&channel(&json!({"retentionDuration": "7 days"})), "spec.retentionDuration", "7 days");
    check_error(&channel(&json!({"retentionDuration": "-PT1H"})), "spec.retentionDuration", "negative");
    check_error(&channel(&json!({"subscribers": [{"uid": "a"}]})), "spec.subscribers[0]", "needs a subscriberUri");
    check_error(&channel(&json!({"subscribers": [{"replyUri": "http://a"}]})), "spec.subscribers[0].uid", "required");
    let mut scoped = channel(&json!({}));
    scoped["metadata"]["annotations"] = json!({"eventing.knative.dev/scope": "galaxy"});
    check_error(&scoped, "metadata.annotations", "galaxy");
}

#[test]
fn names_that_cannot_be_names_are_refused() {
    for name in ["../up", "Orders", "a_b", "-a", "a..b", ""] {
        let mut document = channel(&json!({}));
        document["metadata"]["name"] = json!(name);
        check_error(&document, "metadata.name", "");
    }
    let mut document = channel(&json!({}));
    document["metadata"]["namespace"] = json!("a/b");
    check_error(&document, "metadata.namespace", "DNS label");
}

#[test]
fn a_subscription_needs_a_channel_and_a_subscriber() {
    check_error(&subscription(&json!({"subscriber": {"uri": "http://a"}})), "spec.channel", "required");
    let channel = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel", "name": "orders"});
    check_error(&subscription(&json!({"channel": channel})), "spec.subscriber", "required");
    check_error(
        &subscription(&json!({"channel": channel, "subscriber": {}})),
        "spec.subscriber",
        "needs a ref or a uri",
    );
    check_error(
        &subscription(&json!({"channel": channel, "subscriber": {"ref": {"kind": "Service", "name": "a"}}})),
        "spec.subscriber.ref.apiVersion",
        "required",
    );
}

#[test]
fn delivery_rules_are_those_of_the_webhook() {
    check_error(&with_delivery(&json!({"retry": -1})), "spec.delivery.retry", "found -1");
    check_error(&with_delivery(&json!({"retry": 1_u64 << 40})), "spec.delivery.retry", "0 or more");
    check_error(&with_delivery(&json!({"timeout": "PT0S"})), "spec.delivery.timeout", "PT0.1S");
    check_error(&with_delivery(&json!({"timeout": "PT0.001S"})), "spec.delivery.timeout", "PT0.1S");
    check_error(&with_delivery(&json!({"backoffDelay": "1s"})), "spec.delivery.backoffDelay", "\"1s\"");
    check_error(&with_delivery(&json!({"backoffPolicy": "cubic"})), "spec.delivery.backoffPolicy", "cubic");
    check_error(&with_delivery(&json!({"retryAfterMax": "-PT1S"})), "spec.delivery.retryAfterMax", "negative");
    check_error(&with_delivery(&json!({"format": "xml"})), "spec.delivery.format", "xml");
    check_error(
        &with_delivery(&json!({"deadLetterSink": {"uri": "http://a", "CACerts": "none"}})),
        "spec.delivery.deadLetterSink.CACerts",
        "PEM",
    );
}

#[test]
fn every_wrong_field_is_named_not_just_the_first() {
    let found = errors(&channel(&json!({"numPartitions": -1, "delivery": {"retry": -2, "timeout": "x"}})));
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn a_good_delivery_keeps_full_precision() {
    let document = with_delivery(
        &json!({"retry": 5, "backoffPolicy": "linear", "backoffDelay": "-PT0.25S", "timeout": "PT10S", "format": "json"}),
    );
    let Decoded::Object { object, unknown } = decode(&document) else { panic!("{:?}", errors(&document)) };
    let Object::Subscription(subscription) = *object else { panic!("not a subscription") };
    assert!(unknown.is_empty());
    let delivery = subscription.delivery.unwrap();
    assert_eq!(delivery.retry, Some(5));
    assert_eq!(delivery.backoff_policy, Some(BackoffPolicy::Linear));
    assert_eq!(delivery.backoff_delay, Some(Duration::from_millis(250)));
    assert_eq!(delivery.timeout, Some(Duration::from_secs(10)));
}

#[test]
fn unknown_fields_are_named_and_the_object_is_still_good() {
    let document = channel(
        &json!({"numPartitons": 3, "delivery": {"retries": 3, "retry": 1}, "subscribers": [{"uid": "u", "subscriberUri": "http://a", "url": 1}]}),
    );
    let Decoded::Object { object, unknown } = decode(&document) else { panic!("{:?}", errors(&document)) };
    assert_eq!(unknown, ["spec.delivery.retries", "spec.numPartitons", "spec.subscribers[0].url"]);
    assert_eq!(object.identity().to_string(), "KafkaChannel default/orders");
}

#[test]
fn what_kubectl_adds_is_no_unknown_field() {
    let document = json!({
        "apiVersion": "messaging.knative.dev/v1", "kind": "Subscription",
        "metadata": {
            "name": "s", "namespace": "shop", "uid": "u", "generation": 2, "resourceVersion": "77", "selfLink": "x",
            "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a"], "managedFields": [{"manager": "kubectl"}],
            "labels": null, "annotations": {"a": "b"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Broker", "name": "b", "uid": "u", "controller": true, "blockOwnerDeletion": true}]
        },
        "spec": {"channel": {"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel", "name": "orders"},
                 "subscriber": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "x", "namespace": "y"}, "uri": "/p", "audience": "a"},
                 "reply": null, "delivery": {"deadLetterSink": null}},
        "status": {"conditions": []}
    });
    let Decoded::Object { object, unknown } = decode(&document) else { panic!("{:?}", errors(&document)) };
    assert_eq!(unknown, Vec::<String>::new());
    assert_eq!(object.meta().generation, 2);
}

#[test]
fn the_identity_of_a_bad_object_is_told_when_its_name_can_be_read() {
    let Decoded::Bad { identity, .. } = decode(&channel(&json!({"numPartitions": -1}))) else { panic!("good") };
    assert_eq!(identity.unwrap().to_string(), "KafkaChannel default/orders");
    let Decoded::Bad { identity, .. } = decode(&json!({"kind": "KafkaChannel"})) else { panic!("good") };
    assert!(identity.is_none());
    for value in [json!("text"), json!([1]), json!(null)] {
        assert!(matches!(decode(&value), Decoded::Bad { identity: None, .. }), "{value}");
    }
}

#[test]
fn kinds_of_others_are_foreign() {
    let document = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}});
    assert!(matches!(decode(&document), Decoded::Foreign(name) if name == "Deployment (apps/v1)"));
}

#[test]
fn keys_of_config_maps_that_would_leave_their_folder_are_refused() {
    for key in ["../evil", "a/b", "..", ".", "a b"] {
        let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config-features"}, "data": {key: "x"}});
        check_error(&document, "data.", "not a valid key");
    }
}

#[test]
fn a_wrong_secret_does_not_put_its_value_into_a_message() {
    for data in [json!("hunter2"), json!({"password": "hunter2!"}), json!({"password": ["hunter2"]})] {
        let document = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data});
        let found = errors(&document);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!found.concat().contains("hunter2"), "{found:?}");
    }
    let secret = crate::api::core::check_secret(&core::SecretDocument {
        metadata: crate::api::meta::ObjectMeta { name: Some("s".to_owned()), ..Default::default() },
        string_data: [("password".to_owned(), "hunter2".to_owned())].into(),
        ..Default::default()
    })
    .unwrap();
    assert_eq!(secret.text("password"), Some("hunter2"));
    assert!(!format!("{secret:?}").contains("hunter2"));
}

#[test]
fn a_wrong_type_is_told_in_words_for_people() {
    check_error(
        &channel(&json!({"numPartitions": "lots"})),
        "spec.numPartitions",
        "must be a whole number, found the text \"lots\"",
    );
    check_error(&with_delivery(&json!("none")), "spec.delivery", "must be a mapping of fields, found the text");
}
