//! Commits the progress of all partitions of a consumer: when there is some, at most once in an interval, one commit at
//! a time.
//!
//! Never blocks the consumer's thread. librdkafka tells nobody about the result of an asynchronous commit (its event is
//! only made for clients with a C callback), so commits are synchronous, on a thread for blocking calls. They end by
//! themselves: after the session time-out without a coordinator, after the socket time-out without an answer.
//! Source: design row 4; dispatcher spec R19 (one commit for all partitions, one outstanding).

pub(crate) mod list;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use tokio::runtime::Handle;
use tracing::warn;

use crate::consumer::rebalance::Context;
use list::{Committed, list};

/// When the next commit is due, and the one on its way.
pub(crate) struct Committer {
    interval: Duration,
    last: Option<Instant>,
    outstanding: Option<Outstanding>,
    runtime: Handle,
    /// Woken when a commit has ended.
    thread: Thread,
}

struct Outstanding {
    offsets: Vec<Committed>,
    result: Receiver<KafkaResult<()>>,
}

impl Committer {
    /// At most one commit in `interval`; `thread` is the one that calls [`Committer::tick`].
    pub(crate) fn new(interval: Duration, runtime: Handle, thread: Thread) -> Self {
        Self { interval, last: None, outstanding: None, runtime, thread }
    }

    /// Takes up the last commit's result and commits if something is due. Returns how long nothing will be.
    pub(crate) fn tick(&mut self, consumer: &Arc<BaseConsumer<Context>>, now: Instant) -> Duration {
        if let Some(outstanding) = &self.outstanding {
            match outstanding.result.try_recv() {
                Ok(result) => self.ended(consumer, result),
                Err(TryRecvError::Disconnected) => self.outstanding = None,
                // It wakes the thread when it ends.
                Err(TryRecvError::Empty) => return Duration::MAX,
            }
        }
        let since = self.last.map_or(Duration::MAX, |last| now.saturating_duration_since(last));
        if since < self.interval {
            return self.interval - since;
        }
        // Only now: once looked at, the next progress of each partition wakes this thread again.
        let offsets = consumer.context().progress();
        if offsets.is_empty() {
            return Duration::MAX;
        }
        self.last = Some(now);
        self.start(Arc::clone(consumer), offsets);
        Duration::MAX
    }

    /// Whether everything finished so far is committed.
    pub(crate) fn is_done(&self, consumer: &BaseConsumer<Context>) -> bool {
        self.outstanding.is_none() && consumer.context().progress().is_empty()
    }

    /// Waits at most until `deadline` for the commit on its way, so that the consumer has no other user afterwards.
    pub(crate) fn finish(&mut self, consumer: &Arc<BaseConsumer<Context>>, deadline: Instant) {
        let Some(outstanding) = &self.outstanding else { return };
        match outstanding.result.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(result) => self.ended(consumer, result),
            Err(RecvTimeoutError::Timeout) => warn!("last commit has no result yet"),
            Err(RecvTimeoutError::Disconnected) => self.outstanding = None,
        }
    }

    fn start(&mut self, consumer: Arc<BaseConsumer<Context>>, offsets: Vec<Committed>) {
        let list = match list(&offsets) {
            Ok(list) => list,
            Err(error) => return warn!(%error, "offsets cannot be committed"),
        };
        let (sender, result) = sync_channel(1);
        let thread = self.thread.clone();
        self.runtime.spawn_blocking(move || {
            let committed = consumer.commit(&list, CommitMode::Sync);
            // Before the result is known: whoever waits for it may want to close the consumer.
            drop(consumer);
            if sender.send(committed).is_ok() {
                thread.unpark();
            }
        });
        self.outstanding = Some(Outstanding { offsets, result });
    }

    fn ended(&mut self, consumer: &Arc<BaseConsumer<Context>>, result: KafkaResult<()>) {
        let Some(outstanding) = self.outstanding.take() else { return };
        match result {
            Ok(()) => consumer.context().committed(&outstanding.offsets),
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::OffsetMetadataTooLarge) => {
                // Its `offset.metadata.max.bytes` is less than Kafka's default. Offsets alone are safe, only less exact.
                warn!(%error, "broker takes no metadata of ours: a restart sends again what was finished out of order");
                consumer.context().leave_out_metadata();
            }
            Err(error) => consumer.context().report(&error, "commit failed; it is repeated"),
        }
    }
}
