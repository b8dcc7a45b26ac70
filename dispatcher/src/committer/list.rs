//! What is committed for each partition, and the same as librdkafka wants it.

use std::sync::Arc;

use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::progress::Commit;

/// One partition of a commit.
pub(crate) struct Committed {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) commit: Arc<Commit>,
}

/// As librdkafka wants it.
pub(crate) fn list(offsets: &[Committed]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for committed in offsets {
        let mut element = list.add_partition(&committed.topic, committed.partition);
        element.set_offset(Offset::Offset(committed.commit.offset))?;
        if !committed.commit.metadata.is_empty() {
            element.set_metadata(&committed.commit.metadata);
        }
    }
    Ok(list)
}
