//! What becomes of a partition whose log went back: an unclean leader election cut it, or its topic was made anew.
//!
//! The client then reads on at an offset that this assignment has passed. The records there are new, whatever their
//! offsets: a new task delivers them, and commits follow the log. The former task finishes what it was given, because
//! that may be in no log any more. Between the two there is no order.
//! Source: dispatcher spec 2.4 (no record is skipped); Kafka's KIP-320 (truncation that clients detect).

use std::mem::replace;

use tracing::warn;

use super::Context;
use crate::consumer::feed::{Feed, Former};
use crate::offsets::ranges::Ranges;
use crate::progress::Commit;

/// The label of `millrace_dispatcher_kafka_errors_total`, among librdkafka's own.
const LOG_WENT_BACK: &str = "LogWentBack";

impl Context {
    /// Gives the partition a new task, which begins with the record that was found to be older.
    pub(super) fn begin_anew(&self, feed: &mut Feed<Self>) {
        feed.went_back = false;
        let Some(offset) = feed.early.front().map(|record| record.offset) else { return };
        let last_offset = replace(&mut feed.last, -1);
        warn!(topic = %feed.topic, partition = feed.partition, last_offset, offset, "the log went back");
        self.membership.shared.pipeline.load().metrics.kafka.failed(LOG_WENT_BACK);
        for done in feed.former.extract_if(.., |former| former.is_done()) {
            done.task.abort();
        }
        let scope = self.commits.scope(&feed.topic, feed.partition);
        let (sender, progress, task) = self.spawn(scope, Ranges::default(), feed.stopping.clone());
        // The group's offset may be beyond the log's end, where a restart would pass over what comes now.
        progress.advance(Commit { offset, metadata: String::new() }, 0);
        feed.sender = sender;
        feed.former.push(Former {
            progress: replace(&mut feed.progress, progress),
            task: replace(&mut feed.task, task),
            end: last_offset + 1,
            back_to: offset,
        });
    }
}

#[cfg(test)]
mod tests;
