//! The thread of one egress: reads its topics, hands records to the partitions' tasks, commits their progress.
//!
//! It always serves the client's main queue, so that membership in the group never depends on a subscriber. A
//! partition that is full is simply not read: librdkafka then stops fetching for it. Nothing here waits for HTTP,
//! except a revocation, for a bounded time.
//! Source: dispatcher spec 1.7 to 1.11; design section 5, Kafka client rules; design rows 2, 4 and 5.

pub(crate) mod feed;
mod known;
mod missing;
pub(crate) mod rebalance;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use millrace_runtime::kafka_tokens::Keeper;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::committer::Committer;
use crate::partition::Shared;
use missing::Missing;
use rebalance::{Context, Membership};

/// The thread looks after everything at least this often, should a wake-up have been missed.
const LONGEST_PARK: Duration = Duration::from_secs(1);

/// How many events of the main queue are served before the partitions get their turn. The client does not say when the
/// queue is empty, so it is more than ever wait there: what is left would wait for the next one.
const MAIN_QUEUE_BATCH: usize = 128;

/// However little time a drain has, partitions may say what they have finished: their tasks are quick, and each record
/// they name is one that is not sent again.
const LAST_WORD: Duration = Duration::from_millis(100);

/// The thread needs little stack: its work is calls into the client and moving records.
const STACK_BYTES: usize = 512 * 1024;

/// What a consumer is started with.
#[derive(Debug)]
pub(crate) struct ConsumerSpec {
    /// For logs.
    pub(crate) egress: String,
    pub(crate) topics: Vec<String>,
    /// librdkafka settings, brokers, group and credentials included.
    pub(crate) client: BTreeMap<String, String>,
    /// Absent when the brokers want no tokens.
    pub(crate) tokens: Option<Arc<Keeper>>,
    /// At most one commit in this time.
    pub(crate) commit_interval: Duration,
    /// How long a revocation waits for deliveries in flight.
    pub(crate) revoke_wait: Duration,
    /// The consumer group.
    pub(crate) group: String,
    /// Records that one partition hands over before the others get their turn.
    pub(crate) batch: usize,
    pub(crate) shared: Shared,
}

/// Why a consumer did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsumerError {
    #[error("thread not started: {0}")]
    Thread(#[from] io::Error),
    #[error("Kafka client refused its settings: {0}")]
    Client(#[from] KafkaError),
    #[error("thread ended while starting")]
    Ended,
}

/// A running consumer. Dropping it leaves the thread running; [`ConsumerHandle::stop`] ends it.
#[derive(Debug)]
pub(crate) struct ConsumerHandle {
    stop: Arc<Stop>,
    thread: JoinHandle<()>,
    /// Closed when the thread ends, in whatever way.
    ended: oneshot::Receiver<Infallible>,
}

/// How the thread is told to end.
#[derive(Debug, Default)]
struct Stop {
    requested: AtomicBool,
    deadline: std::sync::Mutex<Option<Instant>>,
}

impl ConsumerHandle {
    /// Starts the thread; returns when it has subscribed. Whether the brokers answer is not waited for.
    ///
    /// # Errors
    ///
    /// When a setting is refused. Nothing is left behind then.
    pub(crate) async fn start(spec: ConsumerSpec) -> Result<Self, ConsumerError> {
        let stop = Arc::new(Stop::default());
        let (started, result) = oneshot::channel();
        let (running, ended) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let thread = thread::Builder::new().name("consumer".to_owned()).stack_size(STACK_BYTES).spawn({
            let stop = Arc::clone(&stop);
            move || match Reader::subscribe(spec, runtime, running) {
                Ok(reader) => {
                    if started.send(Ok(())).is_ok() {
                        reader.run(&stop);
                    }
                }
                // The receiver waits; if it is gone nobody wants to know.
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        result.await.map_err(|_ended| ConsumerError::Ended)??;
        Ok(Self { stop, thread, ended })
    }

    /// Waits until the thread has ended by itself, which only a bug can make it do. Dropping the future is safe.
    pub(crate) async fn ended(&mut self) {
        match (&mut self.ended).await {
            Ok(never) => match never {},
            Err(_closed) => {}
        }
    }

    /// Stops reading, waits until `deadline` for deliveries in flight, commits and leaves the group.
    pub(crate) async fn stop(self, deadline: Instant) {
        *self.stop.deadline.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(deadline);
        self.stop.requested.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            warn!("consumer thread ended with a panic");
        }
    }
}

/// Whether librdkafka takes these settings, which it says only when a client is made. Contacts no broker.
///
/// # Errors
///
/// When a setting is refused.
pub(crate) async fn check(mut client: BTreeMap<String, String>) -> Result<(), ConsumerError> {
    client.remove("bootstrap.servers");
    let made = tokio::task::spawn_blocking(move || {
        let config: ClientConfig = client.into_iter().collect();
        config.create::<BaseConsumer>().map(drop)
    });
    Ok(made.await.map_err(|_ended| ConsumerError::Ended)??)
}

/// What the thread works with.
struct Reader {
    egress: String,
    topics: Vec<String>,
    missing: Missing,
    consumer: Arc<BaseConsumer<Context>>,
    committer: Committer,
    /// Set by librdkafka when the main queue has events.
    eventful: Arc<AtomicBool>,
    /// When the main queue was last served.
    served: Instant,
    /// Dropped when the thread ends.
    _running: oneshot::Sender<Infallible>,
}

impl Reader {
    fn subscribe(
        spec: ConsumerSpec,
        runtime: tokio::runtime::Handle,
        running: oneshot::Sender<Infallible>,
    ) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        for (key, value) in &spec.client {
            config.set(key, value);
        }
        let thread = thread::current();
        let membership = Membership {
            egress: spec.egress.clone(),
            topics: spec.topics.join(","),
            tokens: spec.tokens,
            shared: spec.shared,
            revoke_wait: spec.revoke_wait,
            group: spec.group.into(),
            batch: spec.batch,
            thread: thread.clone(),
            runtime: runtime.clone(),
        };
        let mut consumer: BaseConsumer<Context> = config.create_with_context(Context::new(membership))?;
        let committer = Committer::new(spec.commit_interval, runtime, thread.clone());
        // Set from the start: events that came before the callback was in place are served too.
        let eventful = Arc::new(AtomicBool::new(true));
        consumer.set_nonempty_callback({
            let eventful = Arc::clone(&eventful);
            move || {
                eventful.store(true, Ordering::Release);
                wake(&thread);
            }
        });
        let consumer = Arc::new(consumer);
        consumer.context().attach(&consumer);
        let topics: Vec<&str> = spec.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        let (topics, missing, served) = (spec.topics, Missing::default(), Instant::now());
        Ok(Self { egress: spec.egress, topics, missing, consumer, committer, eventful, served, _running: running })
    }

    fn run(mut self, stop: &Stop) {
        let _partitions = rebalance::guard::Guard(Arc::clone(self.consumer.context()));
        while !stop.requested.load(Ordering::Acquire) {
            self.serve_main_queue();
            self.look_for_topics();
            let more = self.consumer.context().feed();
            let pause = self.committer.tick(&self.consumer, Instant::now());
            if !more {
                thread::park_timeout(pause.min(LONGEST_PARK));
            }
        }
        let deadline = *stop.deadline.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.drain(deadline.unwrap_or_else(Instant::now));
    }

    /// Serves rebalances and errors: when there are any, and in any case often enough to stay a member. Records come
    /// through the partitions' own queues; one that was already on its way to the main queue is handed on.
    fn serve_main_queue(&mut self) {
        let now = Instant::now();
        let eventful = self.eventful.swap(false, Ordering::AcqRel);
        if !eventful && now.duration_since(self.served) < LONGEST_PARK {
            return;
        }
        self.served = now;
        // One poll is enough to be seen polling.
        for _ in 0..if eventful { MAIN_QUEUE_BATCH } else { 1 } {
            match self.consumer.poll(Duration::ZERO) {
                None => {}
                Some(Ok(message)) => self.consumer.context().hand_on(&message),
                Some(Err(error)) => {
                    self.missing.heard(&error, now);
                    self.consumer.context().report(&error, "");
                }
            }
        }
    }

    fn look_for_topics(&mut self) {
        let now = self.served;
        if !self.missing.is_due(now) {
            return;
        }
        let assigned = self.consumer.context().topics();
        let unread = self.topics.iter().map(String::as_str).filter(|topic| !assigned.contains(*topic));
        if self.missing.look(unread, |topic| missing::is_there(&self.consumer, topic), now) {
            let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
            if let Err(error) = self.consumer.subscribe(&topics) {
                self.consumer.context().report(&error, "topics cannot be asked for again");
            }
        }
    }

    fn drain(mut self, deadline: Instant) {
        let context = Arc::clone(self.consumer.context());
        context.stop_partitions();
        let deadline = deadline.max(Instant::now() + LAST_WORD);
        // A commit may be refused while the group rebalances: the rebalance is served, and the commit repeated.
        while Instant::now() < deadline {
            self.serve_main_queue();
            let pause = self.committer.tick(&self.consumer, Instant::now());
            if context.partitions_done() && self.committer.is_done(&self.consumer) {
                break;
            }
            thread::park_timeout(pause.min(Duration::from_millis(20)));
        }
        self.committer.finish(&self.consumer, deadline);
        let unfinished = context.finish_partitions(&self.consumer);
        if unfinished > 0 {
            warn!(egress = %self.egress, unfinished, "records are left to be delivered again");
        }
        debug!(egress = %self.egress, "Leaving the consumer group");
        // Closing alone does not leave a group of cooperative members that gave this one no partition (librdkafka 2.12): the
        // others would wait for it until its session ends.
        self.consumer.unsubscribe();
        // The last reference: closing leaves the group, so that others take over at once.
        drop(self.consumer);
        info!(egress = %self.egress, "Egress stopped");
    }
}

/// Called by librdkafka's threads.
fn wake(thread: &Thread) {
    thread.unpark();
}

#[cfg(test)]
mod tests;
