//! Logs what changed: new problems, and objects that became ready or stopped being so. Everything is said once.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use crate::api::Problem;
use crate::reconcile::Outcome;
use crate::status::Truth;

/// What was said before.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    problems: BTreeSet<Problem>,
    /// Readiness and reason, by kind and uid. Messages change too often to be worth a line each.
    readiness: BTreeMap<(&'static str, String), (Truth, String)>,
}

impl Changes {
    /// Logs what is new since the last call.
    pub(crate) fn tell(&mut self, problems: &[Problem], outcome: &Outcome) {
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            warn!(problem = %problem, "Problem with an object");
        }
        self.problems = problems.iter().cloned().collect();
        let before = std::mem::take(&mut self.readiness);
        let channels = outcome.channels.iter().map(|channel| {
            (
                "KafkaChannel",
                &channel.uid,
                &channel.namespace,
                &channel.name,
                channel.ready,
                &channel.reason,
                &channel.message,
            )
        });
        let subscriptions = outcome.subscriptions.iter().map(|subscription| {
            let s = subscription;
            ("Subscription", &s.uid, &s.namespace, &s.name, s.ready, &s.reason, &s.message)
        });
        for (kind, uid, namespace, name, ready, reason, message) in channels.chain(subscriptions) {
            let key = (kind, uid.clone());
            let now = (ready, reason.clone());
            if before.get(&key) != Some(&now) {
                match ready {
                    Truth::True => info!(kind, namespace, name, "Ready"),
                    Truth::False => info!(kind, namespace, name, reason, message, "Not ready"),
                    // Work in progress, which ends in one of the others.
                    Truth::Unknown => {}
                }
            }
            self.readiness.insert(key, now);
        }
    }
}
