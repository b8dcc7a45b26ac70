//! What of a consumer's partitions is to be committed, and what the broker has acknowledged.
//!
//! Source: design rows 3 and 4.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use tracing::warn;

use super::Context;
use crate::committer::list::{Committed, list};
use crate::consumer::feed::Feed;
use crate::progress::Commit;

impl Context {
    pub(super) fn commit_now(&self, consumer: &BaseConsumer<Self>, feeds: &[Feed<Self>]) {
        let offsets: Vec<Committed> = feeds.iter().filter_map(|feed| self.uncommitted(feed)).collect();
        if offsets.is_empty() {
            return;
        }
        let result = list(&offsets).and_then(|list| consumer.commit(&list, CommitMode::Sync));
        if let Err(error) = result {
            warn!(egress = %self.membership.egress, %error, "last commit failed; records will be delivered again");
        }
    }

    /// What is finished and not yet committed. The next progress wakes the thread again.
    pub(crate) fn progress(&self) -> Vec<Committed> {
        self.feeds().iter().filter_map(|feed| self.uncommitted(feed)).collect()
    }

    /// Commits carry offsets only from now on.
    pub(crate) fn leave_out_metadata(&self) {
        self.plain_commits.store(true, Ordering::Release);
    }

    fn uncommitted(&self, feed: &Feed<Self>) -> Option<Committed> {
        // Forgotten before it is read: progress made in between wakes the thread once more than needed, never once less.
        feed.progress.seen();
        let mut commit = feed.commit()?;
        if self.plain_commits.load(Ordering::Acquire) && !commit.metadata.is_empty() {
            commit = Arc::new(Commit { offset: commit.offset, metadata: String::new() });
        }
        let news = feed.committed.as_ref() != Some(&commit);
        news.then(|| Committed { topic: Arc::clone(&feed.topic), partition: feed.partition, commit })
    }

    /// Notes what the broker has acknowledged.
    pub(crate) fn committed(&self, offsets: &[Committed]) {
        let mut feeds = self.feeds();
        for committed in offsets {
            if let Some(feed) = feeds.iter_mut().find(|feed| feed.is(&committed.topic, committed.partition)) {
                feed.committed = Some(Arc::clone(&committed.commit));
            }
        }
    }
}
