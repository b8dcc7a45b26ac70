//! Subscriptions that belong to no channel.

use super::failure::Failure;
use super::plan::Context;
use crate::api::{Identity, Problem};
use crate::index::{Index, is_kafka_channel};
use crate::status::{self, SubscriptionStatus};

/// Reason of a Subscription whose channel is not there.
pub const NO_CHANNEL: &str = "ChannelReferenceFailed";

/// Subscriptions whose channel is not there.
pub(super) fn orphans(context: &Context<'_>) -> impl Iterator<Item = SubscriptionStatus> {
    context.index.subscriptions.values().filter_map(|entry| {
        let failure = channel_failure(context.index, &entry.object)?;
        Some(status::of_orphan(&entry.object, context.account(&entry.object.meta), &failure))
    })
}

/// What a person should look at.
pub(super) fn orphan_problems(index: &Index) -> impl Iterator<Item = Problem> {
    index.subscriptions.values().filter_map(|entry| {
        let failure = channel_failure(index, &entry.object)?;
        let meta = &entry.object.meta;
        let identity = Identity {
            kind: crate::api::Kind::Subscription,
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        };
        Some(Problem::with_field(&entry.source, &identity, "spec.channel", failure.message))
    })
}

/// Why a subscription belongs to no channel; `None` when it belongs to one.
fn channel_failure(index: &Index, subscription: &crate::api::subscription::Subscription) -> Option<Failure> {
    let reference = &subscription.channel;
    let namespace = &subscription.meta.namespace;
    let message = if !is_kafka_channel(&reference.kind, reference.api_group()) {
        format!("{} ({}) is not a KafkaChannel", reference.kind, reference.api_version)
    } else if reference.namespace.as_deref().is_some_and(|other| !other.is_empty() && other != namespace) {
        "a channel of another namespace cannot be subscribed to".to_owned()
    } else if index.channel(namespace, &reference.name).is_none() {
        format!("KafkaChannel {namespace}/{} does not exist", reference.name)
    } else {
        return None;
    };
    Some(Failure { reason: NO_CHANNEL.to_owned(), message })
}
