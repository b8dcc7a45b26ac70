//! Writes that wait for room, for their time, or for the watch.

use std::convert::Infallible;

use http::Response;
use kube::client::Body;
use serde_json::json;

use super::*;

/// Writes to a server that takes everything.
fn writes() -> Writes {
    let answer = |_: Request<Body>| async {
        let object = json!({"metadata": {"resourceVersion": "7"}}).to_string();
        Ok::<_, Infallible>(Response::new(Body::from(object.into_bytes())))
    };
    Writes::new(Client::new(tower::service_fn(answer), "default"))
}

fn write(number: usize) -> Write {
    let name = format!("c{number}");
    Write {
        key: (Aspect::ChannelStatus, "ns".to_owned(), name.clone()),
        path: format!("/apis/messaging.knative.dev/v1beta1/namespaces/ns/kafkachannels/{name}/status"),
        action: Action::Merge,
        body: json!({"status": {"observedGeneration": number}}),
        seen: "5".to_owned(),
        not_before: None,
    }
}

#[tokio::test]
async fn what_waits_for_room_is_written_without_another_look_at_the_objects() {
    let mut writes = writes();
    let all = AT_ONCE * 3;
    writes.start((0..all).map(write).collect());
    assert_eq!(writes.running.len(), AT_ONCE);
    let mut done = BTreeSet::new();
    while done.len() < all {
        let finished = timeout(LIMIT, writes.finished()).await.expect("writes go on");
        assert!(writes.running.len() <= AT_ONCE);
        done.extend(finished.into_iter().map(|finished| finished.key));
    }
    // They are done; until the watch shows that, nothing has to be written again.
    writes.start((0..all).map(write).collect());
    assert_eq!((writes.running.len(), writes.waiting.len()), (0, 0));
}

#[tokio::test]
async fn what_is_no_longer_wanted_does_not_wait_for_room() {
    let mut writes = writes();
    writes.start((0..AT_ONCE * 2).map(write).collect());
    writes.start(Vec::new());
    let mut done = 0;
    while !writes.running.is_empty() {
        done += timeout(LIMIT, writes.finished()).await.expect("writes end").len();
    }
    assert_eq!(done, AT_ONCE);
}

#[test]
fn a_watch_has_caught_up_when_it_shows_the_version_or_a_later_one() {
    for (seen, written, expected) in
        [("10", "9", true), ("9", "9", true), ("8", "9", false), ("", "9", false), ("a", "a", true), ("a", "b", false)]
    {
        assert_eq!(has_caught_up(seen, written), expected, "{seen} {written}");
    }
}
