//! Says that records fail, at most once a second: a Kafka outage under load must not become a flood of log lines.

use std::sync::atomic::{AtomicU64, Ordering};

use millrace_runtime::clock;
use millrace_runtime::startup::with_causes;
use tracing::warn;

use crate::producer::ProduceError;
use crate::routes::Target;

/// Remembers the second of the last line and what was left unsaid since.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    second: AtomicU64,
    unsaid: AtomicU64,
}

impl Throttle {
    /// The sender is told, so the event is not lost; that is why this warns and does not cry.
    pub(super) fn warn(&self, target: &Target, error: &ProduceError) {
        if let Some(unsaid) = self.turn(clock::since_epoch().as_secs()) {
            let error = with_causes(error);
            let topic = &target.topic;
            warn!(topic, uid = target.resource.uid, error, suppressed = unsaid, "Failed to produce record");
        }
    }

    /// How many were left unsaid, when it is time to speak.
    fn turn(&self, now: u64) -> Option<u64> {
        if self.second.swap(now, Ordering::Relaxed) == now {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_tells_how_many_were_left_out() {
        let throttle = Throttle::default();
        assert_eq!(throttle.turn(5), Some(0));
        assert_eq!((throttle.turn(5), throttle.turn(5)), (None, None));
        assert_eq!(throttle.turn(6), Some(2));
        assert_eq!(throttle.turn(7), Some(0));
    }
}
