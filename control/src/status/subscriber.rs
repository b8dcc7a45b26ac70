//! Readiness of a subscription.
//!
//! Pure. Source: control-plane spec 1.2 and 2.6.

use super::{Condition, Physical, SubscriptionStatus, Truth};
use crate::reconcile::observed::{GroupKey, Observed, Progress};
use crate::reconcile::plan::{ChannelPlan, SubscriberPlan};

/// The status of a subscription of a channel whose own conditions are `gates`.
pub(super) fn of_subscriber(
    plan: &ChannelPlan<'_>,
    subscriber: &SubscriberPlan,
    gates: &[Condition],
    observed: &Observed,
) -> SubscriptionStatus {
    let meta = &plan.channel.meta;
    let verdict = verdict(plan, subscriber, gates, observed);
    SubscriptionStatus {
        namespace: meta.namespace.clone(),
        name: subscriber.name.clone(),
        uid: subscriber.uid.clone(),
        channel: meta.name.clone(),
        subscriber: subscriber.subscriber.clone(),
        dead_letter_sink: subscriber.dead_letter_sink.clone(),
        generation: subscriber.generation,
        managed: subscriber.managed,
        account: subscriber.account.clone(),
        physical: subscriber.egress.as_ref().ok().map(Physical::of).unwrap_or_default(),
        ready: verdict.status,
        reason: verdict.reason,
        message: verdict.message,
    }
}

/// The first thing that keeps a subscription from being ready, in the order in which things happen.
fn verdict(plan: &ChannelPlan<'_>, subscriber: &SubscriberPlan, gates: &[Condition], observed: &Observed) -> Condition {
    let egress = match &subscriber.egress {
        Ok(egress) => egress,
        Err(failure) => {
            let truth = if subscriber.awaits_account(failure) { Truth::Unknown } else { Truth::False };
            return Condition::new("Ready", truth, &failure.reason, &failure.message);
        }
    };
    let blocking = |kind: &str| {
        gates.iter().find(|gate| gate.kind == kind && gate.status != Truth::True).map(|gate| {
            let message = format!("{} {}", gate.reason, gate.message);
            Condition::new(
                "Ready",
                gate.status,
                &gate.kind,
                &format!("channel {}: {}", plan.channel.meta.name, message.trim()),
            )
        })
    };
    if let Some(condition) = blocking("ConfigParsed").or_else(|| blocking("TopicReady")) {
        return condition;
    }
    let topic = plan.config.as_ref().ok().map(|config| config.key.clone());
    let offsets =
        topic.and_then(|topic| observed.groups.get(&GroupKey { topic, group: egress.consumer_group.clone() }));
    match offsets {
        Some(Progress::Done) => {}
        Some(Progress::Failed(error) | Progress::NotAsked(error)) => {
            return Condition::new("Ready", Truth::False, "InitializeOffset", error);
        }
        None => {
            let message = "waiting for the first offsets to be committed";
            return Condition::new("Ready", Truth::Unknown, "InitializeOffset", message);
        }
    }
    let published = observed.published.resources.get(&plan.channel.meta.uid);
    let in_force = published.is_some_and(|resource| resource.egresses.contains(egress));
    if !in_force {
        return blocking("ConfigMapUpdated").unwrap_or_else(|| {
            Condition::new("Ready", Truth::Unknown, "ConfigMapUpdated", "waiting for the contract")
        });
    }
    blocking("ProbeSucceeded").unwrap_or_else(|| Condition::truth("Ready", Truth::True))
}
