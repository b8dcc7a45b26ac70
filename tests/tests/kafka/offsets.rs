//! Offsets without records, offsets that are gone, and offsets that others set (proof R9).

use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::Subscription;
use millrace_tests::rig::{Rig, event_record};
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::wait::wait_for;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

/// Writes a transaction with one event for each id, and commits or aborts it.
fn transaction(rig: &Rig<'_>, name: &str, ids: &[&str], commit: bool) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", rig.kafka.bootstrap()).set("transactional.id", name);
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for id in ids {
        let record = event_record(id, None);
        let headers = record.headers.iter().fold(rdkafka::message::OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(rdkafka::message::Header { key: name, value: Some(value) })
        });
        let topic = rig.channel.topic();
        let next: BaseRecord<'_, str, str> = BaseRecord::to(&topic).payload(*id).headers(headers);
        producer.send(next).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    if commit { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) }.unwrap();
}

#[test]
fn transaction_markers_and_aborted_records_leave_no_hole() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered();
    let rig = Rig::new(kafka, "transactions", 1, "isolation.level=read_committed", &[subscription]);
    transaction(&rig, "t1", &["a", "b"], true);
    transaction(&rig, "t2", &["x", "y"], false);
    transaction(&rig, "t3", &["c"], true);
    rig.produce("e", 3, 1);
    let _dispatcher = rig.dispatcher();
    subscriber.wait_for_ids("/in", &["a", "b", "c", "e-2"].map(str::to_owned), PATIENCE);
    rig.wait_for_no_lag();
    let ids: Vec<_> = subscriber.arrivals_on("/in").into_iter().map(|arrival| arrival.id).collect();
    assert!(!ids.iter().any(|id| id == "x" || id == "y"), "{ids:?}");
    assert_eq!(ids.len(), 6);
}

#[test]
fn without_isolation_aborted_records_are_events_like_any_other() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    let rig = Rig::new(kafka, "uncommitted", 1, "", &[Subscription::new("all", subscriber.url("/in"))]);
    transaction(&rig, "u1", &["x"], false);
    rig.produce("e", 1, 1);
    let _dispatcher = rig.dispatcher();
    subscriber.wait_for_ids("/in", &["x", "e-0"].map(str::to_owned), PATIENCE);
    rig.wait_for_no_lag();
}

#[test]
fn what_compaction_took_away_is_passed_over() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    let rig = Rig::new(kafka, "compacted", 1, "", &[Subscription::new("all", subscriber.url("/in"))]);
    let topic = rig.channel.topic();
    let compact = "cleanup.policy=compact,segment.ms=100,min.cleanable.dirty.ratio=0.001,max.compaction.lag.ms=200";
    let _done = kafka.tool(
        "kafka.admin.ConfigCommand",
        &["--alter", "--entity-type", "topics", "--entity-name", &topic, "--add-config", compact],
    );
    rig.produce("old", 60, 3);
    wait_for("compaction", Duration::from_secs(60), || {
        // New records roll the segment, which makes the old ones cleanable.
        rig.produce("roll", 1, 1);
        std::thread::sleep(Duration::from_millis(300));
        let first = records::read(&kafka.bootstrap(), &topic, 1);
        let offset = first.first().map_or(0, |record| record.offset);
        if offset > 40 { Ok(()) } else { Err(format!("the first record has offset {offset}")) }
    });
    let last = rig.produce("new", 5, 5);
    let _dispatcher = rig.dispatcher();
    subscriber.wait_for_ids("/in", &last, PATIENCE);
    rig.wait_for_no_lag();
    assert!(subscriber.count_on("/in") < 40, "most of 65 records and more were gone");
}

fn delete_before(rig: &Rig<'_>, offset: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", rig.kafka.bootstrap()).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&rig.channel.topic(), 0, Offset::Offset(offset)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
}

/// Record 0 is committed, records 1 to 59 are deleted, and the dispatcher comes back.
#[track_caller]
fn check_deleted(name: &str, reset: &str, expected: impl Fn(&str) -> bool) {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::scripted(|arrival| match arrival.id.as_str() {
        "e-1" => Answer::hang(),
        _ => Answer::status(200),
    });
    let lines = format!("auto.offset.reset={reset}");
    let rig = Rig::new(kafka, name, 1, &lines, &[Subscription::new("all", subscriber.url("/in"))]);
    if reset == "latest" {
        let group = rig.group();
        let args =
            ["--group", &group, "--topic", &rig.channel.topic(), "--reset-offsets", "--to-earliest", "--execute"];
        let _done = kafka.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &args);
    }
    rig.produce("e", 100, 1);
    let mut first = rig.plane.dispatcher_program().env("MILLRACE_DRAIN_SECONDS", "1").start();
    subscriber.wait_for_ids("/in", &["e-1".to_owned()], PATIENCE);
    first.stop(PATIENCE);
    assert_eq!(rig.committed().get(&0), Some(&1));
    delete_before(&rig, 60);
    let mut second = rig.dispatcher();
    second.wait_for_log("the reset", PATIENCE, |line| line.to_string().contains("offset reset"));
    wait_for("the position", PATIENCE, || {
        rig.produce("after", 1, 1);
        let found = subscriber.arrivals_on("/in").iter().any(|arrival| arrival.id == "after-0");
        if found { Ok(()) } else { Err("nothing new arrived") }
    });
    rig.wait_for_no_lag();
    let ids: Vec<_> = subscriber.arrivals_on("/in").into_iter().map(|arrival| arrival.id).collect();
    let resent: Vec<_> = ids.iter().skip(2).filter(|id| id.starts_with("e-")).collect();
    assert!(resent.iter().all(|id| expected(id)), "{resent:?}");
    assert_eq!(resent.len(), (0..100).filter(|number| expected(&format!("e-{number}"))).count(), "{resent:?}");
}

#[test]
fn records_deleted_under_the_position_are_passed_over_to_the_earliest_that_is_left() {
    check_deleted("deleted-earliest", "earliest", |id| {
        id.strip_prefix("e-").and_then(|number| number.parse::<i32>().ok()).is_some_and(|number| number >= 60)
    });
}

#[test]
fn records_deleted_under_the_position_send_the_position_to_the_end_where_the_operator_says_so() {
    check_deleted("deleted-latest", "latest", |_| false);
}

#[test]
fn kafka_s_own_tool_reads_our_commits_and_its_reset_sends_everything_again() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::scripted(|arrival| match (arrival.id.as_str(), arrival.attempt) {
        ("e-2", 1) => Answer::hang(),
        _ => Answer::status(200),
    });
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered();
    let rig = Rig::new(kafka, "reset", 1, "", &[subscription]);
    let ids = rig.produce("e", 20, 1);
    let mut first = rig.plane.dispatcher_program().env("MILLRACE_DRAIN_SECONDS", "1").start();
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    first.stop(PATIENCE);
    let commits = records::commits(&kafka.bootstrap(), &rig.group(), &rig.channel.topic());
    let (offset, metadata) = commits.get(&0).unwrap();
    assert!(*offset == 2 && metadata.starts_with("mr1:"), "{commits:?}");
    let (group, topic) = (rig.group(), rig.channel.topic());
    const TOOL: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let described = kafka.tool(TOOL, &["--describe", "--group", &group]);
    let row = described.lines().find(|line| line.contains(&topic)).expect("the topic's row");
    let columns: Vec<_> = row.split_whitespace().skip(2).take(4).collect();
    assert_eq!(columns, ["0", "2", "20", "18"], "{described}");
    let reset = ["--group", &group, "--topic", &topic, "--reset-offsets", "--execute", "--to-offset"];
    let _done = kafka.tool(TOOL, &[&reset[..], &["2"]].concat());
    let _second = rig.dispatcher();
    rig.wait_for_no_lag();
    // To the very offset that was committed: what the metadata said is finished is sent again all the same.
    assert_eq!(subscriber.count_on("/in"), 20 + 18);
}
