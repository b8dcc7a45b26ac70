//! The task of one partition: takes its records in order, keeps the allowed number in delivery, owns its offsets.
//!
//! ORDERED delivers one record at a time; UNORDERED as many as the egress has slots. It neither reads from Kafka nor
//! commits: the consumer's thread does both and shares only a bounded channel and [`Progress`] with it.
//! Source: dispatcher spec 2; design rows 5, 9 and 10.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{Future, FutureExt};
use millrace_config::contract::DeliveryOrder;
use millrace_config::snapshot::Snapshot;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::dispatch::{Dispatched, dispatch};
use crate::offsets::{Received, Tracker};
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::record::Record;
use crate::slot::{Slot, Slots, Stopping};

/// How many records wait between the consumer's thread and a partition's task. Enough that the thread is woken for a
/// hundred records and not for each; their bytes have a bound of their own.
pub(crate) const QUEUED_RECORDS: usize = 256;

/// An UNORDERED partition reads on while records wait for a retry, but holds at most this many unfinished.
const OPEN_RECORDS: usize = 10_000;

/// What all partitions of an egress share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) pipeline: Snapshot<Pipeline>,
    pub(crate) slots: Slots,
    pub(crate) order: DeliveryOrder,
}

/// One assigned partition.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) shared: Shared,
    pub(crate) records: mpsc::Receiver<Record>,
    pub(crate) progress: Arc<Progress>,
    /// Cancelled when the partition is handed over or the process ends: nothing new is started.
    pub(crate) stopping: CancellationToken,
}

type Taking = Pin<Box<dyn Future<Output = Result<Slot, Stopping>> + Send>>;

impl Partition {
    /// Runs until the partition stops and what was being sent is done. Dropping it cuts what is being sent.
    pub(crate) async fn run(mut self) {
        let mut tracker = Tracker::default();
        let mut running = FuturesUnordered::new();
        let mut waiting: Option<(Record, Taking)> = None;
        loop {
            let stopped = self.stopping.is_cancelled();
            if stopped && running.is_empty() {
                return;
            }
            let may_take = !stopped && waiting.is_none() && self.may_take(running.len(), tracker.open());
            tokio::select! {
                biased;
                Some((offset, dispatched)) = running.next(), if !running.is_empty() => {
                    self.settle(&mut tracker, offset, dispatched);
                }
                slot = slot_for(&mut waiting), if waiting.is_some() && !stopped => {
                    if let (Ok(slot), Some((record, _taking))) = (slot, waiting.take()) {
                        running.push(self.deliver(record, slot));
                    }
                }
                Some(record) = self.records.recv(), if may_take => {
                    self.progress.taken(record.size_bytes(), self.records.len() <= QUEUED_RECORDS / 4);
                    if self.receive(&mut tracker, &record) {
                        match self.shared.slots.try_take(record.size_bytes(), &self.stopping) {
                            Some(slot) => running.push(self.deliver(record, slot)),
                            None => waiting = Some(self.wait(record)),
                        }
                    }
                }
                () = self.stopping.cancelled(), if !stopped => {}
            }
        }
    }

    fn may_take(&self, running: usize, open: usize) -> bool {
        match self.shared.order {
            DeliveryOrder::Ordered => running == 0,
            DeliveryOrder::Unordered => open < OPEN_RECORDS,
        }
    }

    /// Whether the record is to be delivered: one that was already read in this assignment is not.
    fn receive(&self, tracker: &mut Tracker, record: &Record) -> bool {
        match tracker.received(record.offset) {
            Received::Next { skipped: 0 } => true,
            Received::Next { skipped } => {
                self.shared.pipeline.load().metrics.skipped(skipped);
                true
            }
            Received::Repeated => false,
        }
    }

    fn wait(&self, record: Record) -> (Record, Taking) {
        let taking = self.shared.slots.clone().take(record.size_bytes(), self.stopping.clone());
        (record, Box::pin(taking))
    }

    /// The pipeline is the one in force when the record starts.
    fn deliver(&self, record: Record, slot: Slot) -> impl Future<Output = (i64, Dispatched)> + Send + use<> {
        let pipeline = self.shared.pipeline.load();
        async move {
            let mut slot = slot;
            let offset = record.offset;
            let delivery = AssertUnwindSafe(dispatch(&pipeline, &record, &mut slot)).catch_unwind();
            let dispatched = delivery.await.unwrap_or_else(|_panic| {
                error!(topic = %record.topic, partition = record.partition, offset, "delivery panicked; offset is held");
                Dispatched::Abandoned
            });
            (offset, dispatched)
        }
    }

    fn settle(&self, tracker: &mut Tracker, offset: i64, dispatched: Dispatched) {
        match dispatched {
            Dispatched::Finished(_outcome) => tracker.finished(offset),
            Dispatched::Abandoned => return,
        }
        if let Some(committable) = tracker.committable() {
            self.progress.advance(committable, tracker.open());
        }
    }
}

async fn slot_for(waiting: &mut Option<(Record, Taking)>) -> Result<Slot, Stopping> {
    match waiting {
        Some((_record, taking)) => taking.await,
        None => Err(Stopping),
    }
}

#[cfg(test)]
mod tests;
