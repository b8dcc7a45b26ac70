//! The copies of one moment, in the form in which the core takes objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::objects::SubscriptionObject;
use super::watches::Watches;
use crate::addressable::references::{ReferenceKey, References};
use crate::api::channel::Channel;
use crate::api::meta::Destination;
use crate::api::policy::EventPolicy;
use crate::api::{Object, Source, Sourced};
use crate::features::{FEATURES, KAFKA_FEATURES};
use crate::index::{Key, is_kafka_channel};
use crate::kafka_access::secret_of;
use crate::reconcile::Settings;
use crate::reconcile::observed::ClusterFacts;
use crate::reconcile::plan::is_managed;

/// Objects and facts.
pub(crate) struct Snapshot {
    pub(crate) objects: Vec<Sourced>,
    pub(crate) facts: ClusterFacts,
}

/// Takes a snapshot; `None` while something about Secrets or references is not known yet, unless `anyway`.
pub(crate) fn take(watches: &mut Watches, settings: &Settings, anyway: bool) -> Option<Snapshot> {
    let channels = watches.channels.all();
    let subscriptions = watches.subscriptions.all();
    let secrets = secrets_of(watches, settings);
    let secrets_known = watches.follow_secrets(&secrets).is_empty();
    let wanted = references(
        channels.iter().map(|object| &object.channel),
        subscriptions.iter().map(|object| &object.subscription),
    );
    let references_known = watches.follow_references(&wanted);
    let accounts_known = watches.follow_accounts(wants_accounts(watches, settings, &subscriptions));
    if !(anyway || (secrets_known && references_known && accounts_known)) {
        return None;
    }
    let mut objects = Vec::with_capacity(channels.len() + subscriptions.len());
    objects.extend(channels.iter().map(|object| Object::Channel(Box::new(object.channel.clone()))));
    let staying = subscriptions.iter().filter(|object| !object.subscription.meta.departing);
    objects.extend(staying.map(|object| Object::Subscription(Box::new(object.subscription.clone()))));
    let namespace = &settings.system_namespace;
    for name in [settings.general_config.as_str(), FEATURES, KAFKA_FEATURES] {
        let map = watches.maps.get(&(namespace.clone(), name.to_owned()));
        objects.extend(map.map(|found| Object::ConfigMap(found.map.clone())));
    }
    let (secrets, unreadable_secrets) = watches.secrets();
    objects.extend(secrets.into_iter().map(|secret| Object::Secret((*secret).clone())));
    let policies: Vec<EventPolicy> =
        watches.policies.all().iter().filter_map(|policy| policy.as_ref().clone()).collect();
    let facts = ClusterFacts {
        references: References::Cluster(Arc::new(watches.references(&wanted))),
        trust_bundles: trust_bundles(watches),
        policies: Arc::new(policies),
        unreadable_secrets,
        accounts: watches.accounts(),
        account_failures: BTreeMap::new(),
    };
    let objects = objects.into_iter().map(|object| Sourced { object, source: Source::default() }).collect();
    Some(Snapshot { objects, facts })
}

/// The Secret with the credentials for Kafka, and that with the certificate of the ingress where that is used.
fn secrets_of(watches: &Watches, settings: &Settings) -> BTreeSet<Key> {
    let namespace = &settings.system_namespace;
    let map = |name: &str| watches.maps.get(&(namespace.clone(), name.to_owned()));
    let kafka = map(&settings.general_config).and_then(|found| secret_of(&found.map));
    let encrypts = feature(watches, settings, "transport-encryption");
    let tls = settings.cluster.as_ref().map(|cluster| cluster.tls_secret.clone());
    let tls = tls.filter(|_| matches!(encrypts.as_deref(), Some("permissive" | "strict")));
    // An empty name is nobody's.
    kafka.into_iter().chain(tls).filter(|(_, name)| !name.is_empty()).collect()
}

/// Whether service accounts for tokens have to be known: while Subscriptions of our own get them, and as long as one of
/// them still has one.
fn wants_accounts(watches: &Watches, settings: &Settings, subscriptions: &[Arc<SubscriptionObject>]) -> bool {
    let asked = feature(watches, settings, "authentication-oidc").as_deref() == Some("enabled");
    let mut own = subscriptions.iter().filter(|object| {
        let reference = &object.subscription.channel;
        is_kafka_channel(&reference.kind, reference.api_group()) && !is_managed(&object.subscription)
    });
    own.any(|object| asked || object.status.get("auth").is_some_and(|auth| !auth.is_null()))
}

/// A value of `config-features`, in small letters.
fn feature(watches: &Watches, settings: &Settings, key: &str) -> Option<String> {
    let map = watches.maps.get(&(settings.system_namespace.clone(), FEATURES.to_owned()))?;
    map.map.text(key).map(|text| text.trim().to_lowercase())
}

/// Every PEM text of a labelled map, sorted, each once.
fn trust_bundles(watches: &Watches) -> Vec<String> {
    let maps = watches.maps.all();
    let texts = maps.iter().filter(|found| found.is_trust_bundle).flat_map(|found| found.map.data.values());
    let texts = texts.filter_map(|bytes| std::str::from_utf8(bytes).ok());
    let texts = texts.filter(|text| text.contains("-----BEGIN CERTIFICATE-----"));
    texts.map(str::to_owned).collect::<BTreeSet<String>>().into_iter().collect()
}

/// Everything that destinations of channels and of our own Subscriptions point at.
fn references<'a>(
    channels: impl Iterator<Item = &'a Channel>,
    subscriptions: impl Iterator<Item = &'a crate::api::subscription::Subscription>,
) -> BTreeSet<ReferenceKey> {
    let of = |destination: Option<&Destination>, namespace: &str| {
        let reference = destination.and_then(|destination| destination.reference.as_ref());
        reference.map(|reference| ReferenceKey::of(reference, namespace))
    };
    let mut found = BTreeSet::new();
    for channel in channels {
        let namespace = &channel.meta.namespace;
        let own = channel.delivery.as_ref();
        let deliveries = channel.subscribers.iter().filter_map(|subscriber| subscriber.delivery.as_ref()).chain(own);
        found.extend(deliveries.filter_map(|delivery| of(delivery.dead_letter_sink.as_ref(), namespace)));
    }
    for subscription in subscriptions.filter(|subscription| !is_managed(subscription)) {
        let namespace = &subscription.meta.namespace;
        let sink = subscription.delivery.as_ref().and_then(|delivery| delivery.dead_letter_sink.as_ref());
        let destinations = [Some(&subscription.subscriber), subscription.reply.as_ref(), sink];
        found.extend(destinations.into_iter().filter_map(|destination| of(destination, namespace)));
    }
    found
}
