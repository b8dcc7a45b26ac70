//! The task of one partition: takes its records in order, keeps the allowed number in delivery, says what is finished.
//!
//! `window` decides which record is next; this acts on it. It neither reads from Kafka nor commits: the consumer's
//! thread does both and shares only a bounded channel and [`Progress`] with it.
//! Source: dispatcher spec 2; design rows 3, 5, 6, 9 and 10.

mod task;

use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use millrace_config::snapshot::Snapshot;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::offsets::metadata::Scope;
use crate::offsets::ranges::Ranges;
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::record::Record;
use crate::slot::{Slot, Slots, Stopping};
use crate::window::Order;
use task::{NextSlot, Taking, Task};

/// How many records wait between the consumer's thread and a partition's task. Enough that the thread is woken for a
/// hundred records and not for each; their bytes have a bound of their own.
pub(crate) const QUEUED_RECORDS: usize = 256;

/// What all partitions of an egress share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) pipeline: Snapshot<Pipeline>,
    pub(crate) slots: Slots,
    pub(crate) order: Order,
    /// Whether commits say what is finished beyond their offset.
    pub(crate) commit_metadata: bool,
}

/// One assigned partition.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) shared: Shared,
    pub(crate) scope: Scope,
    /// What was finished before the assignment, from the last commit's metadata.
    pub(crate) finished: Ranges,
    pub(crate) records: mpsc::Receiver<Record>,
    pub(crate) progress: Arc<Progress>,
    /// Cancelled when the partition is handed over or the process ends: nothing new is started.
    pub(crate) stopping: CancellationToken,
}

impl Partition {
    /// Runs until the partition stops and what was being sent is done. Dropping it cuts what is being sent.
    pub(crate) async fn run(self) {
        let mut running = FuturesUnordered::new();
        let mut taking: Option<Taking> = None;
        let mut alarm = Alarm(Box::pin(sleep_until(Instant::now())));
        let mut stopping = pin!(self.stopping.clone().cancelled_owned());
        let mut task = Task::new(self);
        loop {
            let stopped = task.stopping.is_cancelled();
            if stopped {
                task.tell_now();
                if running.is_empty() {
                    return;
                }
            } else if taking.is_none() {
                taking = loop {
                    match task.next_slot() {
                        NextSlot::Free(slot) => running.extend(task.start(slot)),
                        NextSlot::Due(slot) => running.extend(task.start_due(slot)),
                        NextSlot::Later(taking) => break Some(taking),
                        NextSlot::NotNow => break None,
                    }
                };
            } else {
                while let Some(slot) = task.reserved_slot() {
                    running.extend(task.start_due(slot));
                }
            }
            let may_take = !stopped && taking.is_none() && task.may_take();
            let wake_at = task.wake_at(stopped);
            tokio::select! {
                biased;
                Some(ended) = running.next(), if !running.is_empty() => task.settle(ended),
                slot = slot_for(&mut taking), if taking.is_some() && !stopped => {
                    taking = None;
                    if let Ok(slot) = slot {
                        running.extend(task.start(slot));
                    }
                }
                () = alarm.at(wake_at), if wake_at.is_some() => task.wake(Instant::now()),
                Some(record) = task.records.recv(), if may_take => task.receive(record),
                () = &mut stopping, if !stopped => {}
            }
        }
    }
}

async fn slot_for(taking: &mut Option<Taking>) -> Result<Slot, Stopping> {
    match taking {
        Some(taking) => taking.await,
        None => Err(Stopping),
    }
}

/// One timer for everything, set anew only when it has to be.
struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    async fn at(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        if self.0.deadline() != deadline {
            self.0.as_mut().reset(deadline);
        }
        self.0.as_mut().await;
    }
}

#[cfg(test)]
mod tests;
