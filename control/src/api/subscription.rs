//! Subscription, `messaging.knative.dev/v1`.
//!
//! Checks the document by itself; whether its channel exists and its subscriber resolves is decided by `reconcile`.
//! Source: control-plane spec 1.2.

use serde::Deserialize;
use serde_json::Value;

use super::delivery::{Delivery, DeliverySpec, check_delivery};
use super::meta::{
    Destination, FieldError, KReference, Meta, ObjectMeta, check_destination, check_meta, check_reference,
    null_as_default,
};

/// Annotation that chooses the order of deliveries; upstream has it on Triggers, we also take it on Subscriptions.
pub const ORDER_ANNOTATION: &str = "kafka.eventing.knative.dev/delivery.order";

/// A Subscription as it stands in a document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionDocument {
    /// Group and version.
    pub api_version: String,
    /// Always `Subscription`.
    pub kind: String,
    /// Name, namespace, uid, annotations.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: ObjectMeta,
    /// What the user wants.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: SubscriptionSpec,
    /// What some controller found; not read.
    pub status: Option<Value>,
}

/// `spec` of a Subscription.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionSpec {
    /// Required.
    pub channel: Option<KReference>,
    /// Required.
    pub subscriber: Option<Destination>,
    /// Where replies go; absent: they are dropped.
    pub reply: Option<Destination>,
    /// Overrides the channel's, field by field.
    pub delivery: Option<DeliverySpec>,
}

/// A checked subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Name, namespace, uid.
    pub meta: Meta,
    /// The channel it reads from; fixed once the subscription exists.
    pub channel: KReference,
    /// Where events go.
    pub subscriber: Destination,
    /// Where replies go; absent: they are dropped.
    pub reply: Option<Destination>,
    /// Overrides the channel's, field by field.
    pub delivery: Option<Delivery>,
    /// False only when the annotation says `unordered`.
    pub ordered: bool,
    /// What keeps it from working, for a subscription that an API server let through.
    pub fault: Option<String>,
}

/// Checks a document.
///
/// # Errors
/// Every field that is wrong, not just the first.
pub fn check(document: &SubscriptionDocument) -> Result<Subscription, Vec<FieldError>> {
    let (subscription, errors) = read(document);
    if errors.is_empty() { Ok(subscription) } else { Err(errors) }
}

/// Takes a subscription as an API server holds it: what is wrong becomes its fault.
#[must_use]
pub fn accept(document: &SubscriptionDocument) -> Subscription {
    let (mut subscription, errors) = read(document);
    subscription.fault = errors.first().map(|error| format!("{}: {}", error.field, error.message));
    subscription
}

fn read(document: &SubscriptionDocument) -> (Subscription, Vec<FieldError>) {
    let mut errors = Vec::new();
    let meta = check_meta(&document.metadata, &mut errors);
    let spec = &document.spec;
    let ordered = order(&meta, &mut errors);
    let channel = spec.channel.clone().unwrap_or_default();
    if spec.channel.is_none() {
        errors.push(FieldError::new("spec.channel", "required"));
    } else {
        check_reference(&channel, "spec.channel", &mut errors);
    }
    let subscriber = spec.subscriber.clone().unwrap_or_default();
    if spec.subscriber.is_none() {
        errors.push(FieldError::new("spec.subscriber", "required; a subscription with only a reply is refused"));
    } else {
        check_destination(&subscriber, "spec.subscriber", &mut errors);
    }
    // Knative treats an empty reply as none.
    let reply = spec.reply.clone().filter(|reply| *reply != Destination::default());
    if let Some(reply) = &reply {
        check_destination(reply, "spec.reply", &mut errors);
    }
    let delivery = spec.delivery.as_ref().map(|delivery| check_delivery(delivery, "spec.delivery", &mut errors));
    (Subscription { meta, channel, subscriber, reply, delivery, ordered, fault: None }, errors)
}

/// Ordered unless the annotation says otherwise: events of one partition then go out one at a time.
fn order(meta: &Meta, errors: &mut Vec<FieldError>) -> bool {
    let Some(order) = meta.annotations.get(ORDER_ANNOTATION) else { return true };
    let ordered = order.eq_ignore_ascii_case("ordered");
    if !ordered && !order.eq_ignore_ascii_case("unordered") {
        let message = format!("{ORDER_ANNOTATION} must be ordered or unordered, found {order:?}");
        errors.push(FieldError::new(format!("metadata.annotations.{ORDER_ANNOTATION}"), message));
    }
    ordered
}
