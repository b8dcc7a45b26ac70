//! What is measured of single attempts: how many there were, and what came of them.

use std::sync::Arc;

use millrace_runtime::metrics::family::OwnerLabels;
use millrace_runtime::metrics::{CounterFamily, Metrics, MetricsError, Series};
use prometheus::IntCounter;

use super::Role;
use crate::outcome::{Answer, Failure};

const ATTEMPTS: &str = "millrace_dispatcher_attempts_total";
const DELIVERED: &str = "delivered";

/// The family of the process.
#[derive(Clone, Debug)]
pub(crate) struct AttemptFamily(CounterFamily);

impl AttemptFamily {
    /// Registers the family.
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, MetricsError> {
        let help = "Attempts to deliver, by whom they went to and what came of them";
        Ok(Self(metrics.family(ATTEMPTS, help, &["role", "result"])?))
    }

    /// The series of one egress.
    pub(super) fn egress(&self, owner: &OwnerLabels) -> Attempts {
        let series = self.0.series(owner.clone());
        let delivered = Role::ALL.map(|role| series.with(&[role.as_str(), DELIVERED]));
        Attempts { series, delivered }
    }
}

/// The attempts of one egress; the series disappear when it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    series: Arc<Series<IntCounter>>,
    /// By role, in the order of [`Role::ALL`]: what nearly all attempts end in needs no look-up.
    delivered: [Option<IntCounter>; 3],
}

impl Attempts {
    /// An attempt ended.
    pub(crate) fn ended(&self, role: Role, result: &Result<Answer, Failure>) {
        let failed;
        let counter = match result {
            Ok(_answer) => {
                let [subscriber, dead_letter_sink, reply] = &self.delivered;
                match role {
                    Role::Subscriber => subscriber,
                    Role::DeadLetterSink => dead_letter_sink,
                    Role::Reply => reply,
                }
            }
            Err(failure) => {
                failed = self.series.with(&[role.as_str(), word(failure)]);
                &failed
            }
        };
        if let Some(counter) = counter {
            counter.inc();
        }
    }
}

/// From a closed set, so that the number of series is bounded.
fn word(failure: &Failure) -> &'static str {
    match failure {
        Failure::Status { status, .. } => match status.as_u16() {
            429 => "429",
            503 => "503",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        },
        Failure::TimedOut(_) => "timed_out",
        Failure::Connect(_) => "not_connected",
        Failure::Transport(_) => "broken_off",
        Failure::Crowded { .. } => "crowded",
        Failure::AnswerTooLarge { .. } => "answer_too_large",
        Failure::Unsendable(_) => "unsendable",
        Failure::MalformedReply(_) => "malformed_reply",
        Failure::ReplyNotStored { .. } => "reply_not_stored",
        Failure::NoServiceAccount { .. } => "no_service_account",
        Failure::Token(_) => "no_token",
    }
}
