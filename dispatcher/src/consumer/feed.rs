//! One assigned partition as the consumer's thread sees it: a queue to read, a channel to fill, progress to commit.
//!
//! Source: design section 5 (back-pressure by not polling a partition's queue).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::Message;
use rdkafka::consumer::ConsumerContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::message::{BorrowedMessage, Headers};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::progress::{Commit, Progress};
use crate::record::Record;

/// A partition's channel holds no more bytes than this, but always one record.
const QUEUED_BYTES: usize = 1024 * 1024;

/// An assigned partition.
pub(crate) struct Feed<C: ConsumerContext> {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) queue: PartitionQueue<C>,
    /// Set by librdkafka when the queue has records; cleared before the queue is read to its end.
    pub(crate) nonempty: Arc<AtomicBool>,
    /// Records that came through the main queue before the partition's own queue was split off.
    pub(crate) early: VecDeque<Record>,
    pub(crate) sender: mpsc::Sender<Record>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) stopping: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    /// What the broker has acknowledged.
    pub(crate) committed: Option<Arc<Commit>>,
}

impl<C: ConsumerContext> Feed<C> {
    /// Hands over up to `batch` records, as many as there is room for. Returns whether there may be more to hand over at
    /// once, after the other partitions had their turn.
    pub(crate) fn feed(&mut self, batch: usize) -> bool {
        if !self.nonempty.swap(false, Ordering::AcqRel) && self.early.is_empty() {
            return false;
        }
        for _ in 0..batch {
            if self.progress.queued_bytes() > QUEUED_BYTES {
                return self.wait_for_room();
            }
            let permit = match self.sender.try_reserve() {
                Ok(permit) => permit,
                Err(mpsc::error::TrySendError::Full(())) => return self.wait_for_room(),
                // The task has ended: the partition is about to be revoked.
                Err(mpsc::error::TrySendError::Closed(())) => return false,
            };
            let record = match self.early.pop_front() {
                Some(record) => record,
                None => match self.queue.poll(std::time::Duration::ZERO) {
                    None => return false,
                    Some(Ok(message)) => record(&message, &self.topic),
                    Some(Err(error)) => {
                        warn!(topic = %self.topic, partition = self.partition, %error, "partition cannot be read");
                        continue;
                    }
                },
            };
            self.progress.queued(record.size_bytes());
            permit.send(record);
        }
        self.nonempty.store(true, Ordering::Release);
        true
    }

    /// Leaves the rest in the queue. The partition's task wakes the thread when it has taken some.
    fn wait_for_room(&self) -> bool {
        self.nonempty.store(true, Ordering::Release);
        self.progress.starve();
        // The task may have made room before it could see the flag.
        self.progress.queued_bytes() <= QUEUED_BYTES && self.sender.capacity() > 0
    }

    pub(crate) fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && &*self.topic == topic
    }
}

/// Whatever still runs is cut: its results would be of no use.
pub(crate) fn end<C: ConsumerContext>(feeds: Vec<Feed<C>>) {
    for feed in feeds {
        feed.task.abort();
    }
}

/// Copies a message into one allocation of our own.
pub(crate) fn record(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    let size = message.payload_len() + message.key_len() + 512;
    let mut builder = Record::builder(Arc::clone(topic), message.partition(), message.offset(), size);
    builder.timestamp_ms(message.timestamp().to_millis());
    if let Some(headers) = message.headers() {
        for index in 0..headers.count() {
            // The client library panics on a header name that is not UTF-8. Such a header means nothing to us, and
            // one record must not take the partition down.
            if let Ok(header) = catch_unwind(AssertUnwindSafe(|| headers.get(index))) {
                builder.header(header.key, header.value);
            }
        }
    }
    builder.key(message.key());
    builder.value(message.payload());
    builder.build()
}
