//! How each sort of attempt is made.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{
    Fact, GROUP_LIMIT, GROUPS_AT_ONCE, Jobs, Key, NAME_LIMIT, NAMES_AT_ONCE, PROBES_AT_ONCE, Sort, TOPICS_LIMIT,
};
use crate::kafka_access::KafkaAccess;
use crate::offsets;
use crate::reconcile::observed::{GroupKey, Progress};
use crate::reconcile::{Outcome, ProbeRequest, TopicRequest};
use crate::topics::{Partitions, TopicError, Topics};

impl<T: Topics> Jobs<T> {
    /// Starts groups and probes that wait, as far as there is room.
    pub(super) fn fill(&mut self) {
        if let Some(access) = self.waiting.access.clone().filter(|_| !self.waiting.groups.is_empty()) {
            for _ in 0..self.free(Sort::Group, GROUPS_AT_ONCE) {
                let Some(key) = self.waiting.groups.pop_front() else { break };
                self.start_group(access.clone(), key);
            }
        }
        if self.waiting.probes.is_empty() {
            return;
        }
        for _ in 0..self.free(Sort::Probe, PROBES_AT_ONCE) {
            let Some(request) = self.waiting.probes.pop_front() else { break };
            self.start_probe(request);
        }
    }

    pub(super) fn start_names(&mut self, wanted: &BTreeSet<String>, now: Instant) {
        let free = self.free(Sort::Name, NAMES_AT_ONCE);
        let due = wanted.iter().filter(|host| self.is_due(&Key::Name((*host).clone()), now));
        for host in due.take(free).cloned().collect::<Vec<String>>() {
            self.begin(Key::Name(host.clone()));
            self.running.spawn(async move {
                let looked_up = timeout(NAME_LIMIT, tokio::net::lookup_host((host.as_str(), 80))).await;
                let is_known = looked_up.is_ok_and(|found| found.is_ok_and(|mut found| found.next().is_some()));
                Fact::Name(host, is_known)
            });
        }
    }

    pub(super) fn start_topics(&mut self, access: KafkaAccess, requests: Vec<TopicRequest>) {
        for request in &requests {
            self.begin(Key::Topic(request.key.clone()));
        }
        let topics = Arc::clone(&self.topics);
        let away = Progress::NotAsked(TopicError::Away(access.servers()).to_string());
        self.running.spawn(async move {
            let results = timeout(TOPICS_LIMIT, topics.ensure(&access, &requests)).await.unwrap_or_default();
            let mut results = results.into_iter();
            let facts = requests.into_iter().map(|request| {
                let progress = match results.next() {
                    Some(Ok(())) => Progress::Done,
                    Some(Err(error @ (TopicError::Client(_) | TopicError::Away(_)))) => {
                        Progress::NotAsked(error.to_string())
                    }
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
        let added = self.waiting.grown.get(&key.topic).copied();
        self.running.spawn(async move {
            // Held until the client is closed, which is after its result is known.
            let permit = clients.acquire_owned().await.expect("the semaphore is never closed");
            let (tell, told) = oneshot::channel();
            let job_key = key.clone();
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                // Nobody listens any more when the attempt was given up.
                offsets::initialise_then(&access, &job_key, added, |result| drop(tell.send(result)));
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
}

impl<T: Topics + Partitions> Jobs<T> {
    /// Looks how many partitions topics have.
    pub(super) fn start_look(&mut self, outcome: &Outcome, now: Instant) {
        let Some(access) = outcome.access.clone() else { return };
        if outcome.wanted.partitions.is_empty() || !self.is_due(&Key::Partitions, now) {
            return;
        }
        self.begin(Key::Partitions);
        let (topics, wanted) = (Arc::clone(&self.topics), outcome.wanted.partitions.clone());
        self.running.spawn(async move {
            let looked = timeout(TOPICS_LIMIT, topics.partitions(&access)).await;
            let found = looked.ok().and_then(Result::ok).map(|found| {
                let known = wanted.into_iter().filter_map(|(key, created)| {
                    let now = *found.get(&key.topic)?;
                    Some((key, created, now))
                });
                known.collect()
            });
            Fact::Partitions(found)
        });
    }
}
