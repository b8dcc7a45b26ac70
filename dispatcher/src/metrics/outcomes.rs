//! The counters of one egress' records, by how they ended.

use millrace_runtime::metrics::Series;
use prometheus::IntCounter;

use crate::outcome::Outcome;

/// One counter an outcome.
#[derive(Clone, Debug)]
pub(super) struct Outcomes {
    delivered: Option<IntCounter>,
    filtered: Option<IntCounter>,
    dead_lettered: Option<IntCounter>,
    undelivered: Option<IntCounter>,
    invalid: Option<IntCounter>,
    lost: Option<IntCounter>,
}

impl Outcomes {
    /// All there are, so that none is missing from the output before it first happens.
    pub(super) fn of(events: &Series<IntCounter>) -> Self {
        let counter = |outcome: Outcome| events.with(&[outcome.as_str()]);
        Self {
            delivered: counter(Outcome::Delivered),
            filtered: counter(Outcome::Filtered),
            dead_lettered: counter(Outcome::DeadLettered),
            undelivered: counter(Outcome::Undelivered),
            invalid: counter(Outcome::Invalid),
            lost: counter(Outcome::Lost),
        }
    }

    pub(super) fn counter(&self, outcome: Outcome) -> Option<&IntCounter> {
        match outcome {
            Outcome::Delivered => self.delivered.as_ref(),
            Outcome::Filtered => self.filtered.as_ref(),
            Outcome::DeadLettered => self.dead_lettered.as_ref(),
            Outcome::Undelivered => self.undelivered.as_ref(),
            Outcome::Invalid => self.invalid.as_ref(),
            Outcome::Lost => self.lost.as_ref(),
        }
    }
}
