//! Warns before the embedded broker drops records, and says so when it has.
//!
//! Pure. The mock cluster keeps the last 5 MiB or 100,000 records of a partition and drops older ones without a word,
//! delivered or not. Records are counted by their offsets; bytes as far as the ingress tells sizes.

use std::collections::HashMap;

use super::lines::Stored;

pub(crate) const KEPT_BYTES: u64 = 5 * 1024 * 1024;
pub(crate) const KEPT_RECORDS: i64 = 100_000;
/// Added to the size of a value for its headers, key and framing: a generous guess, so that the warning comes early.
const OVERHEAD_BYTES: u64 = 600;
/// Partitions that are watched. Beyond it nothing is warned about; a laptop has tens.
const MOST_PARTITIONS: usize = 10_000;

#[derive(Default)]
pub(crate) struct Retention {
    partitions: HashMap<(String, i64), Held>,
}

#[derive(Default)]
struct Held {
    bytes: u64,
    warned: bool,
    told_dropped: bool,
}

impl Retention {
    /// Counts a record. Returns a warning once a partition, at four fifths of a limit.
    pub(crate) fn stored(&mut self, stored: &Stored) -> Option<String> {
        let key = (stored.topic.clone(), stored.partition);
        if !self.partitions.contains_key(&key) && self.partitions.len() >= MOST_PARTITIONS {
            return None;
        }
        let held = self.partitions.entry(key).or_default();
        held.bytes = held.bytes.saturating_add(stored.size_bytes.unwrap_or(0)).saturating_add(OVERHEAD_BYTES);
        let is_near = held.bytes >= KEPT_BYTES / 5 * 4 || stored.offset >= KEPT_RECORDS / 5 * 4;
        if held.warned || !is_near {
            return None;
        }
        held.warned = true;
        Some(format!(
            "partition {} of {} is nearly full: the embedded broker keeps the last 5 MiB or 100,000 records and drops \
             older ones, delivered or not. For more use a real Kafka: --kafka HOST:PORT",
            stored.partition, stored.topic
        ))
    }

    /// The partitions to ask the broker about: those that had a record and are not known to have dropped one.
    pub(crate) fn watched(&self) -> Vec<(String, i64)> {
        self.partitions.iter().filter(|(_, held)| !held.told_dropped).map(|(key, _)| key.clone()).collect()
    }

    /// Takes what the broker says is its oldest offset. Returns an alarm once a partition.
    pub(crate) fn oldest(&mut self, topic: &str, partition: i64, offset: i64) -> Option<String> {
        let held = self.partitions.get_mut(&(topic.to_owned(), partition))?;
        if offset <= 0 || held.told_dropped {
            return None;
        }
        held.told_dropped = true;
        held.warned = true;
        Some(format!(
            "partition {partition} of {topic} has dropped its first {offset} records, delivered or not: the embedded \
             broker keeps the last 5 MiB or 100,000 records. Use a real Kafka for more: --kafka HOST:PORT"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, size_bytes: u64) -> Stored {
        Stored {
            event_id: "a".to_owned(),
            topic: "t".to_owned(),
            partition: 0,
            offset,
            elapsed_ms: None,
            size_bytes: Some(size_bytes),
        }
    }

    #[test]
    fn a_partition_that_fills_up_is_warned_about_once_and_before_it_drops() {
        let mut retention = Retention::default();
        let warned: Vec<i64> =
            (0..20).filter(|offset| retention.stored(&record(*offset, 512 * 1024)).is_some()).collect();
        assert_eq!(warned.len(), 1);
        let produced = u64::try_from(warned[0] + 1).unwrap() * 512 * 1024;
        assert!(produced < KEPT_BYTES, "warned only after {produced} bytes");
    }

    #[test]
    fn many_small_records_are_warned_about_by_number() {
        let mut retention = Retention::default();
        assert_eq!(retention.stored(&record(10, 1)), None);
        assert!(retention.stored(&record(80_000, 1)).is_some());
        assert_eq!(retention.stored(&record(80_001, 1)), None);
    }

    #[test]
    fn dropped_records_are_told_once() {
        let mut retention = Retention::default();
        assert_eq!(retention.oldest("t", 0, 5), None);
        assert_eq!(retention.stored(&record(0, 1)), None);
        assert_eq!(retention.watched(), [("t".to_owned(), 0)]);
        assert_eq!(retention.oldest("t", 0, 0), None);
        assert!(retention.oldest("t", 0, 7).is_some_and(|text| text.contains("first 7 records")));
        assert_eq!(retention.oldest("t", 0, 9), None);
        assert!(retention.watched().is_empty());
    }
}
