//! Attempts at taking things away: channels out of the ingress, topics and groups out of Kafka.

use std::sync::Arc;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{Fact, Jobs, Key, PROBES_AT_ONCE, REMOVALS_AT_ONCE, Sort, TOPICS_LIMIT};
use crate::kafka_access::KafkaAccess;
use crate::reconcile::observed::{GroupKey, Observed, Probe, Removal, TopicKey};
use crate::reconcile::{Outcome, ProbeRequest};
use crate::topics::{Partitions, Removals, TopicError, Topics};

/// About five minutes of tries. A group whose members never leave is somebody's, and harms nobody.
const GROUP_TRIES: u32 = 35;

/// Something to delete in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Removable {
    /// The topic of a deleted channel.
    Topic(TopicKey),
    /// A group that nobody reads with any more.
    Group(GroupKey),
}

impl<T: Topics + Removals + Partitions> Jobs<T> {
    /// As [`Jobs::start`], for what is done in a cluster only: things that objects no longer ask for are taken away, and
    /// topics are looked at.
    pub(crate) fn start_in_cluster(&mut self, outcome: &Outcome) {
        let now = Instant::now();
        self.start_look(outcome, now);
        let free = self.free(Sort::Probe, PROBES_AT_ONCE);
        let due = outcome.farewells.iter().filter(|request| self.is_due(&Key::Farewell(request.uid.clone()), now));
        for request in due.take(free).cloned().collect::<Vec<ProbeRequest>>() {
            self.begin(Key::Farewell(request.uid.clone()));
            let prober = self.prober.clone();
            self.running
                .spawn(async move { Fact::Farewell(request.uid, prober.ask_whether_gone(&request.path).await) });
        }
        let Some(access) = &outcome.access else { return };
        // Groups first: their members would complain about a topic that is gone.
        let groups = outcome.remove_groups.iter().cloned().map(Removable::Group);
        let all = groups.chain(outcome.remove_topics.keys().cloned().map(Removable::Topic));
        let due: Vec<Removable> = all.filter(|what| self.is_due(&Key::Remove(what.clone()), now)).collect();
        let free = self.free(Sort::Removal, REMOVALS_AT_ONCE);
        for what in due.into_iter().take(free) {
            let prefix = match &what {
                Removable::Topic(key) => outcome.remove_topics.get(key).cloned().unwrap_or_default(),
                Removable::Group(_) => String::new(),
            };
            self.start_removal(access.clone(), what, prefix);
        }
    }

    fn start_removal(&mut self, access: KafkaAccess, what: Removable, group_prefix: String) {
        self.begin(Key::Remove(what.clone()));
        let topics = Arc::clone(&self.topics);
        self.running.spawn(async move {
            let attempt = async {
                match &what {
                    Removable::Group(key) => topics.remove_group(&access, &key.group).await,
                    Removable::Topic(key) => topics.remove_topic(&access, &key.topic, &group_prefix).await,
                }
            };
            let result = timeout(TOPICS_LIMIT, attempt).await.unwrap_or(Err(TopicError::Away(access.servers())));
            Fact::Removed(what, result.map_err(|error| error.to_string()))
        });
    }
}

impl<T: Topics> Jobs<T> {
    /// Notes what the ingress said about a deleted channel.
    pub(super) fn note_farewell(&mut self, uid: String, answer: Probe, observed: &mut Observed) {
        self.ended(Key::Farewell(uid.clone()), matches!(answer, Probe::NotReady(_)));
        // One that answered a moment ago is there, however often it was asked.
        let tries = match (&answer, observed.gone.get(&uid)) {
            (Probe::Unreachable(_), Some((Probe::Unreachable(_), tries))) => tries.saturating_add(1),
            (Probe::Unreachable(_), Some((Probe::Ready | Probe::NotReady(_), _)) | None) => 1,
            (Probe::Ready | Probe::NotReady(_), _) => 0,
        };
        observed.gone.insert(uid, (answer, tries));
    }

    /// Notes what came of an attempt to delete something.
    pub(super) fn note_removal(&mut self, what: Removable, result: Result<(), String>, observed: &mut Observed) {
        let key = Key::Remove(what.clone());
        self.ended(key.clone(), result.is_ok());
        let failures = self.attempts.get(&key).map_or(0, |attempt| attempt.failures);
        match what {
            Removable::Topic(key) => {
                if result.is_ok() {
                    info!(topic = key.topic, "Topic deleted");
                }
                observed.removed_topics.insert(key, result.map_or_else(Removal::Failed, |()| Removal::Gone));
            }
            Removable::Group(key) => {
                let group = &key.group;
                let removal = match result {
                    Ok(()) => {
                        info!(group, "Consumer group deleted");
                        Removal::Gone
                    }
                    Err(error) if failures >= GROUP_TRIES => {
                        warn!(group, error, "Consumer group cannot be deleted and stays");
                        Removal::LeftBehind(error)
                    }
                    Err(error) => Removal::Failed(error),
                };
                observed.removed_groups.insert(key, removal);
            }
        }
    }
}
