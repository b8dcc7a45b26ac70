//! A broker that stops answering, and one that dies and comes back on its files (proof R4, the dispatcher's part).

use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::contract::Subscription;
use millrace_tests::subscriber::{Answer, Subscriber};

use crate::rig::Rig;

/// Longer than session, request and poll time-outs; a minute in the proof, this in CI.
const AWAY: Duration = Duration::from_secs(10);

#[test]
fn a_dispatcher_goes_on_when_its_broker_is_frozen_and_when_it_dies_and_comes_back() {
    let Some(mut kafka) = Kafka::start_unless_missing(&["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]) else { return };
    let subscriber = Subscriber::scripted(|_| Answer::status(200).after(Duration::from_millis(5)));
    let lines = "session.timeout.ms=3000\nheartbeat.interval.ms=500\nrequest.timeout.ms=2000";
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered();
    let rig = Rig::new(&kafka, "away", 4, lines, &[subscription]);
    let mut dispatcher = rig.dispatcher();
    let mut ids = rig.produce("before", 400, 16);
    subscriber.wait_for_arrivals("/in", 100, PATIENCE);
    kafka.freeze();
    std::thread::sleep(AWAY);
    assert!(dispatcher.has_ended().is_none(), "{}", dispatcher.output());
    kafka.thaw();
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    ids.extend(rig.produce("between", 50, 16));
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    rig.wait_for_no_lag();
    rig.check_commits(&subscriber, "/in");
    let (plane, channel) = (rig.plane, rig.channel);
    kafka.kill();
    std::thread::sleep(AWAY / 2);
    assert!(dispatcher.has_ended().is_none(), "{}", dispatcher.output());
    kafka.start_again();
    let rig = Rig { kafka: &kafka, plane, channel };
    ids.extend(rig.produce("after", 50, 16));
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    rig.wait_for_no_lag();
    rig.check_commits(&subscriber, "/in");
    // Each time that the group gave its partitions away, what could not be committed before may come again: all of it.
    let losses = dispatcher.output().matches("\"lost\":true").count().max(1);
    let repeated = subscriber.count_on("/in") - ids.len();
    assert!(repeated <= losses * 450, "{repeated} of {} events came again, {losses} losses", ids.len());
}
