//! What the page shows of an egress, and what it keeps to itself.

use serde_json::Value;

use super::*;
use crate::testing::{Subscriber, shared};

#[tokio::test]
async fn a_running_egress_shows_its_targets_and_nothing_secret() {
    let subscriber = Subscriber::start().await;
    let shared = shared(
        &subscriber,
        r#","egressConfig":{"deadLetter":"http://user:secret@sink.example/letters","retry":1,"backoffDelay":"10"}"#,
        "millrace.in.flight.max=7",
    );
    let page = serde_json::to_value(Running::of(&shared.pipeline.load())).unwrap();
    let expected = format!("{}/subscriber", subscriber.url);
    assert_eq!(page["targets"]["subscriber"]["url"], expected);
    assert_eq!(page["targets"]["subscriber"]["in_flight"], 0);
    assert_eq!(page["targets"]["subscriber"]["limit"], 7);
    assert_eq!(page["targets"]["subscriber"]["breaker"], "closed");
    assert_eq!(page["targets"]["dead_letter_sink"]["url"], "http://sink.example/letters");
    assert_eq!((&page["last_error"], &page["next_retry_ms"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_url_is_shown_without_its_user() {
    for (url, shown) in [
        ("http://host/path", "http://host/path"),
        ("http://user:pass@host:80/a@b", "http://host:80/a@b"),
        ("http://u@host", "http://host"),
        ("http://host/?q=a@b", "http://host/?q=a@b"),
    ] {
        assert_eq!(without_user(url), shown);
    }
}
