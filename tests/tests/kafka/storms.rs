//! Members that come and go beside a subscriber that hangs, and subscribers slower than any poll interval (proof R7, R8).

use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::contract::Subscription;
use millrace_tests::process::is_message;
use millrace_tests::rig::{Rig, check_order};
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::wait::wait_for;

/// A revocation waits 3 s for what hangs; the rest is the group's own work on a loaded machine.
const STABLE: Duration = Duration::from_secs(5);

#[track_caller]
fn wait_for_members(kafka: &Kafka, groups: &[String], members: usize) {
    let started = Instant::now();
    for group in groups {
        wait_for(&format!("{members} members of {group}"), STABLE, || match kafka.group(group) {
            (found, state) if found == members && state == "Stable" => Ok(()),
            other => Err(format!("{other:?} after {:?}", started.elapsed())),
        });
    }
}

/// One dispatcher stays, another joins and leaves again and again, one of two subscribers never answers.
#[track_caller]
fn check_storm(name: &str, assignor: &str) {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::scripted(|arrival| match arrival.path.as_str() {
        "/hung" => Answer::hang(),
        _ => Answer::status(200).after(Duration::from_millis(2)),
    });
    let lines = format!("partition.assignment.strategy=org.apache.kafka.clients.consumer.{assignor}");
    let subscriptions = [
        Subscription::new("flows", subscriber.url("/flows")),
        Subscription::new("hangs", subscriber.url("/hung")).unordered(),
    ];
    let rig = Rig::new(kafka, name, 4, &lines, &subscriptions);
    let groups = ["flows", "hangs"].map(|subscription| rig.channel.group(subscription));
    let first = rig.dispatcher();
    let mut ids = rig.produce("start", 40, 16);
    subscriber.wait_for_ids("/flows", &ids, PATIENCE);
    for round in 0..3 {
        ids.extend(rig.produce(&format!("join{round}"), 60, 16));
        let mut second = rig.plane.dispatcher_program().env("MILLRACE_DRAIN_SECONDS", "2").start();
        second.wait_for_message("Dispatcher started", PATIENCE);
        wait_for_members(kafka, &groups, 2);
        rig.check_commits(&subscriber, "/flows");
        ids.extend(rig.produce(&format!("leave{round}"), 60, 16));
        second.stop(Duration::from_secs(5));
        wait_for_members(kafka, &groups, 1);
        subscriber.wait_for_ids("/flows", &ids, STABLE);
    }
    rig.wait_for_no_lag();
    rig.check_commits(&subscriber, "/flows");
    let mut known = std::collections::BTreeSet::new();
    let repeated = subscriber.arrivals_on("/flows").iter().filter(|it| !known.insert(it.id.clone())).count();
    assert_eq!(repeated, 0, "a clean hand-over repeats nothing");
    let revoked = first.count_lines(|line| is_message(line, "Partitions revoked"));
    assert!(revoked > 0, "partitions must have moved while deliveries hung");
}

/// R7: a dispatcher joins or leaves every 2 s for half a minute; deliveries a second, against those of a calm time before.
/// The subscriber's time is what bounds them, so the ratio says little of the machine.
#[track_caller]
fn check_throughput(name: &str, assignor: &str) {
    const PACE: Duration = Duration::from_secs(2);
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::scripted(|_| Answer::status(200).after(Duration::from_millis(8)));
    let lines = format!("partition.assignment.strategy=org.apache.kafka.clients.consumer.{assignor}");
    let rig = Rig::new(kafka, name, 4, &lines, &[Subscription::new("flows", subscriber.url("/in"))]);
    // More than there is time for: 4 partitions, at most 125 a second each.
    let ids = rig.produce("e", 25_000, 64);
    let mut first = rig.dispatcher();
    let rate = |work: &mut dyn FnMut()| {
        let (before, begun) = (subscriber.count_on("/in"), Instant::now());
        work();
        f64::from(u32::try_from(subscriber.count_on("/in") - before).unwrap()) / begun.elapsed().as_secs_f64()
    };
    subscriber.wait_for_arrivals("/in", 200, PATIENCE);
    let calm = rate(&mut || std::thread::sleep(PACE * 4));
    let storm = rate(&mut || {
        for _ in 0..8 {
            let mut second = rig.plane.start_dispatcher();
            std::thread::sleep(PACE);
            assert_eq!(second.stop(Duration::from_secs(15)).code(), Some(0));
            std::thread::sleep(PACE);
        }
    });
    let share = storm / calm;
    let moves = first.count_lines(|line| is_message(line, "Partitions revoked"));
    eprintln!("{assignor}: {calm:.0} events/s, {storm:.0} while members come and go: {share:.2}; moved {moves} times");
    assert!(moves >= 3, "members must have come and gone: {moves}");
    // The proof's claim is a half. A machine that is busy elsewhere stretches each change of hands.
    assert!(share > 0.3, "{share:.2} of the calm rate");
    assert_eq!(first.stop(Duration::from_secs(15)).code(), Some(0));
    let arrivals = subscriber.arrivals_on("/in");
    check_order(&arrivals);
    rig.check_commits(&subscriber, "/in");
    let delivered: std::collections::BTreeSet<_> = arrivals.iter().map(|arrival| arrival.id.as_str()).collect();
    assert!(delivered.len() < ids.len(), "there must be work until the end");
    assert_eq!(
        arrivals.len(),
        delivered.len(),
        "clean hand-overs repeat nothing, and nobody goes back to the beginning"
    );
    let committed: i64 = rig.committed().values().sum();
    assert_eq!(usize::try_from(committed), Ok(delivered.len()), "what is delivered is committed, no more and no less");
}

#[test]
fn deliveries_go_on_while_members_come_and_go_cooperatively() {
    check_throughput("rate-cooperative", "CooperativeStickyAssignor");
}

#[test]
fn deliveries_go_on_while_members_come_and_go_eagerly() {
    check_throughput("rate-eager", "RangeAssignor");
}

#[test]
fn members_come_and_go_cooperatively_beside_a_hung_subscriber() {
    check_storm("storm-cooperative", "CooperativeStickyAssignor");
}

#[test]
fn members_come_and_go_eagerly_beside_a_hung_subscriber() {
    check_storm("storm-eager", "RangeAssignor");
}

#[test]
fn a_subscriber_slower_than_the_session_and_poll_interval_costs_no_membership() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::scripted(|_| Answer::status(200).after(Duration::from_secs(4)));
    let lines = "session.timeout.ms=1000\nheartbeat.interval.ms=200\nmax.poll.interval.ms=1500";
    let rig = Rig::new(kafka, "starving", 1, lines, &[Subscription::new("all", subscriber.url("/in"))]);
    let dispatcher = rig.dispatcher();
    let ids = rig.produce("e", 2, 1);
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    rig.wait_for_no_lag_within(Duration::from_secs(8));
    assert_eq!(dispatcher.count_lines(|line| is_message(line, "Partitions assigned")), 1);
    assert_eq!(dispatcher.count_lines(|line| is_message(line, "Partitions revoked")), 0);
    assert_eq!(subscriber.count_on("/in"), 2);
}
