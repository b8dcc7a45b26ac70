//! Turns a contract into targets and keeps those that stay the same.
//!
//! Each resource is on its own: what goes wrong with one is its own problem, and the version of it that worked stays in
//! force meanwhile. Source: spec ingress 3.4, design rows 11, 19 and 26.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use millrace_config::contract::credentials::Credentials;
use millrace_config::contract::{ContentMode, Contract, Entry, Ingress, Resource};
use millrace_runtime::event_types::EventTypes;
use millrace_runtime::startup::with_causes;
use tracing::{info, warn};

use crate::auth::Guard;
use crate::debug::{Named, Report, TargetReport};
use crate::metrics::IngressMetrics;
use crate::producer::Settings;
use crate::producer::pool::{Key, Pool};
use crate::routes::{Table, Target};

use super::lines;
use super::vault::{Found, Vault};

mod problem;

use problem::Problem;

/// The state of an entry whose newest version is not in force.
const OLDER: &str = "older version in force";

/// How to produce, and which version of the properties says so.
#[derive(Debug)]
pub(super) struct Produce {
    pub(super) settings: Settings,
    pub(super) revision: u64,
}

#[derive(Debug)]
struct Held {
    resource: Arc<Resource>,
    revision: u64,
    /// When this version came: credentials read before that may be out of date.
    since: Instant,
    /// The newest version that worked.
    in_force: Option<Arc<Target>>,
    /// Why the newest version is not in force. Boxed, because there is seldom one.
    problem: Option<Box<Problem>>,
    /// The last pass in which the contract had it.
    pass: u64,
}

/// All resources of the contract in force.
#[derive(Debug)]
pub(super) struct Targets {
    held: BTreeMap<String, Held>,
    /// Counts contracts applied.
    pass: u64,
    pool: Pool,
    vault: Vault,
    event_types: EventTypes,
    metrics: IngressMetrics,
    /// Problems that were logged, so that none is logged twice.
    told: BTreeSet<String>,
}

/// What follows from a contract.
pub(super) struct Applied {
    pub(super) table: Table<Target>,
    pub(super) report: Report,
    /// Something failed that may work later.
    pub(super) retry: bool,
    /// Secrets are being read; the vault tells when they are there.
    pub(super) reading: bool,
}

impl Targets {
    pub(super) fn new(pool: Pool, vault: Vault, event_types: EventTypes, metrics: IngressMetrics) -> Self {
        Self { held: BTreeMap::new(), pass: 0, pool, vault, event_types, metrics, told: BTreeSet::new() }
    }

    /// Makes what is new or changed, keeps the rest, and returns the routes for all of it. Blocks while producers are
    /// made, never waits for a broker or for a Secret: a resource whose Secret is still being read stays as it was.
    ///
    /// Producers of what went are closed when the last request has let go of the old routes.
    pub(super) fn apply(&mut self, contract: &Contract, produce: &Produce) -> Applied {
        let now = Instant::now();
        self.pass += 1;
        self.vault.forget_others(contract.resources.iter().map(|resource| &resource.auth));
        for resource in &contract.resources {
            let Some(ingress) = &resource.ingress else { continue };
            let held = self.held.get_mut(&resource.uid);
            // Most of a large contract is as it was, and stays where it is.
            let stays = |held: &&mut Held| held.problem.is_none() && held.is_of(resource, produce) && !held.is_dead();
            if let Some(held) = held.filter(stays) {
                held.pass = self.pass;
                continue;
            }
            let before = self.held.remove(&resource.uid);
            let held = self.next(before, resource, ingress, produce, now);
            self.held.insert(resource.uid.clone(), held);
        }
        let mut nameless = Vec::new();
        for refusal in contract.refused.iter().filter(|refusal| refusal.entry != Entry::Egress) {
            let reason = with_causes(&refusal.error);
            match self.held.get_mut(&refusal.uid).filter(|held| held.pass != self.pass) {
                Some(held) => (held.problem, held.pass) = (Some(Box::new(Problem::Refused(reason))), self.pass),
                None => nameless.push((refusal.uid.clone(), reason)),
            }
        }
        self.held.retain(|uid, held| {
            let is_wanted = held.pass == self.pass;
            if !is_wanted {
                info!(uid, path = path_of(held), host = host_of(held), "Target removed");
            }
            is_wanted
        });
        let table = self.table();
        let report = self.report(contract, nameless);
        self.tell(&report);
        let any = |is: fn(&Problem) -> bool| self.held.values().any(|held| held.problem.as_deref().is_some_and(is));
        Applied { table, report, retry: any(Problem::may_pass), reading: any(Problem::is_reading) }
    }

    /// Whether a target waits for a producer in place of a dead one.
    pub(super) fn has_dead(&self) -> bool {
        self.held.values().any(Held::is_dead)
    }

    fn next(
        &mut self,
        before: Option<Held>,
        resource: &Arc<Resource>,
        ingress: &Ingress,
        produce: &Produce,
        now: Instant,
    ) -> Held {
        let since = before.as_ref().filter(|held| held.is_of(resource, produce)).map_or(now, |held| held.since);
        let in_force = before.and_then(|held| held.in_force);
        let (resource, revision, pass) = (Arc::clone(resource), produce.revision, self.pass);
        match self.make(&resource, ingress, produce, since, in_force.as_deref()) {
            Ok(target) => Held { resource, revision, since, in_force: Some(Arc::new(target)), problem: None, pass },
            Err(problem) => Held { resource, revision, since, in_force, problem: Some(Box::new(problem)), pass },
        }
    }

    fn key(
        &self,
        resource: &Resource,
        content_mode: ContentMode,
        produce: &Produce,
        since: Instant,
    ) -> Result<Key, Problem> {
        let credentials = match self.vault.find(&resource.auth, since) {
            Found::Credentials(credentials) => credentials,
            Found::Reading => return Err(Problem::Reading),
            Found::Failed(error) => return Err(Problem::Secrets(error)),
        };
        let tokens = credentials.token_source(produce.settings.tokens.as_ref()).map_err(Problem::Credentials)?;
        Ok(Key {
            bootstrap_servers: resource.bootstrap_servers.clone(),
            credentials: Credentials::clone(&credentials),
            tokens,
            content_mode,
            revision: produce.revision,
        })
    }

    fn make(
        &mut self,
        resource: &Arc<Resource>,
        ingress: &Ingress,
        produce: &Produce,
        since: Instant,
        before: Option<&Target>,
    ) -> Result<Target, Problem> {
        // First: nothing is made for a resource that is refused.
        let guard = Guard::compile(ingress).map_err(Problem::Policy)?;
        let key = self.key(resource, ingress.content_mode, produce, since)?;
        let producer = self.pool.get(&key, &produce.settings).map_err(Problem::Producer)?;
        // A new version goes on counting where the old one was.
        let series = before.filter(|before| before.resource.reference == resource.reference);
        let series = series.map_or_else(|| self.metrics.target(), |before| before.series.clone());
        Ok(Target {
            resource: Arc::clone(resource),
            content_mode: ingress.content_mode,
            guard,
            max_body_bytes: produce.settings.max_request_size,
            retry_after: produce.settings.retry_after,
            share: producer.share(),
            event_types: Some(self.event_types.clone()).filter(|_| resource.auto_create_event_types),
            series,
            producer,
        })
    }

    /// Routes of everything in force. What the contract says now comes before what is only kept of an older one.
    fn table(&self) -> Table<Target> {
        let mut table = Table::default();
        let kept = |held: &Held| held.problem.is_some();
        let (current, old): (Vec<_>, Vec<_>) = self.held.values().partition(|held| !kept(held));
        for target in current.into_iter().chain(old).filter_map(|held| held.in_force.as_ref()) {
            let ingress = target.resource.ingress.as_ref();
            let path = ingress.and_then(|ingress| ingress.path.as_deref());
            let host = ingress.and_then(|ingress| ingress.host.as_deref());
            if !table.add(path, host, target) {
                warn!(uid = target.resource.uid, path, host, "Path or host already leads elsewhere");
            }
        }
        table
    }

    fn report(&self, contract: &Contract, nameless: Vec<(String, String)>) -> Report {
        let mut targets: Vec<_> = self
            .held
            .values()
            .map(|held| TargetReport {
                entry: Named::Resource(Arc::clone(
                    held.in_force.as_ref().map_or(&held.resource, |target| &target.resource),
                )),
                state: match (&held.in_force, held.problem.as_deref()) {
                    (Some(_), None) => "in force",
                    (Some(_), Some(_)) => OLDER,
                    (None, Some(Problem::Reading)) => "waits for its Secret",
                    (None, _) => "refused",
                },
                reason: held.problem.as_deref().filter(|problem| !problem.is_reading()).map(|it| with_causes(it)),
                brokers: held.in_force.as_ref().map(|target| target.producer.contact().clone()),
            })
            .collect();
        targets.extend(nameless.into_iter().map(|(uid, reason)| TargetReport::refused(uid, reason)));
        Report { generation: Some(contract.generation), targets }
    }

    fn tell(&mut self, report: &Report) {
        let mut told = BTreeSet::new();
        for target in &report.targets {
            let Some(reason) = &target.reason else { continue };
            let key = format!("{} {reason}", target.uid());
            if !self.told.contains(&key) {
                lines::refused(report.generation, target, reason, target.state == OLDER);
                self.metrics.refusals.inc();
            }
            told.insert(key);
        }
        self.metrics.refused_targets.set(i64::try_from(told.len()).unwrap_or(i64::MAX));
        let in_force = self.held.values().filter(|held| held.in_force.is_some()).count();
        self.metrics.targets.set(i64::try_from(in_force).unwrap_or(i64::MAX));
        self.metrics.producers.set(i64::try_from(self.pool.len()).unwrap_or(i64::MAX));
        self.told = told;
    }
}

impl Held {
    /// Whether it was made, or tried, from this version of a resource and of the properties.
    fn is_of(&self, resource: &Arc<Resource>, produce: &Produce) -> bool {
        self.revision == produce.revision
            && (Arc::ptr_eq(&self.resource, resource) || is_same(&self.resource, resource))
    }

    fn is_dead(&self) -> bool {
        self.in_force.as_ref().is_some_and(|target| target.producer.is_dead())
    }
}

/// Equal as far as ingress can tell: egresses and overrides are the dispatcher's.
fn is_same(old: &Resource, new: &Resource) -> bool {
    old.topics == new.topics
        && old.bootstrap_servers == new.bootstrap_servers
        && old.auth == new.auth
        && old.ingress == new.ingress
        && old.reference == new.reference
        && old.auto_create_event_types == new.auto_create_event_types
}

fn path_of(held: &Held) -> Option<&str> {
    held.resource.ingress.as_ref()?.path.as_deref()
}

fn host_of(held: &Held) -> Option<&str> {
    held.resource.ingress.as_ref()?.host.as_deref()
}

#[cfg(test)]
mod tests;
