//! Routing to the letter.

use http::Request;

use super::*;

fn table() -> Table<&'static str> {
    let mut table = Table::default();
    assert!(table.add(Some("/ns/name"), None, &Arc::new("by path")));
    assert!(table.add(Some("/ns/slash/"), None, &Arc::new("contract path with a slash")));
    assert!(table.add(None, Some("name-kn-channel.ns.svc.cluster.local"), &Arc::new("by host")));
    assert!(table.add(Some("/both"), Some("both.example"), &Arc::new("both")));
    table
}

fn head(uri: &str, host: Option<&str>, version: Version) -> Parts {
    let mut request = Request::builder().uri(uri).version(version);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    request.body(()).unwrap().into_parts().0
}

#[track_caller]
fn check(uri: &str, host: &str, expected: Option<&str>) {
    let found = table().resolve(&head(uri, Some(host), Version::HTTP_11));
    assert_eq!(found.ok().as_deref().copied(), expected, "{uri} at {host}");
}

#[test]
fn a_path_leads_to_its_target_with_or_without_one_slash_and_a_query() {
    for uri in ["/ns/name", "/ns/name/", "/ns/name?x=y", "/ns/name/?x=/y/", "http://elsewhere/ns/name"] {
        check(uri, "unknown", Some("by path"));
    }
}

#[test]
fn a_path_is_compared_to_the_letter() {
    for uri in ["/ns/name//", "/ns/name/extra", "/NS/name", "/ns%2Fname", "/ns/../ns/name", "//ns/name", "/", "/ns"] {
        check(uri, "unknown", None);
    }
}

#[test]
fn a_contract_path_with_a_slash_needs_two() {
    check("/ns/slash//", "unknown", Some("contract path with a slash"));
    check("/ns/slash/", "unknown", None);
    check("/ns/slash", "unknown", None);
}

#[test]
fn a_host_counts_for_every_path_that_leads_nowhere() {
    for uri in ["/", "/doesnt-exist", "/a/b/c", "http://other/x"] {
        check(uri, "name-kn-channel.ns.svc.cluster.local", Some("by host"));
    }
    check("/ns/name", "name-kn-channel.ns.svc.cluster.local", Some("by path"));
}

#[test]
fn a_host_is_compared_to_the_letter_with_its_port() {
    for host in ["name-kn-channel.ns.svc.cluster.local:80", "Name-kn-channel.ns.svc.cluster.local", "name.ns.svc", ""] {
        check("/", host, None);
    }
}

#[test]
fn a_target_may_have_both() {
    check("/both", "x", Some("both"));
    check("/x", "both.example", Some("both"));
}

#[test]
fn http_2_routes_by_authority() {
    let table = table();
    let found = table.resolve(&head("http://both.example/x", None, Version::HTTP_2)).unwrap();
    assert_eq!(*found, "both");
    let found = table.resolve(&head("/x", Some("both.example"), Version::HTTP_2)).unwrap();
    assert_eq!(*found, "both");
    // On HTTP/1.1 the header decides, whatever the request line says.
    assert!(table.resolve(&head("http://both.example/x", Some("x"), Version::HTTP_11)).is_err());
}

#[test]
fn a_missing_host_is_the_senders_mistake_only_where_http_requires_one_and_the_path_leads_nowhere() {
    let table = table();
    let refused = |uri, version| format!("{:?}", table.resolve(&head(uri, None, version)).unwrap_err());
    assert_eq!(refused("/x", Version::HTTP_11), "NoHost");
    assert_eq!(refused("/x", Version::HTTP_10), "NoRoute");
    assert_eq!(refused("/x", Version::HTTP_2), "NoRoute");
    assert!(table.resolve(&head("/ns/name", None, Version::HTTP_11)).is_ok());
}

#[test]
fn a_path_or_host_that_is_taken_refuses_the_second_target_as_a_whole() {
    let mut table = table();
    assert!(!table.add(Some("/ns/name"), Some("new.example"), &Arc::new("second")));
    assert!(!table.add(Some("/new"), Some("both.example"), &Arc::new("second")));
    for (uri, host) in [("/x", "new.example"), ("/new", "x")] {
        assert!(table.resolve(&head(uri, Some(host), Version::HTTP_11)).is_err());
    }
}
