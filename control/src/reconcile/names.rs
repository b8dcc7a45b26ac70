//! Host names of Services where there may be no cluster: which to look up, and what to tell when they lead nowhere.
//!
//! Pure; the lookup is a job of the directory shell. A subscription is not made unready by it: the name may appear
//! later, when a tunnel into the cluster is opened, and deliveries are then retried as for any subscriber that is away.

use std::collections::BTreeSet;

use super::observed::Observed;
use super::plan::{ChannelPlan, SubscriberPlan};
use super::settings::Settings;
use crate::addressable::{Addressing, DEFAULT_DOMAIN};
use crate::api::Problem;

/// The names to look up; none in a cluster, where they are the rule.
pub(super) fn wanted(plans: &[ChannelPlan<'_>], settings: &Settings) -> BTreeSet<String> {
    match settings.addressing {
        Addressing::Cluster { .. } => BTreeSet::new(),
        Addressing::Ingress { .. } => destinations(plans).into_iter().map(|destination| destination.host).collect(),
    }
}

/// One problem for each destination whose name was looked up in vain.
pub(super) fn problems(plans: &[ChannelPlan<'_>], observed: &Observed) -> Vec<Problem> {
    let lost = destinations(plans).into_iter().filter(|found| observed.names.get(&found.host) == Some(&false));
    lost.map(|Destination { subscriber, part, host }| {
        let (source, identity, field) = &subscriber.report;
        let message = format!("{host} resolves only inside the cluster; use uri here");
        Problem::with_field(source, identity, &format!("{field}.{part}"), message)
    })
    .collect()
}

/// A destination inside a cluster.
struct Destination<'a> {
    subscriber: &'a SubscriberPlan,
    /// The field below the subscription's own.
    part: &'static str,
    host: String,
}

fn destinations<'a>(plans: &'a [ChannelPlan<'_>]) -> Vec<Destination<'a>> {
    let subscribers = plans.iter().flat_map(|plan| &plan.subscribers);
    let of = subscribers.flat_map(|subscriber| {
        let reply = subscriber.egress.as_ref().ok().and_then(|egress| egress.reply_url.as_deref());
        let urls = [
            ("subscriber", subscriber.subscriber.as_deref()),
            ("reply", reply),
            ("delivery.deadLetterSink", subscriber.dead_letter_sink.as_deref()),
        ];
        urls.into_iter()
            .filter_map(move |(part, url)| Some(Destination { subscriber, part, host: cluster_host(url?)? }))
    });
    of.collect()
}

fn cluster_host(url: &str) -> Option<String> {
    let url: http::Uri = url.parse().ok()?;
    let host = url.host()?;
    host.strip_suffix(DEFAULT_DOMAIN)?.ends_with(".svc.").then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_services_of_a_cluster_are_looked_up() {
        assert_eq!(
            cluster_host("http://billing.shop.svc.cluster.local/x").as_deref(),
            Some("billing.shop.svc.cluster.local")
        );
        for url in ["http://127.0.0.1:9000/", "http://cluster.local/", "http://svc.example.com/", ""] {
            assert_eq!(cluster_host(url), None, "{url}");
        }
    }
}
