//! Dead letter sinks that are away or refuse (R15): the offset moves only when somebody has the event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::Subscription;
use millrace_tests::plane::{admin_page, metric};
use millrace_tests::proxy::Proxy;
use millrace_tests::rig::Rig;
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::wait::wait_for;

const EVENTS: usize = 40;
const DOWN: Duration = Duration::from_secs(60);

const FINISHED: &str = "millrace_dispatcher_events_total";
const ATTEMPTS: &str = "millrace_dispatcher_attempts_total";

/// I4 where the subscriber takes nothing: nothing is committed that the sink does not have.
#[track_caller]
fn check_nothing_committed(rig: &Rig<'_>) {
    let committed = rig.committed();
    assert!(committed.values().all(|offset| *offset == 0), "committed beside a sink that is away: {committed:?}");
}

/// R15: I1, I4, I7. A minute.
#[test]
fn events_wait_for_a_dead_letter_sink_that_is_down_for_a_minute_and_then_arrive_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::scripted(|arrival| Answer::status(if arrival.path == "/in" { 400 } else { 202 }));
    let network = Proxy::start(subscriber.address());
    network.refuse();
    let sink = format!("http://{}/sink", network.address());
    // 3 + 6 + ... + 24 s: longer than the sink is away.
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered().retrying(8, 3000).dead_letter(sink);
    let rig = Rig::new(kafka, "sink-down", 2, "", &[subscription]);
    let mut dispatcher = rig.dispatcher();
    let down = Instant::now();
    let ids = rig.produce("e", EVENTS, 8);
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    let refused = ["role=\"dead_letter_sink\"", "result=\"not_connected\""];
    while down.elapsed() < DOWN {
        check_nothing_committed(&rig);
        thread::sleep(Duration::from_secs(1));
    }
    let page = admin_page(&mut dispatcher, "/metrics");
    let tried = metric(&page, ATTEMPTS, &refused);
    assert!(tried >= EVENTS, "every event was tried at the sink, and the metric says so: {tried}");
    let opened = metric(&page, "millrace_dispatcher_breaker_opened_total", &["dead_letter_sink"]);
    eprintln!("{tried} attempts at the sink in {DOWN:?}, breaker opened {opened} times");
    assert_eq!(metric(&page, FINISHED, &["outcome="]), 0, "nothing is finished");
    network.pass();
    // The breaker looks every 30 s at most, the longest pause is 24 s.
    subscriber.wait_for_ids("/sink", &ids, Duration::from_secs(90));
    rig.wait_for_no_lag();
    assert_eq!((subscriber.count_on("/sink"), subscriber.count_on("/in")), (EVENTS, EVENTS), "once each");
    let page = admin_page(&mut dispatcher, "/metrics");
    assert_eq!(metric(&page, FINISHED, &["outcome=\"dead_lettered\""]), EVENTS);
}

/// R15: parked by policy, with the reason; I1, I4.
#[test]
fn events_that_a_dead_letter_sink_refuses_for_ever_are_kept_with_the_reason() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::scripted(|arrival| Answer::status(if arrival.path == "/in" { 400 } else { 500 }));
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered().retrying(2, 50);
    let rig = Rig::new(kafka, "sink-refuses", 2, "", &[subscription.dead_letter(subscriber.url("/sink"))]);
    let mut dispatcher = rig.dispatcher();
    let ids = rig.produce("e", EVENTS, 8);
    let kept = format!("{}.undelivered", rig.channel.topic());
    subscriber.wait_for_arrivals("/sink", EVENTS * 3, PATIENCE);
    let found = records::read(&kafka.bootstrap(), &kept, EVENTS);
    // Ahead of what is kept no offset moves, so that now all of it may.
    rig.wait_for_no_lag();
    assert_eq!(subscriber.count_on("/sink"), EVENTS * 3, "three attempts each and no more");
    let mut known: Vec<_> = found.iter().filter_map(|record| record.header("ce_id")).map(str::to_owned).collect();
    known.sort_unstable();
    let mut expected = ids.clone();
    expected.sort_unstable();
    assert_eq!(known, expected, "each of them, once");
    for record in &found {
        assert_eq!(record.header("millrace-status"), Some("500"), "{record:?}");
        assert_eq!(record.header("millrace-topic"), Some(rig.channel.topic().as_str()));
        assert_eq!(record.value.as_deref(), record.header("ce_id").map(str::as_bytes), "the data is kept");
    }
    let page = admin_page(&mut dispatcher, "/metrics");
    assert_eq!(metric(&page, FINISHED, &["outcome=\"undelivered\""]), EVENTS);
    assert_eq!(metric(&page, FINISHED, &["outcome=\"lost\""]), 0);
}

/// R15: held by policy; I1, I4.
#[test]
fn events_that_may_only_wait_stay_uncommitted_until_the_dead_letter_sink_takes_them() {
    let Some(kafka) = Kafka::shared() else { return };
    let back = Arc::new(AtomicBool::new(false));
    let subscriber = Subscriber::scripted({
        let back = Arc::clone(&back);
        move |arrival| match arrival.path.as_str() {
            "/sink" if back.load(Ordering::Relaxed) => Answer::status(202),
            "/sink" => Answer::status(503),
            _ => Answer::status(400),
        }
    });
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered().retrying(1, 20);
    let subscription = subscription.dead_letter(subscriber.url("/sink"));
    let rig = Rig::new(kafka, "sink-blocks", 2, "millrace.undelivered=block", &[subscription]);
    let mut first = rig.dispatcher();
    let ids = rig.produce("e", EVENTS, 8);
    subscriber.wait_for_arrivals("/sink", EVENTS * 2, PATIENCE);
    let page = wait_for("all attempts on the metrics page", PATIENCE, || {
        let page = admin_page(&mut first, "/metrics");
        let failed = metric(&page, ATTEMPTS, &["role=\"dead_letter_sink\"", "result=\"503\""]);
        if failed >= EVENTS * 2 { Ok(page) } else { Err(failed) }
    });
    assert_eq!(metric(&page, FINISHED, &["outcome="]), 0, "nothing is finished");
    check_nothing_committed(&rig);
    back.store(true, Ordering::Relaxed);
    assert_eq!(first.stop(Duration::from_secs(15)).code(), Some(0), "what is held does not hold the process");
    check_nothing_committed(&rig);
    let before = subscriber.count_on("/sink");
    let _second = rig.dispatcher();
    subscriber.wait_for_arrivals("/sink", before + EVENTS, PATIENCE);
    subscriber.wait_for_ids("/sink", &ids, PATIENCE);
    rig.wait_for_no_lag();
    assert_eq!(subscriber.count_on("/sink"), before + EVENTS, "once each");
}
