//! Attempts at things outside this process: what runs, what waits for its next attempt, what came of it.
//!
//! Bounded: at most one round of topics, [`GROUPS_AT_ONCE`] groups, [`PROBES_AT_ONCE`] probes, [`NAMES_AT_ONCE`] names and
//! [`REMOVALS_AT_ONCE`] deletions at a time; what is beyond waits. Groups and probes take the place of one that ends at
//! once, without waiting for the next look at all objects. A failed attempt is repeated with doubling pauses, a
//! probe that succeeded is repeated now and then.

mod removals;
mod starts;

use self::removals::Removable;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::kafka_access::KafkaAccess;
use crate::probe::Prober;
use crate::reconcile::observed::{GroupKey, Observed, Probe, Progress, TopicKey};
use crate::reconcile::{Outcome, ProbeRequest, TopicRequest};
use crate::topics::Topics;

/// Each has a Kafka client of its own, with its threads.
const GROUPS_AT_ONCE: usize = 16;
const PROBES_AT_ONCE: usize = 16;
/// Each takes a thread while the system's resolver works.
const NAMES_AT_ONCE: usize = 4;
/// A resolver that takes longer counts as one that knows nothing.
const NAME_LIMIT: Duration = Duration::from_secs(5);
/// Beyond the client's own limits: a client that hangs must not hang its group for ever.
const GROUP_LIMIT: Duration = Duration::from_secs(60);
const TOPICS_LIMIT: Duration = Duration::from_secs(60);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_KAFKA_PAUSE: Duration = Duration::from_secs(10);
/// Short: the ingress is near, and people wait for it.
const LONGEST_PROBE_PAUSE: Duration = Duration::from_secs(1);
/// Each has a Kafka client of its own, with its threads.
const REMOVALS_AT_ONCE: usize = 4;

/// How often things are repeated that need not be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How soon it is noticed that the ingress lost a channel, or is gone.
    pub(crate) probe_again: Duration,
    /// How soon it is noticed that somebody gave a topic more partitions.
    pub(crate) partitions_again: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { probe_again: Duration::from_secs(10), partitions_again: Duration::from_mins(1) }
    }
}

/// Something to attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Topic(TopicKey),
    Group(GroupKey),
    /// Uid of the channel.
    Probe(String),
    /// A host name.
    Name(String),
    /// Uid of a deleted channel.
    Farewell(String),
    /// Something in Kafka that nobody needs any more.
    Remove(Removable),
    /// How many partitions topics have.
    Partitions,
}

/// What can be counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sort {
    Topic,
    Group,
    Probe,
    Name,
    Removal,
    Look,
}

impl Key {
    fn sort(&self) -> Sort {
        match self {
            Self::Topic(_) => Sort::Topic,
            Self::Group(_) => Sort::Group,
            Self::Probe(_) | Self::Farewell(_) => Sort::Probe,
            Self::Name(_) => Sort::Name,
            Self::Remove(_) => Sort::Removal,
            Self::Partitions => Sort::Look,
        }
    }
}

/// A fact found out by a job.
#[derive(Debug)]
enum Fact {
    Topics(Vec<(TopicKey, Progress)>),
    Group(GroupKey, Progress),
    Probe(String, Probe),
    Name(String, bool),
    Farewell(String, Probe),
    Removed(Removable, Result<(), String>),
    /// Partitions at the creation and now; absent when nobody answered.
    Partitions(Option<Vec<(TopicKey, i32, i32)>>),
}

#[derive(Debug)]
struct Attempt {
    failures: u32,
    /// `None` while it runs.
    due: Option<Instant>,
}

/// Due, and beyond what may run at a time.
#[derive(Debug, Default)]
struct Waiting {
    /// Where the groups are.
    access: Option<KafkaAccess>,
    groups: VecDeque<GroupKey>,
    /// Topics with more partitions than before, and the number of the first new one.
    grown: BTreeMap<TopicKey, i32>,
    probes: VecDeque<ProbeRequest>,
}

/// All attempts.
#[derive(Debug)]
pub(crate) struct Jobs<T> {
    topics: Arc<T>,
    prober: Prober,
    pace: Pace,
    attempts: BTreeMap<Key, Attempt>,
    running: JoinSet<Fact>,
    /// Replaced by every [`Jobs::start`].
    waiting: Waiting,
    /// One permit for each Kafka client of a group.
    clients: Arc<Semaphore>,
}

impl<T: Topics> Jobs<T> {
    pub(crate) fn new(topics: T, prober: Prober, pace: Pace) -> Self {
        Self {
            topics: Arc::new(topics),
            prober,
            pace,
            attempts: BTreeMap::new(),
            running: JoinSet::new(),
            waiting: Waiting::default(),
            clients: Arc::new(Semaphore::new(GROUPS_AT_ONCE)),
        }
    }

    /// Starts what the outcome asks for and is due. Forgets what it no longer asks for.
    pub(crate) fn start(&mut self, outcome: &Outcome) {
        let now = Instant::now();
        self.forget(outcome);
        if let Some(access) = &outcome.access {
            let due = outcome.topics.iter().filter(|request| self.is_due(&Key::Topic(request.key.clone()), now));
            let due: Vec<TopicRequest> = due.cloned().collect();
            if !due.is_empty() && self.free(Sort::Topic, 1) > 0 {
                self.start_topics(access.clone(), due);
            }
        }
        self.start_names(&outcome.wanted.names, now);
        let groups = outcome.groups.iter().filter(|key| self.is_due(&Key::Group((*key).clone()), now));
        let probes = outcome.probes.iter().filter(|request| self.is_due(&Key::Probe(request.uid.clone()), now));
        let (groups, probes) = (groups.cloned().collect(), probes.cloned().collect());
        self.waiting = Waiting { access: outcome.access.clone(), groups, grown: outcome.grown.clone(), probes };
        self.fill();
    }

    /// Makes all probes due at once: the ingress is another one now.
    pub(crate) fn probe_everything(&mut self) {
        let probes = self.attempts.iter_mut().filter(|(key, _)| key.sort() == Sort::Probe);
        for (_, attempt) in probes.filter(|(_, attempt)| attempt.due.is_some()) {
            attempt.due = Some(Instant::now());
        }
    }

    /// When the next attempt is due; `None` when nothing waits.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.attempts.values().filter_map(|attempt| attempt.due).min()
    }

    /// Waits for a job to end and notes what it found, and what others found meanwhile; others start in their places.
    /// Waits for ever while nothing runs. Dropping the future is safe.
    pub(crate) async fn finished(&mut self, observed: &mut Observed) {
        if self.running.is_empty() {
            return std::future::pending().await;
        }
        let mut ended = self.running.join_next().await;
        while let Some(result) = ended {
            // The other case is a job that was cancelled at the end of the process, or that panicked, which is a bug.
            if let Ok(fact) = result {
                self.note(fact, observed);
            }
            ended = self.running.try_join_next();
        }
        self.fill();
    }

    /// Stops everything; nothing of it needs to be finished.
    pub(crate) fn stop(&mut self) {
        self.waiting = Waiting::default();
        self.running.abort_all();
    }

    fn is_due(&self, key: &Key, now: Instant) -> bool {
        self.attempts.get(key).is_none_or(|attempt| attempt.due.is_some_and(|due| due <= now))
    }

    /// How many more of a sort may run.
    fn free(&self, sort: Sort, at_once: usize) -> usize {
        let running = self.attempts.iter().filter(|(key, attempt)| attempt.due.is_none() && key.sort() == sort).count();
        at_once.saturating_sub(running)
    }

    fn forget(&mut self, outcome: &Outcome) {
        let topics: HashSet<&TopicKey> = outcome.topics.iter().map(|request| &request.key).collect();
        let groups: HashSet<&GroupKey> = outcome.groups.iter().collect();
        let probes: HashSet<&str> = outcome.probes.iter().map(|request| request.uid.as_str()).collect();
        let farewells: HashSet<&str> = outcome.farewells.iter().map(|request| request.uid.as_str()).collect();
        self.attempts.retain(|key, attempt| {
            let wanted = match key {
                Key::Topic(key) => topics.contains(key),
                Key::Group(key) => groups.contains(key),
                Key::Probe(uid) => probes.contains(uid.as_str()),
                Key::Name(host) => outcome.wanted.names.contains(host),
                Key::Farewell(uid) => farewells.contains(uid.as_str()),
                Key::Remove(Removable::Topic(key)) => outcome.remove_topics.contains_key(key),
                Key::Remove(Removable::Group(key)) => outcome.leaving.contains(key),
                Key::Partitions => !outcome.wanted.partitions.is_empty(),
            };
            wanted || attempt.due.is_none()
        });
    }

    fn begin(&mut self, key: Key) {
        self.attempts.entry(key).or_insert(Attempt { failures: 0, due: None }).due = None;
    }

    fn note(&mut self, fact: Fact, observed: &mut Observed) {
        match fact {
            Fact::Topics(facts) => {
                for (key, progress) in facts {
                    self.ended(Key::Topic(key.clone()), progress == Progress::Done);
                    observed.topics.insert(key, progress);
                }
            }
            Fact::Group(key, progress) => {
                self.ended(Key::Group(key.clone()), progress == Progress::Done);
                observed.groups.insert(key, progress);
            }
            Fact::Probe(uid, answer) => {
                self.ended(Key::Probe(uid.clone()), answer == Probe::Ready);
                observed.probes.insert(uid, answer);
            }
            Fact::Name(host, is_known) => {
                self.ended(Key::Name(host.clone()), is_known);
                observed.names.insert(host, is_known);
            }
            Fact::Farewell(uid, answer) => self.note_farewell(uid, answer, observed),
            Fact::Removed(what, result) => self.note_removal(what, result, observed),
            Fact::Partitions(found) => {
                self.ended(Key::Partitions, found.is_some());
                for (key, created, now) in found.into_iter().flatten() {
                    observed.note_partitions(&key, created, now);
                }
            }
        }
    }

    /// Decides when the next attempt is due.
    fn ended(&mut self, key: Key, success: bool) {
        let probe = key.sort() == Sort::Probe;
        let again = if key == Key::Partitions { self.pace.partitions_again } else { self.pace.probe_again };
        let attempt = self.attempts.entry(key).or_insert(Attempt { failures: 0, due: None });
        let pause = if success {
            attempt.failures = 0;
            again
        } else {
            let longest = if probe { LONGEST_PROBE_PAUSE } else { LONGEST_KAFKA_PAUSE };
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt.failures)).min(longest);
            attempt.failures = attempt.failures.saturating_add(1);
            pause
        };
        attempt.due = Some(Instant::now() + pause);
    }
}

#[cfg(test)]
mod tests;
