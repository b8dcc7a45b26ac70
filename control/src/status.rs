//! Conditions of channels and readiness of subscriptions.
//!
//! Pure. Types and reasons are upstream's, word for word where upstream has one: tools and people look for them.
//! `Subscribers` is informational here: a subscriber that is not ready does not make its channel, and with it every
//! other subscription, not ready.
//! Source: control-plane spec 1.2, 1.10 and 2.2; conditions seen in section 10.

mod condition;

use millrace_config::contract::wire;
use serde::Serialize;

pub use self::condition::{Condition, Truth};
use crate::api::subscription::Subscription;
use crate::features::Flags;
use crate::reconcile::Settings;
use crate::reconcile::observed::{GroupKey, Observed, Probe, Progress};
use crate::reconcile::plan::{ChannelConfig, ChannelPlan, Failure, SubscriberPlan};

/// How a channel is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelStatus {
    /// Of the channel.
    pub namespace: String,
    /// Of the channel.
    pub name: String,
    /// Of the channel; made up when the document has none.
    pub uid: String,
    /// Where events are posted.
    pub url: String,
    /// Empty while it is unknown.
    pub topic: String,
    /// The condition `Ready`.
    pub ready: Truth,
    /// Why it is not ready; empty when it is.
    pub reason: String,
    /// The same, for a person.
    pub message: String,
    /// By type, `Ready` among them.
    pub conditions: Vec<Condition>,
}

/// How a subscription is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStatus {
    /// Of the subscription.
    pub namespace: String,
    /// Of the subscription; its uid when only the channel knows it and has no name for it.
    pub name: String,
    /// Of the subscription; made up when the document has none.
    pub uid: String,
    /// Name of its channel, in the same namespace.
    pub channel: String,
    /// Resolved URL; `null` while it is unknown.
    pub subscriber: Option<String>,
    /// Resolved URL; `null` for none.
    pub dead_letter_sink: Option<String>,
    /// Whether everything sent to the channel from now on reaches the subscriber.
    pub ready: Truth,
    /// Why it is not ready; empty when it is.
    pub reason: String,
    /// The same, for a person.
    pub message: String,
}

/// The status of a channel and of its subscriptions. `target` is what the contract should say about the channel;
/// absent: nothing yet.
#[must_use]
pub fn of_channel(
    plan: &ChannelPlan<'_>,
    target: Option<&wire::Resource>,
    settings: &Settings,
    flags: &Flags,
    observed: &Observed,
) -> (ChannelStatus, Vec<SubscriptionStatus>) {
    let meta = &plan.channel.meta;
    let config = plan.config.as_ref().ok();
    // In the order in which one needs the other: the first that is not true explains the channel.
    let gates = [
        config_parsed(plan),
        topic_ready(config, observed),
        contract_updated(plan, target, settings, observed),
        probe_succeeded(&meta.uid, observed),
    ];
    let ready = condition::ready(&gates);
    let subscriptions: Vec<SubscriptionStatus> =
        plan.subscribers.iter().map(|subscriber| of_subscriber(plan, subscriber, &gates, observed)).collect();
    let addressable = match gates.last() {
        Some(probe) if probe.status == Truth::True => Condition::truth("Addressable", Truth::True),
        Some(_) | None => Condition::truth("Addressable", Truth::Unknown),
    };
    let mut conditions: Vec<Condition> = gates.to_vec();
    conditions.extend([ready.clone(), addressable, subscribers(&subscriptions), event_policies(flags)]);
    conditions.sort_by(|a, b| a.kind.cmp(&b.kind));
    let status = ChannelStatus {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        url: settings.addressing.channel_url(&meta.namespace, &meta.name),
        topic: config.map(|config| config.key.topic.clone()).unwrap_or_default(),
        ready: ready.status,
        reason: ready.reason,
        message: ready.message,
        conditions,
    };
    (status, subscriptions)
}

/// The status of a subscription without a channel.
#[must_use]
pub fn of_orphan(subscription: &Subscription, failure: &Failure) -> SubscriptionStatus {
    SubscriptionStatus {
        namespace: subscription.meta.namespace.clone(),
        name: subscription.meta.name.clone(),
        uid: subscription.meta.uid.clone(),
        channel: subscription.channel.name.clone(),
        subscriber: subscription.subscriber.uri.clone(),
        dead_letter_sink: None,
        ready: Truth::False,
        reason: failure.reason.clone(),
        message: failure.message.clone(),
    }
}

fn config_parsed(plan: &ChannelPlan<'_>) -> Condition {
    match &plan.config {
        Ok(_) => Condition::truth("ConfigParsed", Truth::True),
        // The whole text is the reason, as upstream does it.
        Err(error) => Condition::new("ConfigParsed", Truth::False, error, ""),
    }
}

fn topic_ready(config: Option<&ChannelConfig>, observed: &Observed) -> Condition {
    const TYPE: &str = "TopicReady";
    let Some(config) = config else { return Condition::truth(TYPE, Truth::Unknown) };
    let topic = &config.key.topic;
    match observed.topics.get(&config.key) {
        Some(Progress::Done) => Condition::new(TYPE, Truth::True, &format!("Topic {topic} created"), ""),
        Some(Progress::Failed(error)) => {
            Condition::new(TYPE, Truth::False, &format!("Failed to create topic: {topic}"), error)
        }
        None => Condition::new(TYPE, Truth::Unknown, "", "waiting for Kafka"),
    }
}

fn contract_updated(
    plan: &ChannelPlan<'_>,
    target: Option<&wire::Resource>,
    settings: &Settings,
    observed: &Observed,
) -> Condition {
    const TYPE: &str = "ConfigMapUpdated";
    let place = &settings.contract_place;
    if let Some(error) = &observed.write_error {
        return Condition::new(TYPE, Truth::False, &format!("Failed to update {place}"), error);
    }
    // Something older that is still in force is not what the channel asks for now.
    let wanted = plan.config.as_ref().ok().zip(target).filter(|(config, target)| {
        target.bootstrap_servers == config.key.servers && target.topics.first() == Some(&config.key.topic)
    });
    if wanted.is_some() && observed.published.resources.get(&plan.channel.meta.uid) == target {
        Condition::new(TYPE, Truth::True, &format!("{place} updated"), "")
    } else {
        Condition::truth(TYPE, Truth::Unknown)
    }
}

fn probe_succeeded(uid: &str, observed: &Observed) -> Condition {
    const TYPE: &str = "ProbeSucceeded";
    match observed.probes.get(uid) {
        Some(Probe::Ready) => Condition::truth(TYPE, Truth::True),
        Some(Probe::NotReady(code)) => Condition::new(
            TYPE,
            Truth::False,
            "ProbeStatus",
            &format!("status: NotReady (the ingress answered {code})"),
        ),
        Some(Probe::Unreachable(error)) => {
            Condition::new(TYPE, Truth::False, "ProbeStatus", &format!("status: UnknownErr ({error})"))
        }
        None => Condition::new(TYPE, Truth::Unknown, "ProbeStatus", "status: Unknown"),
    }
}

fn event_policies(flags: &Flags) -> Condition {
    const TYPE: &str = "EventPoliciesReady";
    if flags.oidc {
        return Condition::new(TYPE, Truth::True, "DefaultAuthorizationMode", "");
    }
    let message = "Feature \"authentication-oidc\" must be enabled to support Authorization";
    Condition::new(TYPE, Truth::True, "OIDCDisabled", message)
}

fn subscribers(subscriptions: &[SubscriptionStatus]) -> Condition {
    const TYPE: &str = "Subscribers";
    let texts = |truth: Truth| {
        let of = subscriptions.iter().filter(|subscription| subscription.ready == truth);
        of.map(not_ready).collect::<Vec<String>>()
    };
    let (failed, waiting) = (texts(Truth::False), texts(Truth::Unknown));
    if !failed.is_empty() {
        Condition::new(TYPE, Truth::False, "failed to reconcile all subscribers", &failed.join("; "))
    } else if !waiting.is_empty() {
        Condition::new(TYPE, Truth::Unknown, "all subscribers not ready", &waiting.join("; "))
    } else {
        Condition::truth(TYPE, Truth::True)
    }
}

fn not_ready(subscription: &SubscriptionStatus) -> String {
    format!("Subscriber {} not ready: {} {}", subscription.uid, subscription.reason, subscription.message)
}

fn of_subscriber(
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
        ready: verdict.status,
        reason: verdict.reason,
        message: verdict.message,
    }
}

/// The first thing that keeps a subscription from being ready, in the order in which things happen.
fn verdict(plan: &ChannelPlan<'_>, subscriber: &SubscriberPlan, gates: &[Condition], observed: &Observed) -> Condition {
    let egress = match &subscriber.egress {
        Ok(egress) => egress,
        Err(failure) => return Condition::new("Ready", Truth::False, &failure.reason, &failure.message),
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
        Some(Progress::Failed(error)) => {
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
