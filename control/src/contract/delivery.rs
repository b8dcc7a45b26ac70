//! Delivery settings of an egress: the subscription's over the channel's, field by field.
//!
//! Pure. Source: control-plane spec 2.6 and 2.7.

use std::time::Duration;

use millrace_config::contract::wire;

use crate::addressable::Address;
use crate::api::delivery::{BackoffPolicy, Delivery};

/// Pause before the first retry when a *subscription* (or its channel, on its behalf) sets `retry` without
/// `backoffDelay`. Upstream's setting for channels says 1000 ms, but its dispatcher obeys the 200 ms that its consumer
/// controller writes. We keep what subscribers observe today; the resource's own block, which is only informational
/// as long as each egress has one, keeps the 1000 ms of the setting.
pub const SUBSCRIPTION_BACKOFF: Duration = Duration::from_millis(200);

/// Takes each field from the subscription and, where it has none, from the channel.
#[must_use]
pub fn merge(subscription: Option<&Delivery>, channel: Option<&Delivery>) -> Delivery {
    let (own, base) = match (subscription, channel) {
        (Some(own), Some(base)) => (own, base),
        (Some(only), None) | (None, Some(only)) => return only.clone(),
        (None, None) => return Delivery::default(),
    };
    Delivery {
        dead_letter_sink: own.dead_letter_sink.clone().or_else(|| base.dead_letter_sink.clone()),
        retry: own.retry.or(base.retry),
        timeout: own.timeout.or(base.timeout),
        backoff_policy: own.backoff_policy.or(base.backoff_policy),
        backoff_delay: own.backoff_delay.or(base.backoff_delay),
        retry_after_max: own.retry_after_max.or(base.retry_after_max),
    }
}

/// The contract's block, or none when neither a dead letter sink nor retries nor a timeout is set: backoff alone
/// means nothing. Without `retry` the backoff fields are dropped.
#[must_use]
pub fn egress_config(
    delivery: &Delivery,
    dead_letter: Option<&Address>,
    default_backoff: Duration,
) -> Option<wire::EgressConfig> {
    if dead_letter.is_none() && delivery.retry.is_none() && delivery.timeout.is_none() {
        return None;
    }
    let mut config = wire::EgressConfig {
        retry: delivery.retry.unwrap_or_default(),
        timeout: delivery.timeout.map(millis).unwrap_or_default(),
        ..wire::EgressConfig::default()
    };
    if let Some(address) = dead_letter {
        config.dead_letter = address.url.clone();
        config.dead_letter_ca_certs = address.ca_certs.clone();
        config.dead_letter_audience = address.audience.clone();
    }
    if delivery.retry.is_some() {
        config.backoff_delay = millis(delivery.backoff_delay.unwrap_or(default_backoff));
        config.backoff_policy = match delivery.backoff_policy {
            Some(BackoffPolicy::Linear) => wire::BackoffPolicy::Linear,
            Some(BackoffPolicy::Exponential) | None => wire::BackoffPolicy::Exponential,
        };
    }
    Some(config)
}

fn millis(duration: Duration) -> u64 {
    // Durations from documents fit by construction.
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
