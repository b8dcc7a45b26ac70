//! Dispatchers that are killed or told to end while much is under way (proof R1 and R3).

use std::thread;
use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::Subscription;
use millrace_tests::random::Random;
use millrace_tests::rig::{Rig, check_order, check_repeats};
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::wait::{wait_for, wait_until};

/// A dead member is missed after a second instead of the usual six and more.
const SHORT_SESSION: &str = "session.timeout.ms=1000\nheartbeat.interval.ms=200";

/// What is finished may take this long until a commit says so: told every 50 ms, committed every 100 ms, on a machine
/// that has other things to do.
const COMMIT_WINDOW: Duration = Duration::from_millis(700);

fn slow_subscriber() -> Subscriber {
    Subscriber::scripted(|arrival| {
        let seed = arrival.id.bytes().fold(u64::from(arrival.attempt), |seed, byte| seed * 31 + u64::from(byte));
        Answer::status(200).after(Duration::from_millis(Random::new(seed).below(200)))
    })
}

#[test]
fn twenty_kills_at_random_lose_nothing_and_repeat_only_what_no_commit_could_tell() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = slow_subscriber();
    let limits = format!("{SHORT_SESSION}\nmillrace.in.flight.max=40");
    let rig = Rig::new(kafka, "kills", 4, &limits, &[Subscription::new("all", subscriber.url("/in")).unordered()]);
    let mut random = Random::of_this_run();
    let (mut ids, mut kills, mut cut) = (Vec::new(), Vec::new(), 0);
    for round in 0..20_u64 {
        ids.extend(rig.produce(&format!("r{round}"), 60, 16));
        let mut dispatcher = rig.dispatcher();
        let before = subscriber.count_on("/in");
        wait_until("some deliveries", PATIENCE, || subscriber.count_on("/in") > before + 20);
        thread::sleep(Duration::from_millis(random.below(250)));
        rig.check_commits(&subscriber, "/in");
        dispatcher.kill();
        kills.push(Instant::now());
        cut += subscriber.arrivals_on("/in").iter().filter(|arrival| arrival.answered.is_none()).count();
    }
    let _last = rig.dispatcher();
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    rig.wait_for_no_lag();
    rig.check_commits(&subscriber, "/in");
    let arrivals = subscriber.arrivals_on("/in");
    let repeats = check_repeats(&arrivals, &kills, COMMIT_WINDOW);
    eprintln!("{} events, {repeats} repeated, {cut} cut by 20 kills", ids.len());
    assert!(cut > 20, "the kills must find deliveries under way: {cut}");
    assert!(arrivals.iter().all(|arrival| ids.contains(&arrival.id)), "nothing else is delivered");
}

#[test]
fn an_ordered_partition_is_replayed_from_where_it_was_after_a_kill() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = slow_subscriber();
    let rig = Rig::new(kafka, "kills-ordered", 4, SHORT_SESSION, &[Subscription::new("all", subscriber.url("/in"))]);
    let ids = rig.produce("e", 120, 16);
    let mut kills = Vec::new();
    for _ in 0..4 {
        let mut dispatcher = rig.dispatcher();
        let before = subscriber.count_on("/in");
        wait_until("some deliveries", PATIENCE, || subscriber.count_on("/in") > before + 15);
        dispatcher.kill();
        kills.push(Instant::now());
    }
    let _last = rig.dispatcher();
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    rig.wait_for_no_lag();
    check_repeats(&subscriber.arrivals_on("/in"), &kills, COMMIT_WINDOW);
}

#[test]
fn a_dispatcher_told_to_end_beside_hung_and_waiting_deliveries_repeats_only_those() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::scripted(|arrival| match (arrival.id.as_str(), arrival.attempt) {
        ("e-0", 1) => Answer::hang(),
        ("e-3", 1) => Answer::status(503),
        _ => Answer::status(200),
    });
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered().retrying(3, 600_000);
    let rig = Rig::new(kafka, "hung-end", 1, "", &[subscription]);
    let ids = rig.produce("e", 40, 1);
    let mut dispatcher = rig.plane.dispatcher_program().env("MILLRACE_DRAIN_SECONDS", "2").start();
    subscriber.wait_for_arrivals("/in", 40, PATIENCE);
    let told = Instant::now();
    let status = dispatcher.stop(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0), "it ends in time beside a delivery that does not, after {:?}", told.elapsed());
    assert_eq!(rig.committed().values().sum::<i64>(), 0, "record 0 is unfinished");
    let _second = rig.dispatcher();
    rig.wait_for_no_lag();
    let arrivals = subscriber.arrivals_on("/in");
    let mut again: Vec<_> = arrivals.iter().skip(ids.len()).map(|arrival| arrival.id.as_str()).collect();
    again.sort_unstable();
    assert_eq!(again, ["e-0", "e-3"], "only what was unfinished is sent again");
}

#[test]
fn order_by_key_holds_through_a_kill_and_a_failing_key_stops_no_other() {
    let Some(kafka) = Kafka::shared() else { return };
    let failing = |id: &str| id.strip_prefix("e-").and_then(|number| number.parse::<usize>().ok()) == Some(5);
    let subscriber = Subscriber::scripted(move |arrival| {
        if failing(&arrival.id) && arrival.attempt < 3 { Answer::status(503) } else { Answer::status(200) }
    });
    let lines = format!("{SHORT_SESSION}\nmillrace.ordered.by=key");
    let subscription = Subscription::new("all", subscriber.url("/in")).retrying(9, 700);
    let rig = Rig::new(kafka, "by-key", 1, &lines, &[subscription]);
    let ids = rig.produce("e", 100, 10);
    let mut first = rig.dispatcher();
    let others: Vec<String> = ids.iter().filter(|id| !id.ends_with('5') || id.as_str() == "e-5").cloned().collect();
    subscriber.wait_for_ids("/in", &others, PATIENCE);
    wait_for("a commit that tells of them", PATIENCE, || {
        let commits = records::commits(&kafka.bootstrap(), &rig.group(), &rig.channel.topic());
        let told = commits.values().any(|(offset, metadata)| *offset == 5 && !metadata.is_empty());
        if told { Ok(()) } else { Err(format!("{commits:?}")) }
    });
    let held = subscriber.arrivals_on("/in").iter().filter(|arrival| arrival.id.ends_with('5')).count();
    let sent_before = subscriber.arrivals_on("/in").len();
    first.kill();
    let _second = rig.dispatcher();
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    rig.wait_for_no_lag();
    let arrivals = subscriber.arrivals_on("/in");
    let of_key: Vec<_> = arrivals.iter().filter(|arrival| arrival.id.ends_with('5')).map(|it| it.id.as_str()).collect();
    let successors: Vec<_> = of_key.iter().filter(|id| **id != "e-5").collect();
    assert_eq!(
        successors,
        ["e-15", "e-25", "e-35", "e-45", "e-55", "e-65", "e-75", "e-85", "e-95"].iter().collect::<Vec<_>>()
    );
    assert!(held <= 3 && of_key.iter().rposition(|id| *id == "e-5") < of_key.iter().position(|id| *id == "e-15"));
    let again: Vec<_> = arrivals.iter().skip(sent_before).filter(|arrival| !arrival.id.ends_with('5')).collect();
    assert!(again.is_empty(), "finished records of other keys are not sent again: {again:?}");
}

/// `check_order` is for single owners without kills.
#[test]
fn an_ordered_subscription_of_one_process_keeps_every_partition_s_order() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = slow_subscriber();
    let rig = Rig::new(kafka, "one-ordered", 8, "", &[Subscription::new("all", subscriber.url("/in"))]);
    let ids = rig.produce("e", 80, 32);
    let _dispatcher = rig.dispatcher();
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    check_order(&subscriber.arrivals_on("/in"));
    rig.wait_for_no_lag();
}
