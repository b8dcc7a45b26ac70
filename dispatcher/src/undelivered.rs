//! Keeps records that neither subscriber nor dead letter sink took: in the topic `<topic>.undelivered`.
//!
//! Nothing is lost silently: a record is parked, held, or lost with an error and a counter, as
//! `millrace.undelivered` says. A parked record is the record as read, plus headers with the reason.
//! Source: design row 1.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use crate::delivery::Undelivered;
use crate::outcome::{Failure, Outcome};
use crate::pipeline::Pipeline;
use crate::record::Record;
use crate::reply::topic::{RecordProducer, StoreError};
use crate::slot::Slot;
use millrace_config::properties::kafka::Undelivered as Policy;

/// Appended to a topic's name.
pub(crate) const SUFFIX: &str = ".undelivered";

/// Between two tries to park a record that Kafka does not take.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A held record waits for nothing but the end of its partition; it is taken up so seldom that it costs nothing.
const HOLDING_PAUSE: Duration = Duration::from_secs(3600);

/// Keeps the record in the way the settings ask for.
///
/// # Errors
///
/// `Failed` when the event is lost, `Abandoned` when the partition stopped while the record was held.
pub(crate) async fn keep(
    pipeline: &Pipeline,
    record: &Record,
    failure: &Failure,
    slot: &mut Slot,
) -> Result<Outcome, Undelivered> {
    match pipeline.undelivered {
        Policy::Drop => Err(Undelivered::Failed(failure.clone())),
        Policy::Block => hold(pipeline, record, failure, slot).await,
        Policy::Park => park(pipeline, record, failure, slot).await,
    }
}

async fn park(
    pipeline: &Pipeline,
    record: &Record,
    failure: &Failure,
    slot: &mut Slot,
) -> Result<Outcome, Undelivered> {
    let topic = format!("{}{SUFFIX}", record.topic);
    let mut reasons = reasons(pipeline, record, failure);
    let mut made = slot.attempts_before();
    loop {
        made += 1;
        let error = match store(&pipeline.producer, &topic, record, &reasons).await {
            Ok(()) => return Ok(Outcome::Undelivered),
            Err(error) => error,
        };
        if error.is_too_large() && !reasons.is_empty() {
            // As it was read it fitted into a topic of these brokers.
            let (partition, offset) = (record.partition, record.offset);
            warn!(topic, partition, offset, reason = %failure, "undelivered record has no room for its reasons");
            reasons.clear();
            made -= 1;
            continue;
        }
        if error.is_authorization() || error.is_too_large() {
            error!(topic, %error, "undelivered topic may not be used");
            if pipeline.dead_letter.is_none() {
                return Err(Undelivered::Failed(failure.clone()));
            }
        } else {
            warn!(topic, %error, "undelivered record is not stored yet");
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(made - 1)).min(LONGEST_PAUSE);
        pipeline.live.not_kept(made, &error, pause);
        slot.park(made, pause).await.map_err(|_stopping| Undelivered::Abandoned)?;
    }
}

/// Keeps the record's place in its partition until the partition goes to another process.
async fn hold(
    pipeline: &Pipeline,
    record: &Record,
    failure: &Failure,
    slot: &mut Slot,
) -> Result<Outcome, Undelivered> {
    let mut looked = slot.attempts_before();
    if looked == 0 {
        error!(
            egress = %pipeline.egress.uid,
            topic = %record.topic,
            partition = record.partition,
            offset = record.offset,
            error = %failure,
            "undelivered record holds its partition"
        );
    }
    loop {
        looked += 1;
        slot.park(looked, HOLDING_PAUSE).await.map_err(|_stopping| Undelivered::Abandoned)?;
    }
}

async fn store(
    producer: &Arc<RecordProducer>,
    topic: &str,
    record: &Record,
    reasons: &[(&str, String)],
) -> Result<(), StoreError> {
    producer.ensure_topic(topic, &record.topic).await?;
    producer.store_copy(topic, record, reasons).await
}

fn reasons(pipeline: &Pipeline, record: &Record, failure: &Failure) -> Vec<(&'static str, String)> {
    let mut reasons = vec![
        ("millrace-reason", failure.to_string()),
        ("millrace-destination", pipeline.egress.destination.text.clone()),
        ("millrace-consumer-group", pipeline.egress.consumer_group.clone()),
        ("millrace-egress", pipeline.egress.uid.clone()),
        ("millrace-topic", record.topic.to_string()),
        ("millrace-partition", record.partition.to_string()),
        ("millrace-offset", record.offset.to_string()),
    ];
    if let Some(status) = failure.status() {
        reasons.push(("millrace-status", status.as_u16().to_string()));
    }
    reasons
}

#[cfg(test)]
mod tests;
