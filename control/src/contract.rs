//! Builds the contract's entries from channels and subscriptions.
//!
//! Pure. One resource a channel, with its ingress and all its egresses, as both planes read it from one file.
//! Source: control-plane spec 2.4, 2.6, 2.7, 2.8 and 2.15.

pub mod delivery;
pub mod policies;
pub(crate) mod spread;

use millrace_config::contract::wire;

use crate::addressable::{Address, DEFAULT_DOMAIN, channel_host};
use crate::api::channel::Channel;
use crate::api::meta::Meta;
use crate::features::Flags;
use crate::kafka_access::{ContractAuth, KafkaAccess};

/// The consumer group of a subscription. There is no template for it: positions in topics hang on this name.
#[must_use]
pub fn group_id(namespace: &str, channel: &str, subscription_uid: &str) -> String {
    format!("kafka.{namespace}.{channel}.{subscription_uid}")
}

/// The resource of a channel, still without egresses.
#[must_use]
pub fn resource(
    channel: &Channel,
    topic: &str,
    access: &KafkaAccess,
    flags: &Flags,
    egress_config: Option<wire::EgressConfig>,
    domain: &str,
) -> wire::Resource {
    let Meta { name, namespace, uid, .. } = &channel.meta;
    let (auth_secret, multi_auth_secret) = match &access.auth {
        // `absentAuth` exists, but upstream never writes it.
        ContractAuth::None => (None, None),
        ContractAuth::Secret(reference) => (Some(reference.clone()), None),
        ContractAuth::Fields(fields) => (None, Some(fields.clone())),
    };
    let owned_by_broker = channel.meta.owners.iter().any(|owner| owner.kind.eq_ignore_ascii_case("broker"));
    wire::Resource {
        uid: uid.clone(),
        topics: vec![topic.to_owned()],
        bootstrap_servers: access.servers(),
        ingress: Some(wire::Ingress {
            path: format!("/{namespace}/{name}"),
            host: channel_host(namespace, name, if domain.is_empty() { DEFAULT_DOMAIN } else { domain }),
            audience: if flags.oidc { audience(namespace, name) } else { String::new() },
            ..wire::Ingress::default()
        }),
        egress_config,
        auth_secret,
        multi_auth_secret,
        reference: Some(wire::Reference {
            uuid: uid.clone(),
            namespace: namespace.clone(),
            name: name.clone(),
            version: String::new(),
            kind: "KafkaChannel".to_owned(),
            // Whichever version the document has: the controllers all work with this one.
            group_version: "messaging.knative.dev/v1beta1".to_owned(),
        }),
        // Set even when nothing in it is, as upstream does.
        feature_flags: Some(wire::FeatureFlags {
            enable_event_type_autocreate: flags.event_type_auto_create && !owned_by_broker,
        }),
        ..wire::Resource::default()
    }
}

/// The OIDC audience of a channel.
#[must_use]
pub fn audience(namespace: &str, name: &str) -> String {
    format!("messaging.knative.dev/kafkachannel/{namespace}/{name}").to_lowercase()
}

/// A subscription with everything resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedSubscription {
    /// Uid of the Subscription; also that of the egress.
    pub uid: String,
    /// Name of the Subscription; may be empty for one that Knative's controller wrote into the channel.
    pub name: String,
    /// Where events go.
    pub subscriber: Address,
    /// Where replies go; absent: they are dropped.
    pub reply: Option<Address>,
    /// One event of a partition at a time.
    pub ordered: bool,
    /// Retries, backoff, timeout, dead letter sink.
    pub egress_config: Option<wire::EgressConfig>,
    /// Service account whose token goes to the subscriber; empty for none.
    pub service_account: String,
}

/// The egress of a subscription to `channel`.
#[must_use]
pub fn egress(subscription: ResolvedSubscription, channel: &Meta, flags: &Flags) -> wire::Egress {
    let Meta { name: channel_name, namespace, .. } = channel;
    let replies = subscription.reply.is_some();
    let reply =
        subscription.reply.unwrap_or(Address { url: String::new(), ca_certs: String::new(), audience: String::new() });
    let switches = wire::EgressFeatureFlags {
        enable_rate_limiter: flags.rate_limiter,
        enable_ordered_executor_metrics: flags.ordered_executor_metrics,
    };
    wire::Egress {
        consumer_group: group_id(namespace, channel_name, &subscription.uid),
        destination: subscription.subscriber.url,
        destination_ca_certs: subscription.subscriber.ca_certs,
        destination_audience: subscription.subscriber.audience,
        reply_url: replies.then_some(reply.url),
        discard_reply: (!replies).then_some(wire::Empty {}),
        reply_url_ca_certs: reply.ca_certs,
        reply_url_audience: reply.audience,
        egress_config: subscription.egress_config,
        delivery_order: if subscription.ordered {
            wire::DeliveryOrder::Ordered
        } else {
            wire::DeliveryOrder::Unordered
        },
        // The Subscription, where upstream names the channel a second time: logs and metrics can then tell
        // subscriptions of one channel apart.
        reference: Some(wire::Reference {
            uuid: subscription.uid.clone(),
            namespace: namespace.clone(),
            name: subscription.name,
            version: String::new(),
            kind: "Subscription".to_owned(),
            group_version: "messaging.knative.dev/v1".to_owned(),
        }),
        uid: subscription.uid,
        // This shape of the contract has no flags on egresses unless one is on.
        feature_flags: (switches != wire::EgressFeatureFlags::default()).then_some(switches),
        oidc_service_account_name: subscription.service_account,
        ..wire::Egress::default()
    }
}
