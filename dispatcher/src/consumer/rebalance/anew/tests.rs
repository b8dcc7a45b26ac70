//! A feed with real deliveries that is handed records as of a log that went back; nothing is produced.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::*;
use crate::consumer::rebalance::Membership;
use crate::consumer::rebalance::guard::Guard;
use crate::testing::{Script, Subscriber, keyed_record, shared};

const TOPIC: &str = "orders";
const WAIT: Duration = Duration::from_secs(20);

fn consumer(subscriber: &Subscriber) -> Arc<BaseConsumer<Context>> {
    let membership = Membership {
        egress: "e".to_owned(),
        topics: TOPIC.to_owned(),
        tokens: None,
        shared: shared(subscriber, r#","deliveryOrder":"UNORDERED""#, ""),
        revoke_wait: Duration::ZERO,
        group: "billing".into(),
        batch: 4,
        thread: thread::current(),
        runtime: Handle::current(),
    };
    let mut config = ClientConfig::new();
    config.set("group.id", "billing");
    let consumer: Arc<BaseConsumer<Context>> = Arc::new(config.create_with_context(Context::new(membership)).unwrap());
    consumer.context().attach(&consumer);
    let scope = consumer.context().commits.scope(TOPIC, 0);
    let feed = consumer.context().start(&consumer, scope, Ranges::default()).unwrap();
    consumer.context().feeds().push(feed);
    consumer
}

fn hand_over(consumer: &BaseConsumer<Context>, offsets: impl IntoIterator<Item = i64>) {
    let records = offsets.into_iter().map(|offset| keyed_record(offset, None));
    consumer.context().feeds()[0].early.extend(records);
    let deadline = Instant::now() + WAIT;
    while !consumer.context().feeds()[0].early.is_empty() {
        assert!(Instant::now() < deadline, "records are left");
        consumer.context().feed();
    }
}

async fn wait_for_commit(consumer: &BaseConsumer<Context>, wanted: Option<i64>) {
    let deadline = Instant::now() + WAIT;
    loop {
        let found = consumer.context().feeds()[0].commit().map(|commit| commit.offset);
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "commit is {found:?}, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn end(consumer: &BaseConsumer<Context>) {
    let feeds = std::mem::take(&mut *consumer.context().feeds());
    crate::consumer::feed::end(feeds);
}

#[tokio::test]
async fn records_of_a_log_that_went_back_are_delivered_and_commits_follow_it() {
    let subscriber = Subscriber::start().await;
    let consumer = consumer(&subscriber);
    hand_over(&consumer, 10..15);
    subscriber.wait("/subscriber", 5).await;
    wait_for_commit(&consumer, Some(15)).await;
    hand_over(&consumer, 3..5);
    let mut ids: Vec<_> = subscriber.wait("/subscriber", 7).await.into_iter().map(|arrival| arrival.id).collect();
    ids.sort();
    assert_eq!(ids, ["event-10", "event-11", "event-12", "event-13", "event-14", "event-3", "event-4"]);
    wait_for_commit(&consumer, Some(5)).await;
    assert_eq!(consumer.context().feeds()[0].former.len(), 1);
    end(&consumer);
}

#[tokio::test]
async fn what_is_unfinished_when_the_log_goes_back_is_delivered_and_holds_commits_as_far_as_the_log_has_it() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) };
    subscriber.answer("/subscriber", &[held, Script::status(200)]);
    let consumer = consumer(&subscriber);
    hand_over(&consumer, [10]);
    subscriber.wait("/subscriber", 1).await;
    hand_over(&consumer, 11..15);
    hand_over(&consumer, 12..14);
    subscriber.wait("/subscriber", 7).await;
    wait_for_commit(&consumer, Some(10)).await;
    let commit = consumer.context().feeds()[0].commit().unwrap();
    assert_eq!(commit.metadata, "", "the log has other records now where some were finished");
    gate.add_permits(1);
    wait_for_commit(&consumer, Some(14)).await;
    end(&consumer);
}

#[tokio::test]
async fn a_thread_that_panics_takes_its_partitions_and_its_hold_on_the_client_with_it() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(gate), ..Script::status(200) }]);
    let consumer = consumer(&subscriber);
    hand_over(&consumer, [10]);
    subscriber.wait("/subscriber", 1).await;
    let task = consumer.context().feeds()[0].task.abort_handle();
    let guard = Guard(Arc::clone(consumer.context()));
    let panicked = thread::spawn(move || {
        let _guard = guard;
        panic!("as a bug would");
    });
    assert!(panicked.join().is_err());
    let deadline = Instant::now() + WAIT;
    while !task.is_finished() {
        assert!(Instant::now() < deadline, "the partition's task still runs");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(Arc::strong_count(&consumer), 1, "nothing keeps the client in its group");
}
