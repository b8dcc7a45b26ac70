//! The leader's loop: looks at everything that is known, acts, and waits for news.
//!
//! One pass looks at all objects: it is pure and fast, and what it finds does not depend on which event came first. News
//! that come while it runs are seen by the next one. Everything that takes time runs beside it and is bounded. Passes rest
//! in between, so that many objects do not mean one pass for each; writes and jobs that wait for room do not wait for them.

mod report;
mod requests;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use millrace_runtime::health::Readiness;
use reqwest::Url;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::info;

use self::wanted::Note;
use super::contract_map::{ContractMap, Standing};
use super::events::Events;
use super::pods::{self, FeatureChanges};
use super::snapshot::{self, Snapshot};
use super::watches::{Places, Watches};
use super::writes::{self, Aspect, Finished, Writes};
use super::{Cluster, KubernetesError};
use crate::changes::Changes;
use crate::jobs::{Jobs, Pace};
use crate::metrics::ControlMetrics;
use crate::probe::Prober;
use crate::reconcile::failure::Failure;
use crate::reconcile::observed::{GroupKey, Observed, Progress, TopicKey};
use crate::reconcile::{Outcome, reconcile};
use crate::topics::admin::AdminTopics;

/// At least so long between two passes; more when passes take long, so that they never use more than a third of a core.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// A channel that was found is asked for again after this, or when the pods of the ingress change.
const PROBE_AGAIN: Duration = Duration::from_mins(10);
/// How long everything waits for what is not known yet about Secrets and references. After that it counts as unreadable.
const LONGEST_HOLD: Duration = Duration::from_secs(5);
/// How long a contract that lost a part is not written. After that what is known counts.
const LONGEST_HOLD_OF_CONTRACT: Duration = Duration::from_secs(30);

/// Everything that a leader has.
pub(super) struct Shell {
    cluster: Cluster,
    places: Places,
    watches: Watches,
    wake: Arc<Notify>,
    jobs: Jobs<AdminTopics>,
    writes: Writes,
    contract: ContractMap,
    observed: Observed,
    targets: watch::Sender<Vec<Url>>,
    events: Events,
    /// What was logged already.
    changes: Changes,
    metrics: ControlMetrics,
    readiness: Readiness,
    /// The contract in force was read.
    adopted: bool,
    /// A shard of it was lost: until when nothing is written that could lack something.
    lost: Option<Instant>,
    /// Since when something needed is not known.
    held: Option<Instant>,
    /// By uid: since when a channel is on its way out.
    departing: BTreeMap<String, Instant>,
    /// Since when a status differs from what it should be.
    differing: BTreeMap<writes::Key, Instant>,
    /// What to tell when a write was done.
    notes: BTreeMap<writes::Key, Note>,
    features: FeatureChanges,
    /// Why the last write of the contract failed.
    write_failure: Option<Failure>,
    /// What was said about kinds that cannot be watched.
    said: String,
}

impl Shell {
    pub(super) fn new(
        client: Client,
        cluster: Cluster,
        places: Places,
        metrics: ControlMetrics,
        readiness: Readiness,
        stop: CancellationToken,
    ) -> Result<Self, KubernetesError> {
        let wake = Arc::new(Notify::new());
        let (targets, following) = watch::channel(Vec::new());
        let prober = Prober::following(following)?;
        let partitions_again = cluster.partitions_again;
        let contract = ContractMap::new(client.clone(), places.data_plane_namespace.clone(), places.contract.clone());
        Ok(Self {
            watches: Watches::start(client.clone(), &places, Arc::clone(&wake), stop),
            jobs: Jobs::new(AdminTopics, prober, Pace { probe_again: PROBE_AGAIN, partitions_again }),
            writes: Writes::new(client.clone()),
            contract,
            observed: Observed::default(),
            targets,
            events: Events::new(client, &cluster.identity),
            changes: Changes::default(),
            metrics,
            readiness,
            adopted: false,
            lost: None,
            held: None,
            departing: BTreeMap::new(),
            differing: BTreeMap::new(),
            notes: BTreeMap::new(),
            features: FeatureChanges::default(),
            write_failure: None,
            said: String::new(),
            cluster,
            places,
            wake,
        })
    }

    /// Works until it is dropped.
    pub(super) async fn lead(mut self) {
        loop {
            let started = Instant::now();
            self.pass();
            let rested = Instant::now() + (started.elapsed() * 2).max(SHORTEST_PAUSE);
            self.wait(rested).await;
        }
    }

    /// Waits for news, and at least until `rested`. What ends meanwhile makes room for what waits.
    async fn wait(&mut self, rested: Instant) {
        let mut news = false;
        while !news || Instant::now() < rested {
            let due = if news { Some(rested) } else { self.next_due().map(|due| due.max(rested)) };
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.jobs.finished(&mut self.observed) => {}
                finished = self.writes.finished() => self.note_writes(finished),
                written = self.contract.finished() => match written {
                    Some(Ok((published, leaving))) => {
                        self.metrics.published.inc();
                        (self.observed.published, self.observed.leaving) = (published, leaving);
                        self.write_failure = None;
                    }
                    Some(Err(failure)) => {
                        self.metrics.write_failures.inc();
                        self.write_failure = Some(failure);
                    }
                    None => {}
                },
                () = wait_until(due) => {}
            }
            news = true;
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let held = self.held.map(|since| since + LONGEST_HOLD);
        let patience = self.cluster.deletion_patience;
        let overdue = self.departing.values().map(|since| *since + patience).filter(|due| *due > Instant::now()).min();
        [self.jobs.next_due(), self.writes.next_due(), self.contract.next_due(), held, overdue, self.lost]
            .into_iter()
            .flatten()
            .min()
    }

    /// Brings everything as far as it goes without waiting.
    fn pass(&mut self) {
        let Some(Snapshot { objects, facts }) = self.look() else { return };
        self.metrics.readings.inc();
        self.aim();
        self.observed.cluster = facts;
        self.observed.cluster.account_failures = self.writes.failures(Aspect::Account);
        self.adopt();
        let outcome = reconcile(objects, &self.cluster.settings, &self.observed);
        self.observed.forget(&outcome);
        self.note_departures(&outcome);
        let found = self.watches.contract(&self.places);
        let blind = pods::blind(&self.watches.pods.all());
        let standing = match self.waits_for_lost(&outcome) {
            true => Standing::Fine,
            false => self.contract.bring(&found, &outcome.contract, &outcome.leaving, &blind),
        };
        let failure = match standing {
            Standing::Bad(failure) => Some(failure),
            Standing::Fine => self.write_failure.clone(),
        };
        if failure != self.observed.write_error {
            self.observed.write_error = failure;
            // Conditions speak of it.
            self.wake.notify_one();
        }
        self.jobs.start(&outcome);
        self.jobs.start_in_cluster(&outcome);
        let writes = self.wanted_writes(&outcome);
        self.writes.start(writes);
        self.report(&outcome, found.main.as_deref());
    }

    /// All objects, or nothing as long as something is not known without which nothing should be done.
    fn look(&mut self) -> Option<Snapshot> {
        let unknown = self.watches.unknown();
        if !unknown.is_empty() {
            let text = format!("{unknown:?}");
            if text != self.said {
                info!(waiting_for = text, "Not all objects are known yet");
                self.said = text;
            }
            return None;
        }
        let anyway = self.held.is_some_and(|since| since.elapsed() >= LONGEST_HOLD);
        let taken = snapshot::take(&mut self.watches, &self.cluster.settings, anyway);
        self.held = if taken.is_some() { None } else { self.held.or(Some(Instant::now())) };
        taken
    }

    /// Points the prober at the pods that there are.
    fn aim(&mut self) {
        let targets = pods::targets(&self.watches.pods.all(), self.cluster.ingress_port, &self.cluster.ingress_host);
        let changed = self.targets.send_if_modified(|now| {
            let changed = *now != targets;
            *now = targets;
            changed
        });
        if changed {
            self.jobs.probe_everything();
        }
    }

    /// Begins with the contract that is in force. Its groups have their first offsets: they were committed before.
    fn adopt(&mut self) {
        if self.adopted {
            return;
        }
        let found = self.watches.contract(&self.places);
        (self.observed.published, self.observed.leaving) = self.contract.adopt(&found);
        for resource in self.observed.published.resources.values() {
            let topic = TopicKey {
                servers: resource.bootstrap_servers.clone(),
                topic: resource.topics.first().cloned().unwrap_or_default(),
            };
            let keys = resource
                .egresses
                .iter()
                .map(|egress| GroupKey { topic: topic.clone(), group: egress.consumer_group.clone() });
            self.observed.groups.extend(keys.map(|key| (key, Progress::Done)));
        }
        self.lost = self.contract.is_incomplete(&found).then(|| Instant::now() + LONGEST_HOLD_OF_CONTRACT);
        self.adopted = true;
    }

    /// Whether a contract made now could lack channels that a lost shard had and readers still serve: until everything in
    /// Kafka was seen to be there, nobody knows them.
    fn waits_for_lost(&mut self, outcome: &Outcome) -> bool {
        let is_unknown = !(outcome.topics.is_empty() && outcome.groups.is_empty());
        self.lost = self.lost.filter(|until| is_unknown && Instant::now() < *until);
        self.lost.is_some()
    }

    fn note_departures(&mut self, outcome: &Outcome) {
        let now = Instant::now();
        let uids: BTreeMap<&str, ()> = outcome.departures.iter().map(|found| (found.uid.as_str(), ())).collect();
        self.departing.retain(|uid, _| uids.contains_key(uid.as_str()));
        self.observed.gone.retain(|uid, _| uids.contains_key(uid.as_str()));
        self.observed.overdue.retain(|uid| uids.contains_key(uid.as_str()));
        for uid in uids.keys() {
            let since = *self.departing.entry((*uid).to_owned()).or_insert(now);
            if now.duration_since(since) >= self.cluster.deletion_patience
                && self.observed.overdue.insert((*uid).to_owned())
            {
                self.wake.notify_one();
            }
        }
    }

    fn note_writes(&mut self, finished: Vec<Finished>) {
        for Finished { key, error, .. } in finished {
            self.metrics.api_writes.inc();
            let note = self.notes.remove(&key);
            match (error, note) {
                (None, Some(note)) => note.send(&self.events),
                (None, None) => {}
                (Some(_), _) => self.metrics.api_write_failures.inc(),
            }
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
