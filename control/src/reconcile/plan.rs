//! What each channel and subscription should become, before asking whether Kafka is ready for it.
//!
//! Pure. A subscription that cannot be resolved hurts no other and not its channel.
//! Source: control-plane spec 1.2, 2.3 and 2.6.

mod asked;
mod config;

use millrace_config::contract::wire;

use self::asked::Asked;
pub use super::failure::Failure;
use super::observed::{Observed, TopicKey};
use super::requests::TopicRequest;
use super::settings::Settings;
use crate::accounts::{self, Account};
use crate::addressable::{Address, resolve};
use crate::addresses::ChannelAddress;
use crate::api::channel::Channel;
use crate::api::delivery::Delivery;
use crate::api::meta::{Destination, Meta};
use crate::api::subscription::Subscription;
use crate::api::{Identity, Kind, Problem, Source};
use crate::contract::delivery::{SUBSCRIPTION_BACKOFF, egress_config, merge};
use crate::contract::{ResolvedSubscription, egress, policies};
use crate::features::Flags;
use crate::index::{Entry, Index};
use crate::kafka_access::{AccessError, KafkaAccess};

/// A channel whose configuration is complete.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelConfig {
    /// Its topic, on its cluster.
    pub key: TopicKey,
    /// Without egresses.
    pub resource: wire::Resource,
    partitions: i32,
    replication_factor: i32,
    retention: std::time::Duration,
}

impl ChannelConfig {
    /// What Kafka is asked for.
    #[must_use]
    pub fn request(&self) -> TopicRequest {
        TopicRequest {
            key: self.key.clone(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            retention: self.retention,
        }
    }
}

/// A subscription of a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriberPlan {
    /// Uid of the Subscription.
    pub uid: String,
    /// Its name; the uid when there is none.
    pub name: String,
    /// As far as it was found out.
    pub subscriber: Option<String>,
    /// As far as it was found out.
    pub dead_letter_sink: Option<String>,
    /// Of the Subscription; 0 when unknown.
    pub generation: i64,
    /// Knative's controller looks after the Subscription.
    pub managed: bool,
    /// Whose tokens go with deliveries.
    pub account: Account,
    /// What the contract should say, or why it cannot.
    pub egress: Result<wire::Egress, Failure>,
    /// Where to report: the place, the object and the field.
    pub(super) report: (Source, Identity, String),
}

impl SubscriberPlan {
    /// Whether this is why it is not in the contract: its account is being made.
    #[must_use]
    pub fn awaits_account(&self, failure: &Failure) -> bool {
        self.account.is_awaited() && failure.reason == accounts::CONDITION
    }
}

/// An EventPolicy that applies to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyState {
    /// Its name.
    pub name: String,
    /// Whether Knative has resolved it.
    pub ready: bool,
}

/// A channel with its subscriptions.
#[derive(Debug, Clone)]
pub struct ChannelPlan<'a> {
    /// The object.
    pub channel: &'a Channel,
    /// Complete, or the reason of `ConfigParsed`.
    pub config: Result<ChannelConfig, String>,
    /// In the order of the contract.
    pub subscribers: Vec<SubscriberPlan>,
    /// Whether a topic may be created: only when it will be deleted with the channel, too.
    pub may_create: bool,
    /// Where the channel is reached in a cluster; empty outside.
    pub addresses: Vec<ChannelAddress>,
    /// What the contract says about the channel's policies, for its status.
    pub policies: Vec<PolicyState>,
    source: &'a Source,
}

impl ChannelPlan<'_> {
    /// What a person should look at.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        let meta = &self.channel.meta;
        let identity = channel_identity(meta);
        let own = self.config.as_ref().err().map(|error| Problem::with_field(self.source, &identity, "", error));
        let of_subscribers = self.subscribers.iter().filter_map(|subscriber| {
            // What only takes a moment is nobody's problem.
            let failure = subscriber.egress.as_ref().err().filter(|failure| !subscriber.awaits_account(failure))?;
            let (source, identity, field) = &subscriber.report;
            Some(Problem::with_field(source, identity, field, &failure.message))
        });
        own.into_iter().chain(of_subscribers)
    }
}

/// The finalizer of channels; that of every controller of KafkaChannels, so that they can take over from one another.
pub const FINALIZER: &str = "kafkachannels.messaging.knative.dev";
/// What Knative's own controller puts on Subscriptions that it looks after.
const KNATIVES_FINALIZER: &str = "subscriptions.messaging.knative.dev";

/// Whether Knative's own controller looks after a subscription.
#[must_use]
pub fn is_managed(subscription: &Subscription) -> bool {
    subscription.meta.finalizers.iter().any(|name| name == KNATIVES_FINALIZER)
}

fn channel_identity(meta: &Meta) -> Identity {
    Identity { kind: Kind::KafkaChannel, namespace: meta.namespace.clone(), name: meta.name.clone() }
}

/// Everything that plans are made from.
#[derive(Debug)]
pub struct Context<'a> {
    /// All objects.
    pub index: &'a Index,
    /// The process's settings.
    pub settings: &'a Settings,
    /// Feature flags.
    pub flags: &'a Flags,
    /// Which Kafka, or why that is unknown.
    pub access: Result<&'a KafkaAccess, &'a AccessError>,
    /// Facts so far.
    pub observed: &'a Observed,
}

impl<'a> Context<'a> {
    /// Plans a channel and its subscriptions.
    #[must_use]
    pub fn channel(&self, entry: &'a Entry<Channel>) -> ChannelPlan<'a> {
        let channel = &entry.object;
        let own = self.own(channel);
        // A Subscription that Knative's controller also wrote into the channel counts once; its own document is newer.
        let managed = channel
            .subscribers
            .iter()
            .enumerate()
            .filter(|(_, subscriber)| own.iter().all(|entry| entry.object.meta.uid != subscriber.uid))
            .map(|(index, subscriber)| Self::managed(entry, index, subscriber));
        let written = own.iter().map(|entry| self.written(entry));
        let subscribers = managed.chain(written).map(|wanted| self.subscriber(wanted, channel)).collect();
        let (addresses, tls_fault) = match self.addresses(channel) {
            Ok(addresses) => (addresses, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        let config = self.config(channel);
        let recorded = channel.recorded_topic.as_deref();
        let may_create = self.settings.cluster.is_none()
            || (channel.meta.finalizers.iter().any(|name| name == FINALIZER)
                && config.as_ref().is_ok_and(|config| recorded == Some(config.key.topic.as_str())));
        ChannelPlan {
            channel,
            config: tls_fault.map_or(config, Err),
            subscribers,
            may_create,
            addresses,
            policies: policies::applicable(&self.observed.cluster.policies, &channel.meta)
                .into_iter()
                .map(|policy| PolicyState { name: policy.metadata.name.clone(), ready: policy.is_ready() })
                .collect(),
            source: &entry.source,
        }
    }

    /// The account of a Subscription that is ours to look after.
    pub(in crate::reconcile) fn account(&self, subscription: &Meta) -> Account {
        let facts = &self.observed.cluster;
        let wanted = self.settings.cluster.is_some() && self.flags.oidc;
        Account::of(subscription, wanted, &facts.accounts, &facts.account_failures)
    }

    fn resolve(&self, destination: &Destination, namespace: &str) -> Result<Address, String> {
        resolve(destination, namespace, self.index, &self.settings.addressing).map_err(|error| error.to_string())
    }

    fn subscriber(&self, wanted: Asked<'_>, channel: &Channel) -> SubscriberPlan {
        let delivery = merge(wanted.delivery, channel.delivery.as_ref());
        let dead_letter = delivery.dead_letter_sink.as_ref().map(|sink| self.resolve(sink, &channel.meta.namespace));
        SubscriberPlan {
            uid: wanted.uid.to_owned(),
            name: if wanted.name.is_empty() { wanted.uid.to_owned() } else { wanted.name.to_owned() },
            subscriber: wanted.subscriber.as_ref().ok().map(|address| address.url.clone()),
            dead_letter_sink: dead_letter.as_ref().and_then(|sink| Some(sink.as_ref().ok()?.url.clone())),
            generation: wanted.generation,
            managed: wanted.managed,
            account: wanted.account.clone(),
            report: wanted.report.clone(),
            egress: self.egress(wanted, &delivery, dead_letter, channel),
        }
    }

    fn egress(
        &self,
        wanted: Asked<'_>,
        delivery: &Delivery,
        dead_letter: Option<Result<Address, String>>,
        channel: &Channel,
    ) -> Result<wire::Egress, Failure> {
        let failed = |reason: &str, what: &str| {
            let reason = reason.to_owned();
            let what = what.to_owned();
            move |error: String| Failure { reason, message: format!("{what}: {error}") }
        };
        if let Some(fault) = wanted.fault {
            return Err(Failure { reason: "InvalidSubscription".to_owned(), message: fault.to_owned() });
        }
        let subscriber =
            wanted.subscriber.map_err(failed("SubscriberResolveFailed", "failed to resolve the subscriber"))?;
        let reply = wanted.reply.transpose().map_err(failed("ReplyResolveFailed", "failed to resolve the reply"))?;
        let dead_letter = dead_letter
            .transpose()
            .map_err(failed("DeadLetterSinkResolveFailed", "failed to resolve the dead letter sink"))?;
        self.allowed(delivery).map_err(failed("SubscriptionNotMarkedReadyByChannel", "delivery is not allowed"))?;
        let service_account = wanted.account.for_deliveries()?.to_owned();
        let resolved = ResolvedSubscription {
            uid: wanted.uid.to_owned(),
            name: wanted.name.to_owned(),
            subscriber,
            reply,
            ordered: wanted.ordered,
            egress_config: egress_config(delivery, dead_letter.as_ref(), SUBSCRIPTION_BACKOFF),
            service_account,
        };
        Ok(egress(resolved, &channel.meta, self.flags))
    }

    /// Fields behind feature flags.
    fn allowed(&self, delivery: &Delivery) -> Result<(), String> {
        if delivery.timeout.is_some() && !self.flags.delivery_timeout {
            return Err("timeout is set, but the feature delivery-timeout is disabled".to_owned());
        }
        if delivery.retry_after_max.is_some() && !self.flags.delivery_retry_after {
            return Err("retryAfterMax is set, but the feature delivery-retryafter is not enabled".to_owned());
        }
        Ok(())
    }
}
