//! What a channel itself asks for: its topic, its resource, its addresses, and which Subscriptions are its own.
//!
//! Pure. Source: control-plane spec 2.3, 2.4 and 2.5c; design section 6.

use super::{ChannelConfig, Context, is_managed};
use crate::addresses::{self, ChannelAddress};
use crate::api::channel::{Channel, DEFAULT_RETENTION};
use crate::api::subscription::Subscription;
use crate::contract::delivery::egress_config;
use crate::contract::{policies, resource};
use crate::features::Transport;
use crate::index::Entry;
use crate::reconcile::observed::TopicKey;

impl<'a> Context<'a> {
    /// The channel's Subscriptions that are ours to look after. In a cluster in which Knative's controller looks after
    /// one of them, or has written into the channel, all of them are its own, and it writes them into the channel.
    /// One that it did not write yet stays with us as long as we deliver to it: its events must not wait for Knative.
    pub(super) fn own(&self, channel: &'a Channel) -> Vec<&'a Entry<Subscription>> {
        let own: Vec<&Entry<Subscription>> = self.index.subscriptions_of(channel).collect();
        let is_managed = self.settings.cluster.is_some()
            && (!channel.subscribers.is_empty() || own.iter().any(|entry| is_managed(&entry.object)));
        if !is_managed {
            return own;
        }
        let egresses = self.observed.published.resources.get(&channel.meta.uid).map(|resource| &resource.egresses);
        let stays = |entry: &&Entry<Subscription>| {
            let meta = &entry.object.meta;
            !meta.departing
                && egresses.is_some_and(|egresses| egresses.iter().any(|egress| egress.uid == meta.uid))
                && channel.subscribers.iter().all(|subscriber| subscriber.uid != meta.uid)
        };
        own.into_iter().filter(stays).collect()
    }

    pub(super) fn addresses(&self, channel: &Channel) -> Result<Vec<ChannelAddress>, String> {
        let Some(cluster) = &self.settings.cluster else { return Ok(Vec::new()) };
        let tls = match self.flags.transport {
            Transport::Disabled => None,
            Transport::Permissive | Transport::Strict => {
                let key = &cluster.tls_secret;
                let place = format!("{}/{}", key.0, key.1);
                let why =
                    || self.observed.cluster.unreadable_secrets.get(key).map_or("it does not exist", String::as_str);
                let secret = self.index.secrets.get(key);
                let secret =
                    secret.ok_or_else(|| format!("failed to get CA certs: failed to get secret {place}: {}", why()))?;
                secret.object.text("ca.crt").filter(|pem| !pem.is_empty())
            }
        };
        let (meta, domain) = (&channel.meta, self.settings.addressing.domain());
        Ok(addresses::of_channel((&meta.namespace, &meta.name), self.flags, domain, &cluster.ingress_host, tls))
    }

    pub(super) fn config(&self, channel: &Channel) -> Result<ChannelConfig, String> {
        let access = self.access.map_err(ToString::to_string)?;
        if let Some(fault) = &channel.fault {
            return Err(fault.clone());
        }
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
        let mut resource = resource(channel, &topic, access, self.flags, config, self.settings.addressing.domain());
        if let Some(ingress) = &mut resource.ingress {
            ingress.event_policies = policies::of_channel(&self.observed.cluster.policies, &channel.meta, self.flags);
        }
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
}
