//! What has to be done before a deleted channel may go.
//!
//! Pure. In this order: the contract drops it, every ingress answers that it does not know it, its groups and its topic
//! are deleted, then its finalizer goes. A step that cannot be done keeps the channel with a condition that says so, but
//! not for ever: a channel that is overdue goes, and what it leaves behind is told.
//! Source: control-plane spec 2.9, 2.16 and section 10.

use super::observed::{GroupKey, Observed, Probe, Removal, TopicKey};
use super::outcome::{Departure, Outcome};
use super::requests::ProbeRequest;
use crate::api::channel::Channel;
use crate::contract::group_id;
use crate::index::{Entry, Index};
use crate::kafka_access::KafkaAccess;
use crate::status::{Condition, Truth};

/// Annotation that keeps a channel's topic when the channel is deleted: `retain`; anything else deletes it.
pub const TOPIC_POLICY: &str = "millrace.dev/topic-deletion";
/// After so many tries an ingress that does not answer counts as one that is gone.
const UNANSWERED_PROBES: u32 = 5;

/// Adds what departing channels need to an outcome. `groups` are those that nobody reads with any more.
pub(super) fn plan(index: &Index, access: Option<&KafkaAccess>, observed: &Observed, outcome: &mut Outcome) {
    for entry in index.departing.values() {
        let departure = Steps { entry, access, observed }.departure(outcome);
        outcome.departures.push(departure);
    }
}

struct Steps<'a> {
    entry: &'a Entry<Channel>,
    access: Option<&'a KafkaAccess>,
    observed: &'a Observed,
}

impl Steps<'_> {
    fn departure(&self, outcome: &mut Outcome) -> Departure {
        let meta = &self.entry.object.meta;
        let overdue = self.observed.overdue.contains(&meta.uid);
        let steps = [self.contract(), self.ingress(outcome), self.groups(outcome), self.topic(outcome)];
        let open: Vec<&Condition> = steps.iter().flatten().collect();
        let mut left_behind = Vec::new();
        if overdue {
            left_behind.extend(open.iter().map(|condition| format!("{} {}", condition.reason, condition.message)));
        }
        let finished = open.is_empty() || overdue;
        // The first open step explains the channel; the later ones wait for it.
        let mut conditions: Vec<Condition> = open.first().map(|first| (*first).clone()).into_iter().collect();
        if let Some(first) = conditions.first() {
            conditions.push(Condition { kind: "Ready".to_owned(), ..first.clone() });
        }
        conditions.sort_by(|a, b| a.kind.cmp(&b.kind));
        Departure {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            finished,
            left_behind,
            conditions,
        }
    }

    /// What the names of the channel's groups begin with; a uid without a dot follows.
    fn prefix(&self) -> String {
        let meta = &self.entry.object.meta;
        group_id(&meta.namespace, &meta.name, "")
    }

    fn in_contract(&self) -> bool {
        self.observed.published.resources.contains_key(&self.entry.object.meta.uid)
    }

    fn contract(&self) -> Option<Condition> {
        let waiting = || {
            let failure = self.observed.write_error.as_ref();
            let (reason, message) = failure.map_or(("", "waiting for the contract without the channel"), |failure| {
                (failure.reason.as_str(), failure.message.as_str())
            });
            Condition::new("ConfigMapUpdated", Truth::False, reason, message)
        };
        self.in_contract().then(waiting)
    }

    fn ingress(&self, outcome: &mut Outcome) -> Option<Condition> {
        let meta = &self.entry.object.meta;
        let answer = self.observed.gone.get(&meta.uid);
        let is_gone = match answer {
            Some((Probe::NotReady(_), _)) => true,
            Some((Probe::Unreachable(_), tries)) => *tries >= UNANSWERED_PROBES,
            Some((Probe::Ready, _)) | None => false,
        };
        if is_gone {
            return None;
        }
        if !self.in_contract() {
            let path = format!("/{}/{}", meta.namespace, meta.name);
            outcome.farewells.push(ProbeRequest { uid: meta.uid.clone(), path });
        }
        let message = match answer {
            Some((Probe::Unreachable(error), _)) => format!("waiting for the ingress to drop the channel: {error}"),
            Some(_) | None => "waiting for the ingress to drop the channel".to_owned(),
        };
        Some(Condition::new("ProbeSucceeded", Truth::False, "ProbeStatus", &message))
    }

    fn groups(&self, outcome: &mut Outcome) -> Option<Condition> {
        let prefix = self.prefix();
        let mine: Vec<&GroupKey> = outcome.leaving.iter().filter(|key| key.group.starts_with(&prefix)).collect();
        let open = mine.first()?;
        let error = match self.observed.removed_groups.get(*open) {
            Some(Removal::Failed(error)) => error.clone(),
            Some(Removal::Gone | Removal::LeftBehind(_)) | None => String::new(),
        };
        Some(Condition::new(
            "Subscribers",
            Truth::False,
            &format!("Failed to delete consumer group: {}", open.group),
            &error,
        ))
    }

    fn topic(&self, outcome: &mut Outcome) -> Option<Condition> {
        let channel = &self.entry.object;
        if channel.meta.annotations.get(TOPIC_POLICY).is_some_and(|policy| policy == "retain") {
            return None;
        }
        // Recorded before it was created; a channel without it never had one.
        let topic = channel.recorded_topic.clone()?;
        let failed = |error: &str| {
            Some(Condition::new("TopicReady", Truth::False, &format!("Failed to delete topic: {topic}"), error))
        };
        let Some(access) = self.access else {
            return failed("it is unknown which Kafka to use; see the ConfigMap with bootstrap.servers");
        };
        let key = TopicKey { servers: access.servers(), topic: topic.clone() };
        let shared = outcome.wanted.topics.contains(&key);
        match self.observed.removed_topics.get(&key) {
            _ if shared => None,
            Some(Removal::Gone | Removal::LeftBehind(_)) => None,
            Some(Removal::Failed(error)) => {
                let condition = failed(error);
                outcome.remove_topics.insert(key, self.prefix());
                condition
            }
            None => {
                // Nothing may be written to it any more by then.
                let dropped =
                    !self.in_contract() && outcome.farewells.iter().all(|probe| probe.uid != channel.meta.uid);
                if dropped {
                    outcome.remove_topics.insert(key.clone(), self.prefix());
                }
                failed("")
            }
        }
    }
}
