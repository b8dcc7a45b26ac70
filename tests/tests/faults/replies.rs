//! Answers that are no replies, are too large, or cannot be stored (R16).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::{Channel, Reply, Subscription};
use millrace_tests::event::TestEvent;
use millrace_tests::journeys::Whole;
use millrace_tests::plane::Plane;
use millrace_tests::subscriber::{Answer, Arrival, Subscriber};
use millrace_tests::wait::wait_until;
use millrace_tests::watch::Watch;

const EACH: usize = 10;
const HUGE: usize = 10 << 20;

fn reply(id: &str, data: impl Into<bytes::Bytes>) -> Answer {
    let attributes = [("ce-specversion", "1.0"), ("ce-id", id), ("ce-source", "/replies"), ("ce-type", "reply")];
    let headers: Vec<_> = attributes.into_iter().chain([("content-type", "text/plain")]).collect();
    Answer::respond(200, &headers, data)
}

fn is_reply(arrival: &Arrival) -> bool {
    arrival.header("ce-type") == Some("reply")
}

fn ids(prefix: &str) -> Vec<String> {
    (0..EACH).map(|number| format!("{prefix}-{number}")).collect()
}

/// R16: I1, I5.
#[test]
fn replies_that_are_no_events_or_too_large_fail_the_delivery_once_and_cost_little_memory() {
    let broker = EmbeddedBroker::start();
    let huge = bytes::Bytes::from(vec![b'x'; HUGE]);
    let subscriber = Subscriber::scripted(move |arrival| match arrival.id.split_once('-') {
        _ if arrival.path == "/sink" || is_reply(arrival) => Answer::status(202),
        Some(("text", _)) => Answer::respond(200, &[("content-type", "text/plain")], "thanks"),
        Some(("cut", _)) => Answer::respond(200, &[("content-type", "application/cloudevents+json")], "{\"id\":"),
        Some(("huge", _)) => reply("never", huge.clone()),
        _ => reply(&format!("reply-to-{}", arrival.id), "r"),
    });
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered().retrying(2, 50);
    let subscription = subscription.replying(Reply::ToTopic).dead_letter(subscriber.url("/sink"));
    let whole = Whole::start(&broker, "replies", 2, subscription);
    let watch = Watch::start(whole.dispatcher.pid());
    let kinds = ["text", "cut", "huge", "fine"];
    for id in kinds.iter().flat_map(|kind| ids(kind)) {
        whole.post(&TestEvent::new(id));
    }
    let failing: Vec<_> = ["text", "cut", "huge"].iter().flat_map(|kind| ids(kind)).collect();
    subscriber.wait_for_ids("/sink", &failing, PATIENCE);
    let replies: Vec<_> = ids("fine").iter().map(|id| format!("reply-to-{id}")).collect();
    subscriber.wait_for_ids("/in", &replies, PATIENCE);
    let (group, topic) = (whole.channel.group("all"), whole.channel.topic());
    records::wait_for_no_lag(&broker.bootstrap(), &group, &topic);
    assert_eq!(subscriber.count_on("/sink"), failing.len(), "once each");
    assert_eq!(subscriber.count_on("/in"), EACH * 5, "an answer that is no reply is not asked for again");
    for letter in subscriber.arrivals_on("/sink") {
        assert_eq!(letter.header("ce-knativeerrordest"), Some(subscriber.url("/in").as_str()));
        assert_eq!(letter.header("ce-knativeerrorcode"), None, "there was no failing answer");
    }
    assert_eq!(records::end_offsets(&broker.bootstrap(), &topic).values().sum::<i64>(), 50, "no other reply is stored");
    watch.check_memory(48);
}

/// R16: I1, I4. The replies cannot be stored: the first fails over to its sink, the second is kept.
#[test]
fn events_whose_replies_cannot_be_stored_go_to_the_sink_or_are_kept_or_come_again() {
    let broker = EmbeddedBroker::start();
    let away = Arc::new(AtomicBool::new(false));
    let subscriber = Subscriber::scripted({
        let away = Arc::clone(&away);
        move |arrival| match arrival.path.as_str() {
            _ if is_reply(arrival) => Answer::status(202),
            "/sink" => Answer::status(202),
            // Held until the broker has gone.
            _ => reply(&format!("reply-to-{}{}", arrival.id, arrival.path.replace('/', "-")), "r").once(&away),
        }
    });
    let sub = |name: &str| Subscription::new(name, subscriber.url(&format!("/{name}"))).unordered();
    let (with, without) = (sub("with").dead_letter(subscriber.url("/sink")), sub("without"));
    let channel = Channel::new("late", &broker.bootstrap());
    let channel = channel.subscribed(with.replying(Reply::ToTopic)).subscribed(without.replying(Reply::ToTopic));
    // The mock has no way to create topics.
    let kept = format!("{}.undelivered", channel.topic());
    broker.create_topic(&kept, 2);
    let plane =
        Plane::new(&broker).with("producer", "delivery.timeout.ms=1500\nrequest.timeout.ms=500\nmax.block.ms=1000");
    let whole = Whole::of(plane, &broker, channel, 2);
    let all = ids("late");
    for id in &all {
        whole.post(&TestEvent::new(id.as_str()));
    }
    for path in ["/with", "/without"] {
        subscriber.wait_for_ids(path, &all, PATIENCE);
    }
    broker.down();
    away.store(true, Ordering::Relaxed);
    subscriber.wait_for_ids("/sink", &all, PATIENCE);
    for letter in subscriber.arrivals_on("/sink") {
        assert_eq!(letter.header("ce-knativeerrordest"), Some(subscriber.url("/with").as_str()));
    }
    broker.up();
    let topic = whole.channel.topic();
    for name in ["with", "without"] {
        let group = whole.channel.group(name);
        wait_until(&format!("no lag of {name}"), Duration::from_secs(60), || {
            let (ends, committed) = (
                records::end_offsets(&broker.bootstrap(), &topic),
                records::committed(&broker.bootstrap(), &group, &topic),
            );
            ends.iter().all(|(partition, end)| *end == 0 || committed.get(partition) == Some(end))
        });
    }
    // Each event of the second subscription has its reply stored, or is kept itself.
    let count = |topic: &str| usize::try_from(records::end_offsets(&broker.bootstrap(), topic).values().sum::<i64>());
    let stored = records::read(&broker.bootstrap(), &topic, count(&topic).unwrap());
    let parked = records::read(&broker.bootstrap(), &kept, count(&kept).unwrap());
    let ids_of = |records: &[records::Record]| -> BTreeSet<String> {
        records.iter().filter_map(|record| record.header("ce_id")).map(str::to_owned).collect()
    };
    let (stored, parked) = (ids_of(&stored), ids_of(&parked));
    for id in &all {
        assert!(parked.contains(id) || stored.contains(&format!("reply-to-{id}-without")), "{id} is gone");
    }
    eprintln!("{} events kept, {} records in the topic", parked.len(), stored.len());
    assert!(!parked.is_empty(), "some replies must have failed for good");
}
