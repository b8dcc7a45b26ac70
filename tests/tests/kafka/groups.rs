//! Members of other kinds in our groups: Java consumers, with assignors that we share and with ones that we do not.

use std::thread;
use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::{self, Kafka};
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::Subscription;
use millrace_tests::rig::Rig;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::{wait_for, wait_until};

const ASSIGNORS: &str = "org.apache.kafka.clients.consumer.";

/// A Java consumer of a rig's group; it leaves when nothing came for `idle_ms`, and gives the values that it printed.
fn java_member(kafka: &'static Kafka, rig: &Rig<'_>, assignor: &str, idle_ms: u32) -> thread::JoinHandle<Vec<String>> {
    let option = if kafka::version().starts_with("3.") { "--consumer-property" } else { "--command-property" };
    let assignor = format!("partition.assignment.strategy={ASSIGNORS}{assignor}");
    let (topic, group, idle) = (rig.channel.topic(), rig.group(), idle_ms.to_string());
    thread::spawn(move || {
        let args = ["--topic", &topic, "--group", &group, "--timeout-ms", &idle, option, &assignor];
        let more = [option, "auto.offset.reset=earliest", option, "session.timeout.ms=6000"];
        let printed = kafka.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &[&args[..], &more].concat());
        // Between the values it logs that nothing more came.
        printed.lines().filter(|line| line.contains('-') && !line.contains(' ')).map(str::to_owned).collect()
    })
}

fn wait_for_stable(kafka: &Kafka, group: &str, members: usize, limit: Duration) {
    wait_for(&format!("{members} members of {group}"), limit, || match kafka.group(group) {
        (found, state) if found == members && state == "Stable" => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn two_dispatchers_and_a_java_consumer_share_a_group_and_nothing_is_lost() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered();
    let rig = Rig::new(kafka, "mixed", 6, "", &[subscription]);
    let (_first, _second) = (rig.dispatcher(), rig.plane.start_dispatcher());
    let java = java_member(kafka, &rig, "CooperativeStickyAssignor", 5000);
    wait_for_stable(kafka, &rig.group(), 3, PATIENCE);
    let ids = rig.produce("e", 300, 60);
    let by_java = java.join().unwrap();
    let everybody = || {
        let arrived = subscriber.arrivals_on("/in");
        ids.iter().filter(|id| !by_java.contains(id) && !arrived.iter().any(|it| it.id == **id)).count()
    };
    wait_until("every event at one of the three", PATIENCE, || everybody() == 0);
    assert!(!by_java.is_empty() && by_java.len() < 300, "Java had a share: {}", by_java.len());
    // What it committed when it left, without metadata, is where the dispatchers go on.
    wait_for_stable(kafka, &rig.group(), 2, PATIENCE);
    let later = rig.produce("later", 60, 60);
    subscriber.wait_for_ids("/in", &later, PATIENCE);
    rig.wait_for_no_lag();
}

#[test]
fn a_java_consumer_takes_over_where_a_dispatcher_stopped() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    let rig = Rig::new(kafka, "java-after", 2, "", &[Subscription::new("all", subscriber.url("/in")).unordered()]);
    let ids = rig.produce("e", 40, 8);
    let mut dispatcher = rig.dispatcher();
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    dispatcher.stop(PATIENCE);
    let mut later = rig.produce("later", 10, 8);
    let mut by_java = java_member(kafka, &rig, "CooperativeStickyAssignor", 3000).join().unwrap();
    by_java.sort();
    later.sort();
    assert_eq!(by_java, later);
    let committed = records::committed(&kafka.bootstrap(), &rig.group(), &rig.channel.topic());
    assert_eq!(committed.values().sum::<i64>(), 50);
}

#[test]
fn a_dispatcher_tries_to_join_until_members_with_a_foreign_assignor_have_gone() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    let rig = Rig::new(kafka, "foreign", 2, "", &[Subscription::new("all", subscriber.url("/in"))]);
    // The peer's shipped assignor; ours for it is cooperative-sticky, which cannot be in one group with it.
    let java = java_member(kafka, &rig, "StickyAssignor", 6000);
    wait_for_stable(kafka, &rig.group(), 1, PATIENCE);
    let mut dispatcher = rig.plane.start_dispatcher();
    dispatcher.wait_for_log("that it cannot join", PATIENCE, |line| {
        let text = line.to_string();
        text.contains("InconsistentGroupProtocol") || text.contains("Inconsistent group protocol")
    });
    assert_eq!(kafka.group(&rig.group()), (1, "Stable".to_owned()), "the foreign member is not disturbed");
    let _by_java = java.join().unwrap();
    let ids = rig.produce("e", 10, 4);
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    assert!(dispatcher.has_ended().is_none());
}
