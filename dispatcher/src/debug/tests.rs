//! What the page shows of an egress, and what it keeps to itself.

use std::time::Duration;

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
    assert_eq!(page["targets"]["subscriber"]["waiting"], 0);
    assert_eq!((&page["assigned_partitions"], &page["parked_records"]), (&0.into(), &0.into()));
    for absent in ["kafka_error", "last_error", "next_retry_ms"] {
        assert_eq!(page[absent], Value::Null, "{absent}");
    }
}

#[tokio::test]
async fn what_an_egress_has_to_do_and_what_went_wrong_are_shown_until_they_are_over() {
    let subscriber = Subscriber::start().await;
    let shared = shared(&subscriber, "", "");
    let pipeline = shared.pipeline.load();
    let shown = || serde_json::to_value(Running::of(&pipeline)).unwrap();
    let partition = pipeline.live.partition();
    partition.are(3, Some(Duration::from_secs(60)));
    pipeline.live.kafka_failed("no such topic".to_owned());
    let in_flight = pipeline.metrics.in_flight(Role::Subscriber);
    let page = shown();
    assert_eq!((&page["assigned_partitions"], &page["parked_records"]), (&1.into(), &3.into()));
    assert_eq!(page["targets"]["subscriber"]["in_flight"], 1);
    assert_eq!(page["kafka_error"]["error"], "no such topic");
    let due = page["next_retry_ms"].as_i64().unwrap() - millrace_runtime::clock::now_millis();
    assert!((50_000..=60_000).contains(&due), "{due}");
    assert!(!Running::of(&pipeline).waits_for_kafka(), "it has a partition");
    drop((in_flight, partition));
    assert!(Running::of(&pipeline).waits_for_kafka());
    pipeline.live.kafka_works();
    let page = shown();
    assert_eq!((&page["assigned_partitions"], &page["kafka_error"]), (&0.into(), &Value::Null));
    assert_eq!((&page["targets"]["subscriber"]["in_flight"], &page["next_retry_ms"]), (&0.into(), &Value::Null));
}
