//! What the group's last commits say about partitions that are assigned now.
//!
//! Asked on the consumer's thread, in the rebalance callback, before anything of the partitions is read: only then is it
//! certain that whoever had them before commits no more. One request for all of them, under a time limit; without an
//! answer some records are delivered again, and none is lost.
//! Source: design row 3.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::offsets::metadata::{self, Scope};
use crate::offsets::ranges::Ranges;

/// The group waits for the assignment meanwhile.
const WAIT: Duration = Duration::from_secs(3);

/// The client knows its cluster when it is in a group; without the id, metadata is bound to less.
const CLUSTER_WAIT: Duration = Duration::from_secs(1);

/// Whose commits they are.
pub(super) struct Commits {
    group: Arc<str>,
    cluster: OnceLock<Arc<str>>,
    /// Whether commits have metadata; otherwise nothing is asked.
    metadata: bool,
}

impl Commits {
    pub(super) fn new(group: Arc<str>, metadata: bool) -> Self {
        Self { group, cluster: OnceLock::new(), metadata }
    }

    /// What the last commits of these partitions say.
    ///
    /// # Errors
    ///
    /// When the group's coordinator does not answer in time.
    pub(super) fn ask<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        partitions: &TopicPartitionList,
    ) -> KafkaResult<Known> {
        if !self.metadata {
            return Ok(Known::default());
        }
        if self.cluster.get().is_none()
            && let Some(cluster) = consumer.client().fetch_cluster_id(CLUSTER_WAIT)
        {
            self.cluster.get_or_init(|| cluster.into());
        }
        Known::ask(consumer, partitions)
    }

    pub(super) fn scope(&self, topic: &str, partition: i32) -> Scope {
        let cluster = self.cluster.get().map_or_else(|| "".into(), Arc::clone);
        Scope { cluster, group: Arc::clone(&self.group), topic: topic.into(), partition }
    }
}

/// Committed offsets and metadata by topic and partition.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<(String, i32), (i64, String)>);

impl Known {
    fn ask<C: ConsumerContext>(consumer: &BaseConsumer<C>, partitions: &TopicPartitionList) -> KafkaResult<Self> {
        let mut asked = TopicPartitionList::with_capacity(partitions.count());
        for element in partitions.elements() {
            asked.add_partition(element.topic(), element.partition());
        }
        let answered = consumer.committed_offsets(asked, WAIT)?;
        let mut known = HashMap::new();
        for element in answered.elements() {
            // The client library panics on metadata that is not UTF-8. It is not ours, and means nothing here.
            let metadata = catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned()));
            if let (Offset::Offset(offset), Ok(metadata)) = (element.offset(), metadata) {
                known.insert((element.topic().to_owned(), element.partition()), (offset, metadata));
            }
        }
        Ok(Self(known))
    }

    /// What is finished beyond the committed offset of a partition.
    pub(super) fn finished(&self, scope: &Scope) -> Ranges {
        let commit = self.0.get(&(scope.topic.to_string(), scope.partition));
        commit.map(|(offset, text)| metadata::read(scope, *offset, text)).unwrap_or_default()
    }
}
