//! Conditions of channels and readiness of subscriptions.
//!
//! Pure. Types and reasons are upstream's, word for word where upstream has one: tools and people look for them.
//! `Subscribers` is informational here: a subscriber that is not ready does not make its channel, and with it every
//! other subscription, not ready.
//! Source: control-plane spec 1.2, 1.10 and 2.2; conditions seen in section 10.

mod condition;
mod subscriber;

use millrace_config::contract::wire;
use serde::Serialize;

pub use self::condition::{Condition, Truth, ready};
use self::subscriber::of_subscriber;
use crate::accounts::Account;
use crate::addressable::Address;
use crate::addresses::ChannelAddress;
use crate::api::subscription::Subscription;
use crate::features::Flags;
use crate::reconcile::failure::Failure;
use crate::reconcile::observed::{Observed, Probe, Progress};
use crate::reconcile::plan::{ChannelConfig, ChannelPlan, PolicyState, is_managed};
use crate::reconcile::settings::Settings;

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
    /// In a cluster: where it is reached; empty while it is unknown.
    #[serde(skip)]
    pub addresses: Vec<ChannelAddress>,
    /// In a cluster: the policies that apply and are resolved.
    #[serde(skip)]
    pub policies: Vec<String>,
    /// In a cluster: the channel's own dead letter sink, resolved.
    #[serde(skip)]
    pub delivery: Option<wire::EgressConfig>,
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
    /// Generation of the Subscription; 0 when unknown.
    #[serde(skip)]
    pub generation: i64,
    /// Knative's controller looks after the Subscription and its status.
    #[serde(skip)]
    pub managed: bool,
    /// What the destinations resolved to.
    #[serde(skip)]
    pub physical: Physical,
    /// Whose tokens go with deliveries.
    #[serde(skip)]
    pub account: Account,
}

/// Resolved destinations of a subscription, as its status tells them; all empty while they are unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Physical {
    /// Where events go.
    pub subscriber: Address,
    /// Where replies go.
    pub reply: Address,
    /// Where events go whose delivery failed for good.
    pub dead_letter_sink: Address,
}

impl Physical {
    fn of(egress: &wire::Egress) -> Self {
        let address = |url: &str, ca_certs: &str, audience: &str| Address {
            url: url.to_owned(),
            ca_certs: ca_certs.to_owned(),
            audience: audience.to_owned(),
        };
        let config = egress.egress_config.clone().unwrap_or_default();
        let reply = egress.reply_url.as_deref().unwrap_or_default();
        Self {
            subscriber: address(&egress.destination, &egress.destination_ca_certs, &egress.destination_audience),
            reply: address(reply, &egress.reply_url_ca_certs, &egress.reply_url_audience),
            dead_letter_sink: address(&config.dead_letter, &config.dead_letter_ca_certs, &config.dead_letter_audience),
        }
    }
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
    let subscriptions: Vec<SubscriptionStatus> =
        plan.subscribers.iter().map(|subscriber| of_subscriber(plan, subscriber, &gates, observed)).collect();
    let subscribers = subscribers(&subscriptions);
    // As upstream does it; whoever waits for a channel in a cluster expects its subscriptions to work.
    let counting = settings.cluster.as_ref().map(|_| subscribers.clone());
    let ready = condition::ready(gates.iter().chain(&counting));
    let addressable = match gates.last() {
        Some(probe) if probe.status == Truth::True => Condition::truth("Addressable", Truth::True),
        Some(_) | None => Condition::truth("Addressable", Truth::Unknown),
    };
    let mut conditions: Vec<Condition> = gates.to_vec();
    conditions.extend([ready.clone(), addressable, subscribers, event_policies(flags, &plan.policies)]);
    // Ours; the peer's alone as long as there is nothing to say.
    conditions.extend(observed.almost_full.then(|| condition::almost_full(&settings.contract_place)));
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
        addresses: plan.addresses.clone(),
        policies: plan.policies.iter().filter(|policy| policy.ready && flags.oidc).map(|p| p.name.clone()).collect(),
        delivery: config.and_then(|config| config.resource.egress_config.clone()),
    };
    (status, subscriptions)
}

/// The status of a subscription without a channel.
#[must_use]
pub fn of_orphan(subscription: &Subscription, account: Account, failure: &Failure) -> SubscriptionStatus {
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
        generation: subscription.meta.generation,
        managed: is_managed(subscription),
        physical: Physical::default(),
        account,
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
        Some(Progress::NotAsked(error)) => {
            Condition::new(TYPE, Truth::False, "Failed to obtain Kafka cluster admin", error)
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
    if let Some(failure) = &observed.write_error {
        return Condition::new(TYPE, Truth::False, &failure.reason, &failure.message);
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

fn event_policies(flags: &Flags, policies: &[PolicyState]) -> Condition {
    const TYPE: &str = "EventPoliciesReady";
    if !flags.oidc {
        let message = "Feature \"authentication-oidc\" must be enabled to support Authorization";
        return Condition::new(TYPE, Truth::True, "OIDCDisabled", message);
    }
    let unready: Vec<&str> =
        policies.iter().filter(|policy| !policy.ready).map(|policy| policy.name.as_str()).collect();
    if !unready.is_empty() {
        let message = format!("event policies {} are not ready", unready.join(", "));
        return Condition::new(TYPE, Truth::False, "EventPoliciesNotReady", &message);
    }
    if policies.is_empty() {
        let message = format!("Default authz mode is {:?}", flags.authorization.name());
        return Condition::new(TYPE, Truth::True, "DefaultAuthorizationMode", &message);
    }
    Condition::truth(TYPE, Truth::True)
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
        // Which of them and why is in `status.subscribers`.
        Condition::new(TYPE, Truth::Unknown, "all subscribers not ready", "failed to reconcile consumer group")
    } else {
        Condition::truth(TYPE, Truth::True)
    }
}

fn not_ready(subscription: &SubscriptionStatus) -> String {
    format!("Subscriber {} not ready: {} {}", subscription.uid, subscription.reason, subscription.message)
}
