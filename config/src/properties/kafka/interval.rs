//! How long a consumer may go without polling before the group takes its partitions away.
//!
//! The value follows from the delivery settings of an egress: it has to cover two full batches of events that all use
//! up every attempt. Existing groups were set up with it, so it is computed as the peer does, without its overflows.

use std::time::Duration;

use crate::contract::{BackoffPolicy, Delivery};

/// librdkafka's limit.
const LONGEST: Duration = Duration::from_millis(86_400_000);

/// What an absent `max.poll.records` counts as here; Kafka's default, unlike the batch size we use then.
const DEFAULT_POLL_RECORDS: u32 = 500;

/// Time added for each retry, for work around the request.
const RETRY_MARGIN: Duration = Duration::from_secs(1);

/// `max.poll.interval.ms` for an egress: `2 * records * (timeout + Σ (timeout + backoff(i) + 1 s))`, at most a day and
/// at least the session timeout. `max_poll_records` is the configured value, if any.
pub fn forced_max_poll_interval(
    delivery: &Delivery,
    max_poll_records: Option<u32>,
    session_timeout: Duration,
) -> Duration {
    let records = max_poll_records.unwrap_or(DEFAULT_POLL_RECORDS);
    let interval = longest_delivery(delivery).saturating_mul(records).saturating_mul(2);
    allowed(interval, session_timeout)
}

/// The nearest interval that librdkafka accepts.
pub(super) fn allowed(interval: Duration, session_timeout: Duration) -> Duration {
    // The session timeout is at most an hour, so the two limits never cross.
    interval.max(session_timeout).clamp(Duration::from_millis(1), LONGEST)
}

/// How long one event takes when every attempt runs into its timeout.
fn longest_delivery(delivery: &Delivery) -> Duration {
    let mut total = delivery.attempt_timeout;
    for retry in 1..=delivery.retries {
        let backoff = match delivery.backoff_policy {
            BackoffPolicy::Linear => delivery.backoff_delay.saturating_mul(retry),
            BackoffPolicy::Exponential => {
                delivery.backoff_delay.saturating_mul(2_u32.checked_pow(retry).unwrap_or(u32::MAX))
            }
        };
        total = total.saturating_add(delivery.attempt_timeout).saturating_add(backoff).saturating_add(RETRY_MARGIN);
        // More cannot change the result, and `retries` may be in the billions.
        if total >= LONGEST {
            break;
        }
    }
    total
}
