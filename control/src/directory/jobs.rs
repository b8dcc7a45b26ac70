//! Attempts at things outside this process: what runs, what waits for its next attempt, what came of it.
//!
//! Bounded: at most one round of topics, [`GROUPS_AT_ONCE`] groups, [`PROBES_AT_ONCE`] probes and [`NAMES_AT_ONCE`] names at a time; what is
//! beyond waits. A failed attempt is repeated with doubling pauses, a probe that succeeded is repeated now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::kafka_access::KafkaAccess;
use crate::offsets;
use crate::probe::Prober;
use crate::reconcile::observed::{GroupKey, Observed, Probe, Progress, TopicKey};
use crate::reconcile::{Outcome, ProbeRequest, TopicRequest};
use crate::topics::{TopicError, Topics};

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
/// How soon it is noticed that the ingress lost a channel, or is gone.
const PROBE_AGAIN: Duration = Duration::from_secs(10);

/// Something to attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Topic(TopicKey),
    Group(GroupKey),
    /// Uid of the channel.
    Probe(String),
    /// A host name.
    Name(String),
}

/// A fact found out by a job.
#[derive(Debug)]
enum Fact {
    Topics(Vec<(TopicKey, Progress)>),
    Group(GroupKey, Progress),
    Probe(String, Probe),
    Name(String, bool),
}

#[derive(Debug)]
struct Attempt {
    failures: u32,
    /// `None` while it runs.
    due: Option<Instant>,
}

/// All attempts.
#[derive(Debug)]
pub(crate) struct Jobs<T> {
    topics: Arc<T>,
    prober: Prober,
    attempts: BTreeMap<Key, Attempt>,
    running: JoinSet<Fact>,
    /// One permit for each Kafka client of a group.
    clients: Arc<Semaphore>,
}

impl<T: Topics> Jobs<T> {
    pub(crate) fn new(topics: T, prober: Prober) -> Self {
        Self {
            topics: Arc::new(topics),
            prober,
            attempts: BTreeMap::new(),
            running: JoinSet::new(),
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
            if !due.is_empty() && self.count(|key| matches!(key, Key::Topic(_))) == 0 {
                self.start_topics(access.clone(), due);
            }
            for key in &outcome.groups {
                if self.count(|key| matches!(key, Key::Group(_))) >= GROUPS_AT_ONCE {
                    break;
                }
                if self.is_due(&Key::Group(key.clone()), now) {
                    self.start_group(access.clone(), key.clone());
                }
            }
        }
        self.start_names(&outcome.wanted.names, now);
        for request in &outcome.probes {
            if self.count(|key| matches!(key, Key::Probe(_))) >= PROBES_AT_ONCE {
                break;
            }
            if self.is_due(&Key::Probe(request.uid.clone()), now) {
                self.start_probe(request.clone());
            }
        }
    }

    fn start_names(&mut self, wanted: &BTreeSet<String>, now: Instant) {
        for host in wanted {
            if self.count(|key| matches!(key, Key::Name(_))) >= NAMES_AT_ONCE {
                break;
            }
            if self.is_due(&Key::Name(host.clone()), now) {
                self.begin(Key::Name(host.clone()));
                let host = host.clone();
                self.running.spawn(async move {
                    let looked_up = timeout(NAME_LIMIT, tokio::net::lookup_host((host.as_str(), 80))).await;
                    let is_known = looked_up.is_ok_and(|found| found.is_ok_and(|mut found| found.next().is_some()));
                    Fact::Name(host, is_known)
                });
            }
        }
    }

    /// When the next attempt is due; `None` when nothing waits.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.attempts.values().filter_map(|attempt| attempt.due).min()
    }

    /// Waits for a job to end and notes what it found, and what others found meanwhile. Waits for ever while nothing
    /// runs. Dropping the future is safe.
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
    }

    /// Stops everything; nothing of it needs to be finished.
    pub(crate) fn stop(&mut self) {
        self.running.abort_all();
    }

    fn is_due(&self, key: &Key, now: Instant) -> bool {
        self.attempts.get(key).is_none_or(|attempt| attempt.due.is_some_and(|due| due <= now))
    }

    fn count(&self, of_kind: impl Fn(&Key) -> bool) -> usize {
        self.attempts.iter().filter(|(key, attempt)| attempt.due.is_none() && of_kind(key)).count()
    }

    fn forget(&mut self, outcome: &Outcome) {
        self.attempts.retain(|key, attempt| {
            let wanted = match key {
                Key::Topic(key) => outcome.topics.iter().any(|request| request.key == *key),
                Key::Group(key) => outcome.groups.contains(key),
                Key::Probe(uid) => outcome.probes.iter().any(|request| request.uid == *uid),
                Key::Name(host) => outcome.wanted.names.contains(host),
            };
            wanted || attempt.due.is_none()
        });
    }

    fn begin(&mut self, key: Key) {
        self.attempts.entry(key).or_insert(Attempt { failures: 0, due: None }).due = None;
    }

    fn start_topics(&mut self, access: KafkaAccess, requests: Vec<TopicRequest>) {
        for request in &requests {
            self.begin(Key::Topic(request.key.clone()));
        }
        let topics = Arc::clone(&self.topics);
        let away = Progress::Failed(TopicError::Away(access.servers()).to_string());
        self.running.spawn(async move {
            let results = timeout(TOPICS_LIMIT, topics.ensure(&access, &requests)).await.unwrap_or_default();
            let mut results = results.into_iter();
            let facts = requests.into_iter().map(|request| {
                let progress = match results.next() {
                    Some(Ok(())) => Progress::Done,
                    Some(Err(error)) => Progress::Failed(error.to_string()),
                    None => away.clone(),
                };
                (request.key, progress)
            });
            Fact::Topics(facts.collect())
        });
    }

    fn start_group(&mut self, access: KafkaAccess, key: GroupKey) {
        self.begin(Key::Group(key.clone()));
        let clients = Arc::clone(&self.clients);
        let away = Progress::Failed(TopicError::Away(access.servers()).to_string());
        self.running.spawn(async move {
            // Held until the client is closed, which is after its result is known.
            let permit = clients.acquire_owned().await.expect("the semaphore is never closed");
            let (tell, told) = oneshot::channel();
            let job_key = key.clone();
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                // Nobody listens any more when the attempt was given up.
                offsets::initialise_then(&access, &job_key, |result| drop(tell.send(result)));
            });
            let progress = match timeout(GROUP_LIMIT, told).await {
                Ok(Ok(Ok(done))) => {
                    tracing::debug!(group = key.group, topic = key.topic.topic, ?done, "First offsets are there");
                    Progress::Done
                }
                Ok(Ok(Err(error))) => Progress::Failed(error.to_string()),
                Ok(Err(_)) => Progress::Failed("the attempt broke off".to_owned()),
                Err(_) => away,
            };
            Fact::Group(key, progress)
        });
    }

    fn start_probe(&mut self, request: ProbeRequest) {
        self.begin(Key::Probe(request.uid.clone()));
        let prober = self.prober.clone();
        self.running.spawn(async move {
            let answer = prober.ask(&request.path).await;
            Fact::Probe(request.uid, answer)
        });
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
        }
    }

    /// Decides when the next attempt is due.
    fn ended(&mut self, key: Key, success: bool) {
        let probe = matches!(key, Key::Probe(_));
        let attempt = self.attempts.entry(key).or_insert(Attempt { failures: 0, due: None });
        let pause = if success {
            attempt.failures = 0;
            PROBE_AGAIN
        } else {
            let longest = if probe { LONGEST_PROBE_PAUSE } else { LONGEST_KAFKA_PAUSE };
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt.failures)).min(longest);
            attempt.failures = attempt.failures.saturating_add(1);
            pause
        };
        attempt.due = Some(Instant::now() + pause);
    }
}
