//! Group membership: starts a task for each partition that is assigned, and hands a revoked one over cleanly.
//!
//! librdkafka calls this from inside a poll of the main queue, on the consumer's thread. The lock around the feeds is
//! therefore never contended; it is there because the client's context must be shareable.
//! Source: dispatcher spec 1.9; design row 5; design section 5 (partition queues are split off before the assignment).

mod anew;
mod client;
pub(crate) mod guard;
mod progress;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use millrace_runtime::kafka_tokens::Keeper;
use millrace_runtime::throttle::Throttle;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::feed::{self, Feed};
use super::known::{Commits, Known};
use crate::offsets::metadata::Scope;
use crate::offsets::ranges::Ranges;
use crate::partition::{Partition, QUEUED_RECORDS, Shared};
use crate::progress::Progress;
use crate::record::Record;

/// How often lasting trouble of one kind is logged.
const REPEAT: Duration = Duration::from_secs(30);

/// What starting a partition's task needs.
pub(crate) struct Membership {
    pub(crate) egress: String,
    /// For logs, by commas.
    pub(crate) topics: String,
    pub(crate) tokens: Option<Arc<Keeper>>,
    pub(crate) shared: Shared,
    pub(crate) revoke_wait: Duration,
    pub(crate) group: Arc<str>,
    /// Records that one partition hands over before the others get their turn.
    pub(crate) batch: usize,
    pub(crate) thread: Thread,
    pub(crate) runtime: Handle,
}

/// The context of one egress' consumer.
pub(crate) struct Context {
    membership: Membership,
    /// Weak, because the consumer owns its context.
    consumer: OnceLock<Weak<BaseConsumer<Context>>>,
    feeds: Mutex<Vec<Feed<Context>>>,
    /// The consumer is about to leave: partitions that still come are not read.
    leaving: AtomicBool,
    /// The broker refuses commits with metadata as long as ours may be.
    plain_commits: AtomicBool,
    commits: Commits,
    errors: Throttle<Option<RDKafkaErrorCode>>,
}

impl Context {
    pub(crate) fn new(membership: Membership) -> Self {
        let commits = Commits::new(Arc::clone(&membership.group), membership.shared.commit_metadata);
        Self {
            membership,
            consumer: OnceLock::new(),
            feeds: Mutex::new(Vec::new()),
            leaving: AtomicBool::new(false),
            plain_commits: AtomicBool::new(false),
            commits,
            errors: Throttle::new(REPEAT),
        }
    }

    /// Must be called once, before subscribing.
    pub(crate) fn attach(&self, consumer: &Arc<BaseConsumer<Context>>) {
        self.consumer.get_or_init(|| Arc::downgrade(consumer));
    }

    pub(crate) fn feeds(&self) -> MutexGuard<'_, Vec<Feed<Self>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands records of all partitions to their tasks. Returns whether there may be more at once.
    pub(crate) fn feed(&self) -> bool {
        let mut more = false;
        for feed in self.feeds().iter_mut() {
            more |= feed.feed(self.membership.batch);
            if feed.went_back {
                self.begin_anew(feed);
            }
        }
        more
    }

    /// Hands on a record that reached the main queue. One of a partition that is not ours is read again by its owner.
    pub(crate) fn hand_on(&self, message: &BorrowedMessage<'_>) {
        if let Some(feed) = self.feeds().iter_mut().find(|feed| feed.is(message.topic(), message.partition())) {
            let record = feed::record(message, &feed.topic);
            feed.early.push_back(record);
        }
    }

    /// Logs what the client complains about, each kind once in a while: it does so several times a second while a broker
    /// is away, and on two ways.
    pub(crate) fn report(&self, error: &KafkaError, reason: &str) {
        let pipeline = self.membership.shared.pipeline.load();
        pipeline.live.kafka_failed(if reason.is_empty() { error.to_string() } else { format!("{error}: {reason}") });
        let code = error.rdkafka_error_code().map_or_else(|| "other".to_owned(), |code| format!("{code:?}"));
        pipeline.metrics.kafka.failed(&code);
        if self.errors.is_news(error.rdkafka_error_code(), Instant::now()) {
            let Membership { egress, group, topics, .. } = &self.membership;
            warn!(%egress, consumer_group = %group, %topics, %error, reason, "Kafka client reports an error");
        }
    }

    /// Those of which this consumer has partitions.
    pub(crate) fn topics(&self) -> BTreeSet<Arc<str>> {
        self.feeds().iter().map(|feed| Arc::clone(&feed.topic)).collect()
    }

    /// Tells all partitions to start nothing new, and takes no more partitions.
    pub(crate) fn stop_partitions(&self) {
        self.leaving.store(true, Ordering::Release);
        for feed in self.feeds().iter() {
            feed.stopping.cancel();
        }
    }

    pub(crate) fn partitions_done(&self) -> bool {
        self.feeds().iter().all(Feed::has_ended)
    }

    /// Ends all partitions and commits how far they came. Returns how many records they leave unfinished.
    pub(crate) fn finish_partitions(&self, consumer: &BaseConsumer<Self>) -> usize {
        let feeds = std::mem::take(&mut *self.feeds());
        let unfinished = feeds.iter().map(Feed::open).sum();
        self.commit_now(consumer, &feeds);
        feed::end(feeds);
        unfinished
    }

    fn assign(&self, assigned: &TopicPartitionList) {
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else { return };
        if self.leaving.load(Ordering::Acquire) {
            return;
        }
        let known = self.commits.ask(&consumer, assigned).unwrap_or_else(|error| {
            warn!(egress = %self.membership.egress, %error, "commits not read: some records may be delivered again");
            Known::default()
        });
        for element in assigned.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let scope = self.commits.scope(topic, partition);
            let finished = known.finished(&scope);
            if !finished.is_empty() {
                info!(topic, partition, records = finished.count(), "Records beyond the committed offset are finished");
            }
            if let Some(feed) = self.start(&consumer, scope, finished) {
                self.feeds().push(feed);
            } else {
                warn!(topic, partition, "partition has no queue and is not read");
            }
        }
        if assigned.count() > 0 {
            self.membership.shared.pipeline.load().live.kafka_works();
        }
        info!(egress = %self.membership.egress, partitions = %names(assigned), "Partitions assigned");
    }

    fn start(&self, consumer: &Arc<BaseConsumer<Self>>, scope: Scope, finished: Ranges) -> Option<Feed<Self>> {
        let (topic, partition) = (Arc::clone(&scope.topic), scope.partition);
        let mut queue = consumer.split_partition_queue(&topic, partition)?;
        // Set from the start: what is fetched before the callback is in place must not wait for the next record.
        let nonempty = Arc::new(AtomicBool::new(true));
        queue.set_nonempty_callback({
            let (nonempty, thread) = (Arc::clone(&nonempty), self.membership.thread.clone());
            move || {
                nonempty.store(true, Ordering::Release);
                super::wake(&thread);
            }
        });
        let stopping = CancellationToken::new();
        let (sender, progress, task) = self.spawn(scope, finished, stopping.clone());
        Some(Feed {
            topic,
            partition,
            queue,
            nonempty,
            early: VecDeque::new(),
            sender,
            progress,
            stopping,
            task,
            committed: None,
            last: -1,
            went_back: false,
            former: Vec::new(),
        })
    }

    /// The task is ended by `feed::end`, which every feed goes through.
    fn spawn(
        &self,
        scope: Scope,
        finished: Ranges,
        stopping: CancellationToken,
    ) -> (mpsc::Sender<Record>, Arc<Progress>, JoinHandle<()>) {
        let (sender, records) = mpsc::channel(QUEUED_RECORDS);
        let progress = Arc::new(Progress::new(self.membership.thread.clone()));
        let shared = self.membership.shared.clone();
        let task = Partition { shared, scope, finished, records, progress: Arc::clone(&progress), stopping };
        (sender, progress, self.membership.runtime.spawn(task.run()))
    }

    /// Nothing new is started; what is being sent gets a bounded time; progress is committed. Then the partitions go.
    fn revoke(&self, consumer: &BaseConsumer<Self>, revoked: &TopicPartitionList) {
        let is_revoked = |feed: &mut Feed<Self>| revoked.find_partition(&feed.topic, feed.partition).is_some();
        let feeds: Vec<Feed<Self>> = self.feeds().extract_if(.., is_revoked).collect();
        for feed in &feeds {
            feed.stopping.cancel();
        }
        // Others may own a lost partition already: they decide its offsets.
        let lost = consumer.assignment_lost();
        if !lost {
            self.wait_for(&feeds);
            self.commit_now(consumer, &feeds);
        }
        let unfinished: usize = feeds.iter().map(Feed::open).sum();
        feed::end(feeds);
        info!(egress = %self.membership.egress, partitions = %names(revoked), lost, unfinished, "Partitions revoked");
    }

    fn wait_for(&self, feeds: &[Feed<Self>]) {
        let deadline = Instant::now() + self.membership.revoke_wait;
        while Instant::now() < deadline && !feeds.iter().all(Feed::has_ended) {
            // No event tells this thread that a task has ended; a rebalance is rare enough to look.
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn names(partitions: &TopicPartitionList) -> String {
    let names: Vec<_> = partitions.elements().iter().map(|e| format!("{}-{}", e.topic(), e.partition())).collect();
    names.join(",")
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => self.assign(partitions),
            Rebalance::Revoke(partitions) => self.revoke(consumer, partitions),
            Rebalance::Error(error) => warn!(egress = %self.membership.egress, %error, "rebalance failed"),
        }
    }
}
