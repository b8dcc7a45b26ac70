//! The addresses in a channel's status, by `transport-encryption` and OIDC.
//!
//! Pure. http is routed by host, https by path: the certificate of the ingress names its own Service only.
//! Source: control-plane spec 2.5c.

use crate::addressable::channel_host;
use crate::features::{Flags, Transport};

/// One address of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelAddress {
    /// `http` or `https`.
    pub name: &'static str,
    /// Where events are posted.
    pub url: String,
    /// PEM; `None` for system roots, and for http.
    pub ca_certs: Option<String>,
    /// `None` without OIDC.
    pub audience: Option<String>,
}

/// The addresses of a channel, the one for `status.address` being [`primary`]. `ingress_host` is the cluster name of the
/// ingress' Service.
#[must_use]
pub fn of_channel(
    (namespace, name): (&str, &str),
    flags: &Flags,
    domain: &str,
    ingress_host: &str,
    ca_certs: Option<&str>,
) -> Vec<ChannelAddress> {
    let audience = flags.oidc.then(|| crate::contract::audience(namespace, name));
    let http = ChannelAddress {
        name: "http",
        url: format!("http://{}", channel_host(namespace, name, domain)),
        ca_certs: None,
        audience: audience.clone(),
    };
    let https = ChannelAddress {
        name: "https",
        url: format!("https://{ingress_host}/{namespace}/{name}"),
        ca_certs: ca_certs.map(str::to_owned),
        audience,
    };
    match flags.transport {
        Transport::Disabled => vec![http],
        Transport::Permissive => vec![https, http],
        Transport::Strict => vec![https],
    }
}

/// The one that clients use who look at one address only: http as long as there is one.
#[must_use]
pub fn primary(addresses: &[ChannelAddress]) -> Option<&ChannelAddress> {
    addresses.iter().find(|address| address.name == "http").or(addresses.first())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features;
    use crate::index::Index;
    use crate::testing::{config_map, sourced};

    #[track_caller]
    fn check(data: &[(&str, &str)], expected: &[(&str, &str)], first: &str) {
        let map = sourced(config_map("knative-eventing", features::FEATURES, data), "a.yaml", 1);
        let index = Index::build(vec![map], "knative-eventing");
        let flags = features::read(&index, &mut Vec::new());
        let host = "kafka-channel-ingress.knative-eventing.svc.cluster.local";
        let found = of_channel(("ns", "kc"), &flags, "cluster.local", host, Some("PEM"));
        let shown: Vec<(&str, &str)> = found.iter().map(|address| (address.name, address.url.as_str())).collect();
        assert_eq!(shown, expected, "{data:?}");
        assert_eq!(primary(&found).map(|address| address.name), Some(first));
        let pem = |address: &ChannelAddress| address.ca_certs.is_some() == (address.name == "https");
        assert!(found.iter().all(pem));
    }

    #[test]
    fn addresses_follow_transport_encryption() {
        let http = ("http", "http://kc-kn-channel.ns.svc.cluster.local");
        let https = ("https", "https://kafka-channel-ingress.knative-eventing.svc.cluster.local/ns/kc");
        check(&[], &[http], "http");
        check(&[("transport-encryption", "disabled")], &[http], "http");
        check(&[("transport-encryption", "Permissive")], &[https, http], "http");
        check(&[("transport-encryption", "strict")], &[https], "https");
        check(&[("transport-encryption", "sometimes")], &[http], "http");
    }

    #[test]
    fn every_address_has_the_audience_when_tokens_are_asked_for() {
        let map = config_map("s", features::FEATURES, &[("authentication-oidc", "enabled")]);
        let index = Index::build(vec![sourced(map, "a.yaml", 1)], "s");
        let flags = features::read(&index, &mut Vec::new());
        let found = of_channel(("Ns", "kc"), &flags, "cluster.local", "h", None);
        assert_eq!(found[0].audience.as_deref(), Some("messaging.knative.dev/kafkachannel/ns/kc"));
    }
}
