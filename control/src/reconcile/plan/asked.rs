//! What subscriptions ask for, whether written down in their own documents or by Knative in the channel's.

use super::{Context, channel_identity, is_managed};
use crate::accounts::Account;
use crate::addressable::{Address, is_absolute};
use crate::api::channel::{Channel, Endpoint, Subscriber};
use crate::api::delivery::Delivery;
use crate::api::subscription::Subscription;
use crate::api::{Identity, Kind, Source};
use crate::index::Entry;

/// What a subscription asks for, wherever it was written down.
pub(super) struct Asked<'a> {
    pub(super) uid: &'a str,
    pub(super) name: &'a str,
    pub(super) subscriber: Result<Address, String>,
    pub(super) reply: Option<Result<Address, String>>,
    pub(super) delivery: Option<&'a Delivery>,
    pub(super) ordered: bool,
    pub(super) account: Account,
    pub(super) generation: i64,
    pub(super) managed: bool,
    pub(super) fault: Option<&'a str>,
    pub(super) report: (Source, Identity, String),
}

impl<'a> Context<'a> {
    /// A subscription by its own document.
    pub(super) fn written(&self, entry: &'a Entry<Subscription>) -> Asked<'a> {
        let subscription = &entry.object;
        let meta = &subscription.meta;
        let identity =
            Identity { kind: Kind::Subscription, namespace: meta.namespace.clone(), name: meta.name.clone() };
        Asked {
            uid: &meta.uid,
            name: &meta.name,
            subscriber: self.resolve(&subscription.subscriber, &meta.namespace),
            reply: subscription.reply.as_ref().map(|reply| self.resolve(reply, &meta.namespace)),
            delivery: subscription.delivery.as_ref(),
            ordered: subscription.ordered,
            account: self.account(meta),
            generation: meta.generation,
            managed: self.settings.cluster.is_some() && is_managed(subscription),
            fault: subscription.fault.as_deref(),
            report: (entry.source.clone(), identity, "spec".to_owned()),
        }
    }

    /// A subscription that Knative's controller wrote into the channel.
    pub(super) fn managed(entry: &'a Entry<Channel>, index: usize, subscriber: &'a Subscriber) -> Asked<'a> {
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
        Asked {
            uid: &subscriber.uid,
            name: &subscriber.name,
            subscriber: subscriber
                .subscriber
                .as_ref()
                .map_or_else(|| Err("subscriberUri is missing".to_owned()), address),
            reply: subscriber.reply.as_ref().map(address),
            delivery: subscriber.delivery.as_ref(),
            ordered: true,
            account: subscriber.service_account.clone().map_or(Account::Off, Account::Given),
            generation: subscriber.generation,
            managed: true,
            fault: subscriber.fault.as_deref(),
            report: (entry.source.clone(), identity, format!("spec.subscribers[{index}]")),
        }
    }
}
