//! What an operator wants to know of a running egress that no metric tells: its last error, its next retry, its lag by
//! partition.
//!
//! Written where things happen, without locks; read by the debug page. It holds no payload, and no header of any request.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use millrace_config::snapshot::Snapshot;
use millrace_runtime::clock;
use serde::Serialize;

use crate::metrics::Role;
use crate::metrics::kafka::Lag;
use crate::outcome::Failure;

/// No error text is longer; some quote what a target answered.
const ERROR_CHARS: usize = 500;

/// No retry is known to be due.
const NEVER: i64 = 0;

/// Kept over changes that do not concern Kafka.
#[derive(Debug, Default)]
pub(crate) struct Live {
    last_error: Snapshot<Option<LastError>>,
    next_retry_ms: AtomicI64,
    lag: Snapshot<Vec<Lag>>,
    kafka_error: Snapshot<Option<KafkaError>>,
    /// One a partition, as long as it is ours. Locked when one comes and when somebody looks.
    parked: Mutex<Vec<Weak<ParkedRecords>>>,
}

/// The records of one partition that wait for an attempt without being in flight.
#[derive(Debug)]
pub(crate) struct ParkedRecords {
    number: AtomicUsize,
    next_due_ms: AtomicI64,
}

/// The last attempt that failed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LastError {
    /// Milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Who failed: the role of a target, or `undelivered_topic`.
    pub(crate) role: &'static str,
    pub(crate) attempt: u32,
    pub(crate) error: String,
}

/// What the Kafka client complained about last.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KafkaError {
    /// Milliseconds since 1970.
    pub(crate) at_ms: i64,
    pub(crate) error: String,
}

impl Live {
    /// An attempt failed; another one follows after `retry_in`, if any.
    pub(crate) fn failed(&self, role: Role, attempt: u32, failure: &Failure, retry_in: Option<Duration>) {
        self.error_is(role.as_str(), attempt, failure.to_string(), retry_in);
    }

    /// A record that nobody took could not be kept either; it is tried again after `retry_in`.
    pub(crate) fn not_kept(&self, attempt: u32, error: &dyn std::fmt::Display, retry_in: Duration) {
        self.error_is("undelivered_topic", attempt, error.to_string(), Some(retry_in));
    }

    fn error_is(&self, role: &'static str, attempt: u32, text: String, retry_in: Option<Duration>) {
        let at_ms = clock::now_millis();
        let error = if text.len() > ERROR_CHARS { text.chars().take(ERROR_CHARS).collect() } else { text };
        self.last_error.publish(Some(LastError { at_ms, role, attempt, error }));
        if let Some(pause) = retry_in {
            self.retry_at(at_ms, after(at_ms, pause));
        }
    }

    /// The Kafka client complained.
    pub(crate) fn kafka_failed(&self, error: String) {
        self.kafka_error.publish(Some(KafkaError { at_ms: clock::now_millis(), error }));
    }

    /// The group gave us partitions: whatever kept the client from that is over.
    pub(crate) fn kafka_works(&self) {
        self.kafka_error.publish(None);
    }

    pub(crate) fn kafka_error(&self) -> Option<KafkaError> {
        (*self.kafka_error.load()).clone()
    }

    /// How many partitions are ours.
    pub(crate) fn assigned(&self) -> usize {
        self.partitions().len()
    }

    /// One more partition, until the value is dropped.
    pub(crate) fn partition(&self) -> Arc<ParkedRecords> {
        let records = Arc::new(ParkedRecords { number: AtomicUsize::new(0), next_due_ms: AtomicI64::new(NEVER) });
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        parked.retain(|partition| partition.strong_count() > 0);
        parked.push(Arc::downgrade(&records));
        records
    }

    /// How many records wait for an attempt without being in flight.
    pub(crate) fn parked(&self) -> usize {
        self.partitions().iter().map(|partition| partition.number.load(Ordering::Relaxed)).sum()
    }

    fn partitions(&self) -> Vec<Arc<ParkedRecords>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    /// The client told how far the group is behind.
    pub(crate) fn lag_is(&self, lag: Vec<Lag>) {
        self.lag.publish(lag);
    }

    pub(crate) fn last_error(&self) -> Option<LastError> {
        (*self.last_error.load()).clone()
    }

    /// Milliseconds since 1970 of the next retry; `None` when none is to come. Of the records that keep their place in flight
    /// while they wait, only the soonest that was known at a time counts.
    pub(crate) fn next_retry_ms(&self) -> Option<i64> {
        let now_ms = clock::now_millis();
        let in_flight = Some(self.next_retry_ms.load(Ordering::Relaxed)).filter(|due| *due >= now_ms);
        let partitions = self.partitions();
        let parked = partitions.iter().map(|partition| partition.next_due_ms.load(Ordering::Relaxed));
        parked.chain(in_flight).filter(|due| *due != NEVER).min()
    }

    pub(crate) fn lag(&self) -> Vec<Lag> {
        (*self.lag.load()).clone()
    }

    /// Only the soonest is kept; once it has passed the next one to be scheduled counts.
    fn retry_at(&self, now_ms: i64, due_ms: i64) {
        let sooner = |known: i64| (known == NEVER || known < now_ms || due_ms < known).then_some(due_ms);
        match self.next_retry_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sooner) {
            // An error says that a sooner one is known, which then stays.
            Ok(_known) | Err(_known) => {}
        }
    }
}

impl ParkedRecords {
    /// How many there are, and in what time the next one is due.
    pub(crate) fn are(&self, number: usize, next_due_in: Option<Duration>) {
        self.number.store(number, Ordering::Relaxed);
        let due_ms = next_due_in.map_or(NEVER, |wait| after(clock::now_millis(), wait));
        self.next_due_ms.store(due_ms, Ordering::Relaxed);
    }
}

fn after(now_ms: i64, wait: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    //! Which retry counts as the next.

    use super::*;

    #[test]
    fn the_soonest_retry_to_come_is_the_next() {
        let live = Live::default();
        assert_eq!(live.next_retry_ms(), None);
        let now = clock::now_millis();
        for (due, expected) in
            [(now + 60_000, now + 60_000), (now + 90_000, now + 60_000), (now + 30_000, now + 30_000)]
        {
            live.retry_at(now, due);
            assert_eq!(live.next_retry_ms(), Some(expected));
        }
        live.retry_at(now + 30_001, now + 95_000);
        assert_eq!(live.next_retry_ms(), Some(now + 95_000), "the sooner ones have passed");
    }

    #[test]
    fn a_retry_that_is_parked_is_known_until_it_starts_whatever_came_before_it() {
        let live = Live::default();
        let (one, other) = (live.partition(), live.partition());
        one.are(2, Some(Duration::from_secs(60)));
        other.are(1, Some(Duration::from_secs(90)));
        let shown = || live.next_retry_ms().map(|due| (due - clock::now_millis() + 500) / 1000);
        assert_eq!((live.parked(), shown()), (3, Some(60)));
        one.are(0, None);
        assert_eq!((live.parked(), shown()), (1, Some(90)));
        drop(other);
        assert_eq!((live.parked(), shown()), (0, None), "the partition is gone");
    }

    #[test]
    fn an_error_that_quotes_a_long_answer_is_cut() {
        let live = Live::default();
        live.failed(Role::Reply, 1, &Failure::MalformedReply("é".repeat(5_000)), None);
        assert_eq!(live.last_error().unwrap().error.chars().count(), ERROR_CHARS);
    }

    #[test]
    fn the_last_error_says_when_where_and_what() {
        let live = Live::default();
        live.failed(Role::Subscriber, 2, &Failure::Connect("refused".into()), None);
        let error = live.last_error().unwrap();
        assert_eq!(
            (error.role, error.attempt, error.error.as_str()),
            ("subscriber", 2, "cannot reach the target: refused")
        );
        assert!(error.at_ms > 0);
        assert_eq!(live.next_retry_ms(), None);
    }
}
