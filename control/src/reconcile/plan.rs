//! What each channel and subscription should become, before asking whether Kafka is ready for it.
//!
//! Pure. A subscription that cannot be resolved hurts no other and not its channel.
//! Source: control-plane spec 1.2, 2.3 and 2.6.

use millrace_config::contract::wire;

use super::observed::{Observed, TopicKey};
use super::{Settings, TopicRequest};
use crate::addressable::{Address, Addressing, DEFAULT_DOMAIN, is_absolute, resolve};
use crate::api::channel::{Channel, DEFAULT_RETENTION, Endpoint, Subscriber};
use crate::api::delivery::Delivery;
use crate::api::meta::{Destination, Meta};
use crate::api::subscription::Subscription;
use crate::api::{Identity, Kind, Problem, Source};
use crate::contract::delivery::{SUBSCRIPTION_BACKOFF, egress_config, merge};
use crate::contract::{ResolvedSubscription, egress, resource};
use crate::features::Flags;
use crate::index::{Entry, Index};
use crate::kafka_access::{AccessError, KafkaAccess};

/// Why something is not ready, in the words of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Short, as upstream words it.
    pub reason: String,
    /// For a person.
    pub message: String,
}

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
    /// What the contract should say, or why it cannot.
    pub egress: Result<wire::Egress, Failure>,
    /// Where to report: the place, the object and the field.
    pub(super) report: (Source, Identity, String),
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
    source: &'a Source,
}

impl ChannelPlan<'_> {
    /// What a person should look at.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        let meta = &self.channel.meta;
        let identity = channel_identity(meta);
        let own = self.config.as_ref().err().map(|error| Problem::with_field(self.source, &identity, "", error));
        let of_subscribers = self.subscribers.iter().filter_map(|subscriber| {
            let failure = subscriber.egress.as_ref().err()?;
            let (source, identity, field) = &subscriber.report;
            Some(Problem::with_field(source, identity, field, &failure.message))
        });
        own.into_iter().chain(of_subscribers)
    }
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

/// What a subscription asks for, wherever it was written down.
struct Wanted<'a> {
    uid: &'a str,
    name: &'a str,
    subscriber: Result<Address, String>,
    reply: Option<Result<Address, String>>,
    delivery: Option<&'a Delivery>,
    ordered: bool,
    service_account: &'a str,
    report: (Source, Identity, String),
}

impl<'a> Context<'a> {
    /// Plans a channel and its subscriptions.
    #[must_use]
    pub fn channel(&self, entry: &'a Entry<Channel>) -> ChannelPlan<'a> {
        let channel = &entry.object;
        let own: Vec<&Entry<Subscription>> = self.index.subscriptions_of(channel).collect();
        // A Subscription that Knative's controller also wrote into the channel counts once; its own document is newer.
        let managed = channel
            .subscribers
            .iter()
            .enumerate()
            .filter(|(_, subscriber)| own.iter().all(|entry| entry.object.meta.uid != subscriber.uid))
            .map(|(index, subscriber)| Self::managed(entry, index, subscriber));
        let written = own.iter().map(|entry| self.written(entry));
        let subscribers = managed.chain(written).map(|wanted| self.subscriber(wanted, channel)).collect();
        ChannelPlan { channel, config: self.config(channel), subscribers, source: &entry.source }
    }

    fn config(&self, channel: &Channel) -> Result<ChannelConfig, String> {
        let access = self.access.map_err(ToString::to_string)?;
        let topic = self.topic(channel)?;
        let dead_letter = match channel.delivery.as_ref().and_then(|delivery| delivery.dead_letter_sink.as_ref()) {
            Some(sink) => Some(
                self.resolve(sink, &channel.meta.namespace)
                    .map_err(|error| format!("failed to resolve the dead letter sink of the channel: {error}"))?,
            ),
            None => None,
        };
        let config = channel
            .delivery
            .as_ref()
            .and_then(|delivery| egress_config(delivery, dead_letter.as_ref(), self.settings.default_backoff));
        let domain = match &self.settings.addressing {
            Addressing::Cluster { domain } => domain,
            Addressing::Ingress { .. } => DEFAULT_DOMAIN,
        };
        let resource = resource(channel, &topic, access, self.flags, config, domain);
        Ok(ChannelConfig {
            key: TopicKey { servers: access.servers(), topic },
            resource,
            partitions: channel.topic.partitions,
            replication_factor: channel.topic.replication_factor,
            retention: channel.topic.retention.unwrap_or(DEFAULT_RETENTION),
        })
    }

    /// The topic that the channel already has, else the one that the template gives it.
    fn topic(&self, channel: &Channel) -> Result<String, String> {
        let published = self.observed.published.resources.get(&channel.meta.uid);
        if let Some(topic) = published.and_then(|resource| resource.topics.first()) {
            return Ok(topic.clone());
        }
        if let Some(topic) = &channel.recorded_topic {
            return Ok(topic.clone());
        }
        let template = self.flags.channel_topic.as_ref().map_err(ToString::to_string)?;
        template.render(&channel.meta).map_err(|error| error.to_string())
    }

    fn resolve(&self, destination: &Destination, namespace: &str) -> Result<Address, String> {
        resolve(destination, namespace, self.index, &self.settings.addressing).map_err(|error| error.to_string())
    }

    /// A subscription by its own document.
    fn written(&self, entry: &'a Entry<Subscription>) -> Wanted<'a> {
        let subscription = &entry.object;
        let meta = &subscription.meta;
        let identity =
            Identity { kind: Kind::Subscription, namespace: meta.namespace.clone(), name: meta.name.clone() };
        Wanted {
            uid: &meta.uid,
            name: &meta.name,
            subscriber: self.resolve(&subscription.subscriber, &meta.namespace),
            reply: subscription.reply.as_ref().map(|reply| self.resolve(reply, &meta.namespace)),
            delivery: subscription.delivery.as_ref(),
            ordered: subscription.ordered,
            service_account: "",
            report: (entry.source.clone(), identity, "spec".to_owned()),
        }
    }

    /// A subscription that Knative's controller wrote into the channel.
    fn managed(entry: &'a Entry<Channel>, index: usize, subscriber: &'a Subscriber) -> Wanted<'a> {
        let meta = &entry.object.meta;
        let identity = channel_identity(meta);
        let address = |endpoint: &Endpoint| {
            if !is_absolute(&endpoint.uri) {
                return Err(format!("uri {:?} is not an absolute http or https URL", endpoint.uri));
            }
            Ok(Address {
                url: endpoint.uri.clone(),
                ca_certs: endpoint.ca_certs.clone().unwrap_or_default(),
                audience: endpoint.audience.clone().unwrap_or_default(),
            })
        };
        Wanted {
            uid: &subscriber.uid,
            name: &subscriber.name,
            subscriber: subscriber
                .subscriber
                .as_ref()
                .map_or_else(|| Err("subscriberUri is missing".to_owned()), address),
            reply: subscriber.reply.as_ref().map(address),
            delivery: subscriber.delivery.as_ref(),
            ordered: true,
            service_account: subscriber.service_account.as_deref().unwrap_or_default(),
            report: (entry.source.clone(), identity, format!("spec.subscribers[{index}]")),
        }
    }

    fn subscriber(&self, wanted: Wanted<'_>, channel: &Channel) -> SubscriberPlan {
        let delivery = merge(wanted.delivery, channel.delivery.as_ref());
        let dead_letter = delivery.dead_letter_sink.as_ref().map(|sink| self.resolve(sink, &channel.meta.namespace));
        SubscriberPlan {
            uid: wanted.uid.to_owned(),
            name: if wanted.name.is_empty() { wanted.uid.to_owned() } else { wanted.name.to_owned() },
            subscriber: wanted.subscriber.as_ref().ok().map(|address| address.url.clone()),
            dead_letter_sink: dead_letter.as_ref().and_then(|sink| Some(sink.as_ref().ok()?.url.clone())),
            report: wanted.report.clone(),
            egress: self.egress(wanted, &delivery, dead_letter, channel),
        }
    }

    fn egress(
        &self,
        wanted: Wanted<'_>,
        delivery: &Delivery,
        dead_letter: Option<Result<Address, String>>,
        channel: &Channel,
    ) -> Result<wire::Egress, Failure> {
        let failed = |reason: &str, what: &str| {
            let reason = reason.to_owned();
            let what = what.to_owned();
            move |error: String| Failure { reason, message: format!("{what}: {error}") }
        };
        let subscriber =
            wanted.subscriber.map_err(failed("SubscriberResolveFailed", "failed to resolve the subscriber"))?;
        let reply = wanted.reply.transpose().map_err(failed("ReplyResolveFailed", "failed to resolve the reply"))?;
        let dead_letter = dead_letter
            .transpose()
            .map_err(failed("DeadLetterSinkResolveFailed", "failed to resolve the dead letter sink"))?;
        self.allowed(delivery).map_err(failed("SubscriptionNotMarkedReadyByChannel", "delivery is not allowed"))?;
        let resolved = ResolvedSubscription {
            uid: wanted.uid.to_owned(),
            name: wanted.name.to_owned(),
            subscriber,
            reply,
            ordered: wanted.ordered,
            egress_config: egress_config(delivery, dead_letter.as_ref(), SUBSCRIPTION_BACKOFF),
            service_account: wanted.service_account.to_owned(),
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
