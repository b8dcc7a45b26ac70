//! Tests of destinations, as a table.

use super::*;
use crate::testing::{channel, sourced};

fn cluster() -> Addressing {
    Addressing::Cluster { domain: DEFAULT_DOMAIN.to_owned() }
}

fn laptop() -> Addressing {
    Addressing::Ingress { url: "http://127.0.0.1:8080".to_owned() }
}

fn reference(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> KReference {
    KReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        ..KReference::default()
    }
}

fn find(reference: Option<KReference>, uri: Option<&str>, addressing: &Addressing) -> Result<String, ResolveError> {
    let index = Index::build(vec![sourced(channel("shop", "orders"), "a.yaml", 1)], "s");
    let destination = Destination { reference, uri: uri.map(str::to_owned), ..Destination::default() };
    resolve(&destination, "shop", &index, addressing).map(|address| address.url)
}

#[test]
fn an_absolute_uri_stays_as_it_was_written() {
    for uri in ["http://a", "https://a.b:8443/c?d=e", "http://127.0.0.1:9000/", "http://[::1]:80/x"] {
        assert_eq!(find(None, Some(uri), &cluster()), Ok(uri.to_owned()));
    }
}

#[test]
fn a_uri_that_cannot_be_posted_to_is_refused() {
    for uri in ["/path", "a.b:80", "ftp://a", "http://", "http:///x", "http://a b", "mailto:x@y"] {
        assert_eq!(find(None, Some(uri), &cluster()), Err(ResolveError::NotAbsolute(uri.to_owned())), "{uri}");
    }
    assert_eq!(find(None, None, &cluster()), Err(ResolveError::Empty));
    assert_eq!(find(None, Some(""), &cluster()), Err(ResolveError::Empty));
}

#[test]
fn a_core_service_has_its_cluster_name() {
    let service = |namespace| Some(reference("v1", "Service", namespace, "display"));
    assert_eq!(find(service(None), None, &cluster()).unwrap(), "http://display.shop.svc.cluster.local");
    assert_eq!(find(service(Some("other")), None, &laptop()).unwrap(), "http://display.other.svc.cluster.local");
}

#[test]
fn a_channel_is_reached_by_service_in_a_cluster_and_through_the_ingress_on_a_laptop() {
    let orders = || Some(reference("messaging.knative.dev/v1beta1", "KafkaChannel", None, "orders"));
    assert_eq!(find(orders(), None, &cluster()).unwrap(), "http://orders-kn-channel.shop.svc.cluster.local");
    assert_eq!(find(orders(), None, &laptop()).unwrap(), "http://127.0.0.1:8080/shop/orders");
}

#[test]
fn what_cannot_be_found_is_refused_with_its_name() {
    let error = find(Some(reference("messaging.knative.dev/v1", "KafkaChannel", Some("x"), "nope")), None, &cluster());
    assert_eq!(error.unwrap_err().to_string(), "KafkaChannel x/nope does not exist");
    let error = find(Some(reference("serving.knative.dev/v1", "Service", None, "display")), None, &cluster());
    assert!(error.unwrap_err().to_string().contains("Service (serving.knative.dev/v1)"));
    let service = Some(reference("v1", "Service", None, "display"));
    let error = find(service, Some("http://a"), &cluster());
    assert_eq!(error, Err(ResolveError::AbsoluteWithReference("http://a".to_owned())));
}

#[test]
fn a_relative_uri_is_joined_to_the_address() {
    let base = "http://h:80/a/b";
    for (relative, joined) in [
        ("/x", "http://h:80/x"),
        ("x", "http://h:80/a/x"),
        ("../x", "http://h:80/x"),
        ("../../../x", "http://h:80/x"),
        ("./", "http://h:80/a/"),
        ("?q=1", "http://h:80/a/b?q=1"),
        ("x?p=/../y", "http://h:80/a/x?p=/../y"),
    ] {
        assert_eq!(join(base, relative), joined, "{relative}");
    }
    assert_eq!(join("http://h", "x"), "http://h/x");
    assert_eq!(join("http://h", "?q"), "http://h?q");
    let service = Some(reference("v1", "Service", None, "display"));
    assert_eq!(find(service, Some("/in"), &cluster()).unwrap(), "http://display.shop.svc.cluster.local/in");
}

#[test]
fn a_long_channel_name_has_no_suffix_in_its_service() {
    assert_eq!(channel_service(&"a".repeat(52)), format!("{}-kn-channel", "a".repeat(52)));
    assert_eq!(channel_service(&"a".repeat(53)), "a".repeat(53));
}
