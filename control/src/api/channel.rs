//! KafkaChannel, `messaging.knative.dev/v1beta1` and `v1`.
//!
//! The two versions have the same fields. Which changes of an existing channel are allowed is decided by the shells.
//! Source: control-plane spec 1.1.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::delivery::{Delivery, DeliverySpec, check_delivery};
use super::duration;
use super::meta::{FieldError, Meta, ObjectMeta, check_ca_certs, check_meta, null_as_default};
use crate::template::is_topic_name;

/// Retention of a topic whose channel says nothing: seven days (`PT168H`).
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(168);

/// More partitions than that no Kafka client asks for. Source: librdkafka's checks of a new topic.
pub const MOST_PARTITIONS: i32 = 100_000;
/// The same of the replication factor.
pub const MOST_REPLICAS: i32 = 10_000;

/// A KafkaChannel as it stands in a document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaChannel {
    /// Group and version.
    pub api_version: String,
    /// Always `KafkaChannel`.
    pub kind: String,
    /// Name, namespace, uid.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: ObjectMeta,
    /// What the user wants.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: KafkaChannelSpec,
    /// What some controller found; only the recorded topic is read.
    pub status: Option<Value>,
}

/// `spec` of a KafkaChannel.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaChannelSpec {
    /// Absent or 0: 1.
    pub num_partitions: Option<i64>,
    /// Absent or 0: 1.
    pub replication_factor: Option<i64>,
    /// ISO-8601; absent: `PT168H`.
    pub retention_duration: Option<String>,
    /// Falls through to subscriptions, field by field.
    pub delivery: Option<DeliverySpec>,
    /// Written by Knative's own Subscription controller.
    #[serde(deserialize_with = "null_as_default")]
    pub subscribers: Vec<SubscriberSpec>,
}

/// One resolved subscriber in a channel's `spec.subscribers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriberSpec {
    /// Uid of the Subscription.
    pub uid: Option<String>,
    /// Name of the Subscription.
    pub name: Option<String>,
    /// Generation of the Subscription.
    pub generation: Option<i64>,
    /// Where events go.
    pub subscriber_uri: Option<String>,
    /// PEM.
    #[serde(rename = "subscriberCACerts")]
    pub subscriber_ca_certs: Option<String>,
    /// OIDC audience.
    pub subscriber_audience: Option<String>,
    /// Where replies go.
    pub reply_uri: Option<String>,
    /// PEM.
    #[serde(rename = "replyCACerts")]
    pub reply_ca_certs: Option<String>,
    /// OIDC audience.
    pub reply_audience: Option<String>,
    /// The subscription's own delivery.
    pub delivery: Option<DeliverySpec>,
    /// Identity that the dispatcher assumes.
    pub auth: Option<SubscriberAuth>,
}

/// `auth` of a subscriber.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriberAuth {
    /// Service account whose token goes to the subscriber.
    pub service_account_name: Option<String>,
    /// Accepted, unused.
    pub service_account_names: Option<Value>,
}

/// The part of a channel that is fixed once the channel exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// At least 1.
    pub partitions: i32,
    /// At least 1.
    pub replication_factor: i32,
    /// `None`: the default, which a later edit may still replace.
    pub retention: Option<Duration>,
}

/// A checked channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Name, namespace, uid.
    pub meta: Meta,
    /// Size and retention of the topic.
    pub topic: TopicSpec,
    /// Topic that a controller chose for this channel before; it stays even when the template changes.
    pub recorded_topic: Option<String>,
    /// Absent: no retries, no dead letter sink.
    pub delivery: Option<Delivery>,
    /// Subscribers that Knative's controller manages, in its order.
    pub subscribers: Vec<Subscriber>,
    /// What keeps the channel itself from working, for a channel that an API server let through.
    pub fault: Option<String>,
}

/// A checked entry of `spec.subscribers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// Uid of the Subscription.
    pub uid: String,
    /// Its name; empty when the entry has none.
    pub name: String,
    /// Its generation.
    pub generation: i64,
    /// URI, CA certificates and audience of the subscriber; absent for a subscription that only has a reply.
    pub subscriber: Option<Endpoint>,
    /// The same of the reply.
    pub reply: Option<Endpoint>,
    /// The subscription's own delivery.
    pub delivery: Option<Delivery>,
    /// Service account whose token goes to the subscriber.
    pub service_account: Option<String>,
    /// What keeps this subscriber from working, for a channel that an API server let through.
    pub fault: Option<String>,
}

/// A resolved URI with what is needed to trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As written.
    pub uri: String,
    /// PEM.
    pub ca_certs: Option<String>,
    /// OIDC audience.
    pub audience: Option<String>,
}

/// Checks a document.
///
/// # Errors
/// Every field that is wrong, not just the first.
pub fn check(document: &KafkaChannel) -> Result<Channel, Vec<FieldError>> {
    let (channel, errors) = read(document);
    if errors.is_empty() { Ok(channel) } else { Err(errors) }
}

/// Takes a channel as an API server holds it: it exists, whatever is wrong with it, so wrong fields become the faults
/// of the channel or of the subscribers that have them, and hurt nobody else.
#[must_use]
pub fn accept(document: &KafkaChannel) -> Channel {
    let (mut channel, errors) = read(document);
    for error in errors {
        let place = error.field.strip_prefix("spec.subscribers[").and_then(|rest| rest.split(']').next()?.parse().ok());
        let subscriber = place.and_then(|index: usize| channel.subscribers.get_mut(index));
        let fault = subscriber.map_or(&mut channel.fault, |subscriber| &mut subscriber.fault);
        // The first one is enough to act on.
        fault.get_or_insert_with(|| format!("{}: {}", error.field, error.message));
    }
    channel
}

fn read(document: &KafkaChannel) -> (Channel, Vec<FieldError>) {
    let mut errors = Vec::new();
    let meta = check_meta(&document.metadata, &mut errors);
    if let Some(scope) = meta.annotations.get("eventing.knative.dev/scope")
        && scope != "cluster"
        && scope != "namespace"
    {
        let message = format!("must be cluster or namespace, found {scope:?}");
        errors.push(FieldError::new("metadata.annotations", format!("eventing.knative.dev/scope {message}")));
    }
    let spec = &document.spec;
    let topic = TopicSpec {
        partitions: count(spec.num_partitions, MOST_PARTITIONS, "spec.numPartitions", &mut errors),
        replication_factor: count(spec.replication_factor, MOST_REPLICAS, "spec.replicationFactor", &mut errors),
        retention: retention(spec.retention_duration.as_deref(), &mut errors),
    };
    let delivery = spec.delivery.as_ref().map(|delivery| check_delivery(delivery, "spec.delivery", &mut errors));
    let recorded =
        document.status.as_ref().and_then(|status| status.get("annotations")?.get("default.topic")?.as_str());
    let recorded_topic = recorded.filter(|topic| is_topic_name(topic)).map(str::to_owned);
    let subscribers = spec
        .subscribers
        .iter()
        .enumerate()
        .map(|(index, subscriber)| check_subscriber(subscriber, &format!("spec.subscribers[{index}]"), &mut errors))
        .collect();
    (Channel { meta, topic, recorded_topic, delivery, subscribers, fault: None }, errors)
}

/// The webhook fills in 1 for absent and for 0 before it validates.
fn count(value: Option<i64>, max: i32, field: &str, errors: &mut Vec<FieldError>) -> i32 {
    match value {
        None | Some(0) => 1,
        Some(value) => match i32::try_from(value) {
            Ok(value) if value > 0 && value <= max => value,
            Ok(_) | Err(_) => {
                errors.push(FieldError::new(field, format!("must be between 1 and {max}, found {value}")));
                1
            }
        },
    }
}

fn retention(text: Option<&str>, errors: &mut Vec<FieldError>) -> Option<Duration> {
    let text = text.filter(|text| !text.is_empty())?;
    match duration::parse(text) {
        Ok(signed) if !signed.negative => Some(signed.length),
        Ok(_) => {
            errors.push(FieldError::new("spec.retentionDuration", "must not be negative"));
            None
        }
        Err(error) => {
            errors.push(FieldError::new("spec.retentionDuration", error.to_string()));
            None
        }
    }
}

fn check_subscriber(spec: &SubscriberSpec, path: &str, errors: &mut Vec<FieldError>) -> Subscriber {
    let uid = spec.uid.clone().unwrap_or_default();
    if uid.is_empty() {
        errors.push(FieldError::new(format!("{path}.uid"), "required"));
    }
    let endpoint = |uri: &Option<String>, ca_certs: &Option<String>, audience: &Option<String>| {
        uri.as_ref().filter(|uri| !uri.is_empty()).map(|uri| Endpoint {
            uri: uri.clone(),
            ca_certs: ca_certs.clone(),
            audience: audience.clone(),
        })
    };
    check_ca_certs(spec.subscriber_ca_certs.as_deref(), &format!("{path}.subscriberCACerts"), errors);
    check_ca_certs(spec.reply_ca_certs.as_deref(), &format!("{path}.replyCACerts"), errors);
    let subscriber = endpoint(&spec.subscriber_uri, &spec.subscriber_ca_certs, &spec.subscriber_audience);
    let reply = endpoint(&spec.reply_uri, &spec.reply_ca_certs, &spec.reply_audience);
    if subscriber.is_none() && reply.is_none() {
        errors.push(FieldError::new(path, "needs a subscriberUri or a replyUri"));
    }
    Subscriber {
        uid,
        name: spec.name.clone().unwrap_or_default(),
        generation: spec.generation.unwrap_or_default(),
        subscriber,
        reply,
        delivery: spec.delivery.as_ref().map(|delivery| check_delivery(delivery, &format!("{path}.delivery"), errors)),
        service_account: spec.auth.as_ref().and_then(|auth| auth.service_account_name.clone()),
        fault: None,
    }
}
