//! What is said of attempts in the log.
//!
//! The texts, levels and fields of failures are the peer's, because operators look for them: one line for each attempt,
//! here at most once a second for each target, and one for each event whose attempts are used up.
//! Source: dispatcher spec 8.3.

use std::time::Duration;

use millrace_event::Event;
use tracing::{debug, error};

use super::Origin;
use super::retry::NextStep;
use crate::metrics::Role;
use crate::outcome::{Answer, Failure};
use crate::pipeline::Pipeline;
use crate::route::Route;

/// One attempt that ended.
pub(super) struct Attempt<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) role: Role,
    pub(super) route: &'a Route,
    pub(super) event: &'a Event<'a>,
    pub(super) origin: Origin<'a>,
    pub(super) number: u32,
    pub(super) elapsed: Duration,
}

impl Attempt<'_> {
    pub(super) fn log_success(&self, answer: &Answer) {
        self.log(Some(answer.status.as_u16()), None, "delivered", None);
    }

    pub(super) fn log_failure(&self, failure: &Failure, step: NextStep) {
        let status_code = failure.status().map(|status| status.as_u16());
        match step {
            NextStep::RetryAfter(pause) => {
                self.log(status_code, Some(failure), "retry", Some(millis(pause)));
                if let Some(suppressed) = self.route.failures.turn() {
                    error!(
                        target = %self.route.text,
                        statusCode = status_code,
                        error = %failure,
                        role = self.role.as_str(),
                        subscription = %self.pipeline.egress.reference.name,
                        suppressed,
                        "failed to send event to subscriber"
                    );
                }
            }
            NextStep::GiveUp => {
                self.log(status_code, Some(failure), "failed", None);
                self.log_given_up(status_code, failure);
            }
        }
    }

    fn log_given_up(&self, status_code: Option<u16>, failure: &Failure) {
        let text = match self.role {
            Role::Subscriber => "Failed to send event to subscriber",
            Role::DeadLetterSink => "Failed to send event to dead letter sink",
            Role::Reply => "Failed to handle subscriber response",
        };
        error!(
            event_id = %self.event.id,
            subscription = %self.pipeline.egress.reference.name,
            topic = &*self.origin.record.topic,
            partition = self.origin.record.partition,
            offset = self.origin.record.offset,
            role = self.role.as_str(),
            target = %self.route.text,
            attempts = self.number,
            statusCode = status_code,
            error = %failure,
            "{text}"
        );
    }

    /// The line that the tools of this project wait for.
    fn log(&self, status_code: Option<u16>, error: Option<&Failure>, outcome: &str, retry_in_ms: Option<f64>) {
        debug!(
            event_id = %self.event.id,
            egress = %self.pipeline.egress.uid,
            subscription = %self.pipeline.egress.reference.name,
            role = self.role.as_str(),
            target = %self.route.text,
            attempt = self.number,
            status_code,
            error = error.map(tracing::field::display),
            elapsed_ms = millis(self.elapsed),
            outcome,
            retry_in_ms,
            "Delivery attempt"
        );
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests;
