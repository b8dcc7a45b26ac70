//! Records written straight into a topic, dispatchers on it, and the invariants that hold after every fault.
//!
//! Each check is called by its number in the proof (I3, I4 ...). For a real Kafka: what commits say is looked at from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::broker::Broker;
use crate::broker::kafka::Kafka;
use crate::broker::records::{self, NewRecord};
use crate::contract::{Channel, Subscription, uid};
use crate::plane::{Plane, wait_until_assigned};
use crate::process::Process;
use crate::subscriber::{Arrival, Subscriber};
use crate::wait::wait_for;

/// One channel on a real Kafka, without an ingress.
#[derive(Debug)]
pub struct Rig<'a> {
    /// The broker.
    pub kafka: &'a Kafka,
    /// The folders.
    pub plane: Plane,
    /// The channel.
    pub channel: Channel,
}

impl<'a> Rig<'a> {
    /// The topic, and a contract with these subscriptions; `consumer` are lines of the consumer's properties.
    ///
    /// # Panics
    /// When the topic cannot be created.
    #[must_use]
    pub fn new(kafka: &'a Kafka, name: &str, partitions: i32, consumer: &str, subscriptions: &[Subscription]) -> Self {
        let channel = Channel::new(name, &kafka.bootstrap());
        let channel = subscriptions.iter().cloned().fold(channel, Channel::subscribed);
        kafka.create_topic(&channel.topic(), partitions);
        let plane = Plane::new(kafka).with("consumer", consumer);
        plane.publish(1, std::slice::from_ref(&channel));
        Self { kafka, plane, channel }
    }

    /// Starts a dispatcher and waits until it has its share of every subscription.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn dispatcher(&self) -> Process {
        let mut dispatcher = self.plane.start_dispatcher();
        for subscription in &self.channel.subscriptions {
            wait_until_assigned(&mut dispatcher, &uid(&self.channel.name, &subscription.name), PATIENCE);
        }
        dispatcher
    }

    /// Writes events `PREFIX-N` with one of `keys` keys each, and gives their ids.
    ///
    /// # Panics
    /// When one is not acknowledged.
    pub fn produce(&self, prefix: &str, count: usize, keys: usize) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|number| format!("{prefix}-{number}")).collect();
        let record = |(number, id): (usize, &String)| event_record(id, Some(&format!("k{}", number % keys)));
        let all: Vec<NewRecord> = ids.iter().enumerate().map(record).collect();
        records::produce(&self.kafka.bootstrap(), &self.channel.topic(), &all);
        ids
    }

    /// The group of the first subscription.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn group(&self) -> String {
        self.channel.group(&self.channel.subscriptions.first().expect("a rig has a subscription").name)
    }

    /// What that group has committed.
    #[must_use]
    pub fn committed(&self) -> BTreeMap<i32, i64> {
        records::committed(&self.kafka.bootstrap(), &self.group(), &self.channel.topic())
    }

    /// Waits until that group has committed the end of every partition.
    ///
    /// # Panics
    /// When it has not soon after the last delivery.
    #[track_caller]
    pub fn wait_for_no_lag(&self) {
        records::wait_for_no_lag(&self.kafka.bootstrap(), &self.group(), &self.channel.topic());
    }

    /// As `wait_for_no_lag`, beside a slow subscriber.
    ///
    /// # Panics
    /// When it has not within `limit`.
    #[track_caller]
    pub fn wait_for_no_lag_within(&self, limit: Duration) {
        let bootstrap = self.kafka.bootstrap();
        wait_for("no lag", limit, || {
            let ends = records::end_offsets(&bootstrap, &self.channel.topic());
            let committed = self.committed();
            let behind = ends.iter().any(|(partition, end)| *end > 0 && committed.get(partition) != Some(end));
            if behind { Err(format!("committed {committed:?}, ends {ends:?}")) } else { Ok(()) }
        });
    }

    /// I4 as an observer sees it: looks at commits again and again while `work` runs, at least once.
    ///
    /// # Panics
    /// When a commit is ahead of the answers.
    #[track_caller]
    pub fn watching_commits<T>(&self, subscriber: &Subscriber, path: &str, work: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                loop {
                    self.check_commits(subscriber, path);
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    thread::sleep(Duration::from_millis(200));
                }
            });
            // A panic of the work must end the watcher too: the scope waits for it.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            over.store(true, Ordering::Relaxed);
            watcher.join().expect("no commit is ahead of the answers");
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// I4: no partition is committed beyond a record that is not answered. To be called at any time.
    ///
    /// # Panics
    /// When one is.
    #[track_caller]
    pub fn check_commits(&self, subscriber: &Subscriber, path: &str) {
        // In this order: what is answered only grows, so an old commit can only look better than it is.
        let committed = self.committed();
        let answered: BTreeSet<(i32, i64)> =
            subscriber.arrivals_on(path).iter().filter(|arrival| arrival.answered.is_some()).map(place).collect();
        for (partition, end) in committed {
            let missing = (0..end).find(|offset| !answered.contains(&(partition, *offset)));
            assert!(missing.is_none(), "partition {partition} is committed up to {end}, {missing:?} is not answered");
        }
    }
}

/// A binary-mode event as ingress stores it.
#[must_use]
pub fn event_record(id: &str, key: Option<&str>) -> NewRecord {
    let attributes = [("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "/rig"), ("ce_type", "t")];
    let headers = attributes.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
    NewRecord { key: key.map(|key| key.as_bytes().to_vec()), headers, value: Some(id.as_bytes().to_vec()) }
}

/// Partition and offset of the record that was delivered.
///
/// # Panics
/// When the delivery does not say so.
#[must_use]
pub fn place(arrival: &Arrival) -> (i32, i64) {
    let number = |name| arrival.number(name).expect("every delivery says where its record is");
    (i32::try_from(number("ce-knativekafkapartition")).expect("partitions are small"), number("ce-knativekafkaoffset"))
}

/// I3 for whole partitions: a record is sent only when all before it in its partition have been answered.
///
/// # Panics
/// When one was sent sooner.
#[track_caller]
pub fn check_order(arrivals: &[Arrival]) {
    let mut answered: BTreeMap<(i32, i64), Instant> = BTreeMap::new();
    for arrival in arrivals {
        let (partition, offset) = place(arrival);
        if offset > 0 {
            let before = answered.get(&(partition, offset - 1));
            let in_time = before.is_some_and(|answered| *answered <= arrival.at);
            assert!(in_time, "record {offset} of partition {partition} was sent before the one before was answered");
        }
        if let Some(at) = arrival.answered {
            answered.entry((partition, offset)).or_insert(at);
        }
    }
}

/// A repeated delivery is in order only if the one before had no answer when its process ended, or got it so shortly
/// before that no commit could tell. Gives the number of repeats.
///
/// # Panics
/// When one was repeated without need.
#[track_caller]
pub fn check_repeats(arrivals: &[Arrival], ends: &[Instant], commit_window: Duration) -> usize {
    let mut last: BTreeMap<(i32, i64), &Arrival> = BTreeMap::new();
    let mut repeats = 0;
    for arrival in arrivals {
        if let Some(before) = last.insert(place(arrival), arrival) {
            let excused = ends.iter().any(|end| {
                let told = before.answered.is_some_and(|answered| answered + commit_window < *end);
                before.at <= *end && *end <= arrival.at && !told
            });
            assert!(excused, "{} was sent again without need: first {before:?}, then {arrival:?}", arrival.id);
            repeats += 1;
        }
    }
    repeats
}
