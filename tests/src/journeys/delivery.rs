//! Retries, dead letters and order.
//!
//! Sources: dispatcher specification 2.2, 4.1, 4.5 and 5; design section 4 rows 6, 7 and 10.

use std::time::Duration;

use super::Whole;
use crate::PATIENCE;
use crate::broker::{Broker, records};
use crate::contract::Subscription;
use crate::event::TestEvent;
use crate::plane::lines_about;
use crate::process::{Line, has};
use crate::subscriber::{Answer, Arrival, Subscriber};
use crate::wait::wait_for;

/// Two retryable answers and then success: three attempts with growing pauses, then nothing more.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_retry(broker: &dyn Broker, name: &str) {
    let subscriber = Subscriber::scripted(|arrival| match arrival.attempt {
        1 => Answer::status(503),
        2 => Answer::close(),
        _ => Answer::status(200),
    });
    let subscription = Subscription::new("flaky", subscriber.url("/in")).retrying(3, 100);
    let whole = Whole::start(broker, name, 1, subscription);
    whole.post(&TestEvent::new("a"));
    whole.post(&TestEvent::new("b"));
    subscriber.wait_for_arrivals("/in", 6, PATIENCE);
    records::wait_for_no_lag(&broker.bootstrap(), &whole.channel.group("flaky"), &whole.channel.topic());
    let arrivals = subscriber.arrivals_on("/in");
    let ids: Vec<_> = arrivals.iter().map(|arrival| (arrival.id.as_str(), arrival.attempt)).collect();
    assert_eq!(ids, [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3)], "ordered, and no attempt too many");
    check_pause(&arrivals[0], &arrivals[1], 100);
    check_pause(&arrivals[1], &arrivals[2], 200);
    let attempts = attempts(&whole, "a", 3);
    assert_eq!(attempts.iter().map(|line| field(line, "outcome")).collect::<Vec<_>>(), ["retry", "retry", "delivered"]);
    assert_eq!(attempts[0].get("status_code").and_then(serde_json::Value::as_u64), Some(503));
    assert!(attempts[1].get("status_code").is_none_or(serde_json::Value::is_null), "{:?}", attempts[1]);
    assert_eq!(finished(&whole, "a"), "delivered");
}

/// An event whose retries end goes to the dead letter sink with the reason; one that cannot be retried goes at once.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_dead_letter(broker: &dyn Broker, name: &str) {
    let subscriber = Subscriber::scripted(|arrival| match (arrival.path.as_str(), arrival.id.as_str()) {
        ("/in", "retried") => Answer::respond(500, &[("kne-hint", "later")], "no luck"),
        ("/in", "refused") => Answer::respond(400, &[], "bad"),
        _ => Answer::status(202),
    });
    let subscription =
        Subscription::new("failing", subscriber.url("/in")).retrying(2, 20).dead_letter(subscriber.url("/dls"));
    let whole = Whole::start(broker, name, 1, subscription);
    let retried = TestEvent::new("retried").with("myext", "kept");
    whole.post(&retried);
    whole.post(&TestEvent::new("refused"));
    whole.post(&TestEvent::new("fine"));
    let letters = subscriber.wait_for_arrivals("/dls", 2, PATIENCE);
    subscriber.wait_for_ids("/in", &["fine".to_owned()], PATIENCE);
    records::wait_for_no_lag(&broker.bootstrap(), &whole.channel.group("failing"), &whole.channel.topic());

    let attempts = |id: &str| subscriber.arrivals_on("/in").iter().filter(|arrival| arrival.id == id).count();
    assert_eq!((attempts("retried"), attempts("refused"), attempts("fine")), (3, 1, 1));
    let letter = |id: &str| letters.iter().find(|arrival| arrival.id == id).expect("a dead letter").clone();
    let (first, second) = (letter("retried"), letter("refused"));
    assert_eq!(first.header("ce-knativeerrordest"), Some(subscriber.url("/in").as_str()));
    assert_eq!(first.header("ce-knativeerrorcode"), Some("500"));
    assert_eq!(first.header("ce-knativeerrordata"), Some("bm8gbHVjaw=="), "base64 of the answer's body");
    assert_eq!(first.header("ce-hint"), Some("later"), "a kne- header of the answer becomes an extension");
    assert_eq!(first.header("ce-myext"), Some("kept"));
    assert_eq!(Some(first.body.to_vec()), retried.data);
    assert_eq!(second.header("ce-knativeerrorcode"), Some("400"));
    assert_eq!((finished(&whole, "retried"), finished(&whole, "fine")), ("dead_lettered".into(), "delivered".into()));
}

/// A subscriber that never answers is left after the attempt's timeout, and the sink learns the destination only.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_timeout(broker: &dyn Broker, name: &str) {
    let subscriber =
        Subscriber::scripted(|arrival| if arrival.path == "/in" { Answer::hang() } else { Answer::status(202) });
    let subscription =
        Subscription::new("hanging", subscriber.url("/in")).timeout_ms(300).dead_letter(subscriber.url("/dls"));
    let whole = Whole::start(broker, name, 1, subscription);
    whole.post(&TestEvent::new("a"));
    let letters = subscriber.wait_for_arrivals("/dls", 1, PATIENCE);
    let sent = &subscriber.arrivals_on("/in")[0];
    let waited = letters[0].at - sent.at;
    assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&waited), "left after {waited:?}");
    assert_eq!(letters[0].header("ce-knativeerrordest"), Some(subscriber.url("/in").as_str()));
    assert_eq!((letters[0].header("ce-knativeerrorcode"), letters[0].header("ce-knativeerrordata")), (None, None));
}

/// An ordered subscription gets each partition's events one at a time, in order, retries included.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_order(broker: &dyn Broker, name: &str) {
    let subscriber = Subscriber::scripted(|arrival| {
        let fails = arrival.attempt == 1 && arrival.id.ends_with('3');
        Answer::status(if fails { 503 } else { 200 }).after(Duration::from_millis(5))
    });
    let subscription = Subscription::new("ordered", subscriber.url("/in")).retrying(2, 30);
    let whole = Whole::start(broker, name, 3, subscription);
    let ids: Vec<String> = (0..60).map(|number| format!("e-{number}")).collect();
    let mut client = whole.ingress.client();
    for (number, id) in ids.iter().enumerate() {
        let event = TestEvent::new(id.as_str()).with("partitionkey", format!("key-{}", number % 7));
        let answer = client.post(&whole.channel.host(), &whole.channel.path(), &event).expect("an answer");
        assert_eq!(answer.status, 202);
    }
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    records::wait_for_no_lag(&broker.bootstrap(), &whole.channel.group("ordered"), &whole.channel.topic());
    let arrivals = subscriber.arrivals_on("/in");
    let partitions: Vec<i64> = (0..3).filter(|partition| of_partition(&arrivals, *partition).count() > 1).collect();
    assert!(partitions.len() > 1, "the keys must reach several partitions for the test to mean something");
    for partition in partitions {
        let own: Vec<&Arrival> = of_partition(&arrivals, partition).collect();
        for pair in own.windows(2) {
            let offsets = [pair[0], pair[1]].map(|arrival| arrival.number("ce-knativekafkaoffset"));
            assert!(
                offsets[0] <= offsets[1],
                "partition {partition}: offset {:?} came after {:?}",
                offsets[1],
                offsets[0]
            );
            let answered = pair[0].answered.expect("every request is answered");
            assert!(pair[1].at >= answered, "partition {partition}: {} overlaps {}", pair[1].id, pair[0].id);
        }
    }
}

/// An unordered subscription does not wait for one slow event before it sends the next.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_unordered(broker: &dyn Broker, name: &str) {
    let subscriber =
        Subscriber::scripted(|arrival| if arrival.id == "slow" { Answer::hang() } else { Answer::status(200) });
    let whole = Whole::start(broker, name, 1, Subscription::new("any", subscriber.url("/in")).unordered());
    whole.post(&TestEvent::new("slow"));
    subscriber.wait_for_arrivals("/in", 1, PATIENCE);
    let ids: Vec<String> = (0..10).map(|number| format!("fast-{number}")).collect();
    for id in &ids {
        whole.post(&TestEvent::new(id.as_str()));
    }
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    let committed = records::committed(&broker.bootstrap(), &whole.channel.group("any"), &whole.channel.topic());
    assert!(
        committed.values().all(|offset| *offset == 0),
        "nothing beyond the unfinished record is committed: {committed:?}"
    );
}

fn of_partition(arrivals: &[Arrival], partition: i64) -> impl Iterator<Item = &Arrival> {
    arrivals.iter().filter(move |arrival| arrival.number("ce-knativekafkapartition") == Some(partition))
}

#[track_caller]
fn check_pause(before: &Arrival, after: &Arrival, least_ms: u64) {
    let pause = after.at - before.answered.unwrap_or(before.at);
    let least = Duration::from_millis(least_ms);
    // Jitter adds at most a tenth; the rest is room for a loaded machine. A timer may fire a millisecond early.
    let allowed = least - Duration::from_millis(2)..least + Duration::from_secs(3);
    assert!(allowed.contains(&pause), "the pause was {pause:?}, not about {least:?}");
}

#[track_caller]
fn attempts(whole: &Whole, id: &str, count: usize) -> Vec<Line> {
    wait_for(&format!("{count} logged attempts of {id}"), PATIENCE, || {
        let lines = lines_about(&whole.dispatcher, "Delivery attempt", id);
        let lines: Vec<Line> = lines.into_iter().filter(|line| has(line, "role", "subscriber")).collect();
        if lines.len() == count { Ok(lines) } else { Err(format!("{lines:?}")) }
    })
}

#[track_caller]
fn finished(whole: &Whole, id: &str) -> String {
    wait_for(&format!("the logged end of {id}"), PATIENCE, || {
        let lines = lines_about(&whole.dispatcher, "Event finished", id);
        lines.first().map(|line| field(line, "outcome").to_owned()).ok_or("no such line")
    })
}

fn field<'l>(line: &'l Line, name: &str) -> &'l str {
    line.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
}
