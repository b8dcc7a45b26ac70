//! The wall clock: the only place that asks for the time of day.
//!
//! Durations are measured with `std::time::Instant`, never with this.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time of day.
#[must_use]
pub fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    SystemTime::now()
}

/// Time since the Unix epoch; zero when the machine's clock is set before 1970.
#[must_use]
pub fn since_epoch() -> Duration {
    now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since the Unix epoch, as Kafka's record timestamps count them.
#[must_use]
pub fn now_millis() -> i64 {
    i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_past_the_year_2020_and_never_in_seconds() {
        assert!(now_millis() > 1_577_836_800_000);
        assert!(now_millis() < 10_000_000_000_000);
    }
}
