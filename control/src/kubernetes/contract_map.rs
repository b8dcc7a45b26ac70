//! Puts the contract into its ConfigMap, or into several when one cannot hold it.
//!
//! A map is written from a version that was seen, so that a write of somebody else is never lost unseen; what it left is
//! compared and, where needed, replaced. A map that somebody deleted is made again with the next generation. A main map that
//! holds something other than a contract is left alone and told, as the peer does it: whoever wrote that may want it back;
//! emptying or deleting the map repairs it. Nobody but us writes shards, so those are put right. Groups that still have to be
//! deleted in Kafka are remembered in an annotation, written in one go with the contract that drops them. A large contract
//! rests between two writes: the store behind the API server keeps every one of them for minutes. `step` decides, this writes.
//! Source: control-plane spec 0.1, 0.2 and section 10; issue 6, point 5.

mod held;
mod in_force;
mod requests;
mod step;

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Client;
use millrace_config::contract::{shards, wire};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

pub(super) use self::held::Found;
use self::held::Held;
use self::in_force::InForce;
use self::requests::{Target, Write, leaving_of, remembered};
use self::step::{Now, Step};
use crate::contract::spread::{LARGEST, SHARDS};
use crate::publish::Existing;
use crate::reconcile::observed::{GroupKey, Published};
use crate::reconcile::plan::Failure;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a contract rests after each full [`LARGEST`] that was written, a smaller one in proportion. The API server
/// compacts its store every five minutes: that is 300 MiB of contracts at most, of the 2 GiB that etcd takes.
const REST: Duration = Duration::from_secs(1);
/// From this conflict in a row on it is told: somebody else keeps writing.
const MANY_CONFLICTS: u32 = 5;

/// The maps.
pub(crate) struct ContractMap {
    client: Client,
    namespace: String,
    name: String,
    in_force: InForce,
    /// Version of the main map from which `in_force` was read, or with which it was written.
    seen: Option<String>,
    held: Held,
    /// The highest generation that was seen or written.
    generation: u64,
    running: JoinSet<(Write, Result<String, kube::Error>)>,
    failures: u32,
    /// No write starts before.
    due: Option<Instant>,
    /// The maps differ from what they should say, and nothing was started about that.
    waits: bool,
    /// Bytes of the contract that is in force, or cannot be.
    size: usize,
    /// Bytes that were written since the last rest.
    spent: usize,
}

/// Where things stand after a look at the maps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// They say what they should, or are being written.
    Fine,
    /// They cannot be used, or not be written.
    Bad(Failure),
}

impl ContractMap {
    pub(crate) fn new(client: Client, namespace: String, name: String) -> Self {
        Self {
            client,
            namespace,
            name,
            in_force: InForce::default(),
            seen: None,
            held: Held::default(),
            generation: 0,
            running: JoinSet::new(),
            failures: 0,
            due: None,
            waits: false,
            size: 0,
            spent: 0,
        }
    }

    /// What is in force when this process begins to lead.
    pub(crate) fn adopt(&mut self, found: &Found) -> (Published, BTreeSet<GroupKey>) {
        self.look(found);
        (self.in_force.published(), self.in_force.leaving.clone())
    }

    /// Whether a shard of the contract in force is not there, or the index, so that nobody knows what was in it.
    pub(crate) fn is_incomplete(&self, found: &Found) -> bool {
        let shards = self.held.shards(found, Instant::now());
        let is_index_lost = self.in_force.contract.is_none() && !shards.is_empty();
        is_index_lost || !self.in_force.is_whole(&shards.into_iter().map(|(number, held)| (number, held.0)).collect())
    }

    /// How full the maps are, in percent of what the API server takes: of one while that suffices, else of all.
    pub(crate) fn percent_full(&self) -> usize {
        let room = if self.in_force.is_spread() { LARGEST * SHARDS } else { LARGEST };
        self.size * 100 / room
    }

    /// How many maps the contract in force is in.
    pub(crate) fn maps(&self) -> usize {
        usize::from(self.in_force.contract.is_some()) + self.in_force.index.len()
    }

    /// Reads the main map when it is another than the one that is known.
    fn look(&mut self, found: &Found) {
        let now = Instant::now();
        if self.held.main_lags(found, now) {
            return;
        }
        let version = found.main.as_ref().map(|map| map.version.clone());
        if version == self.seen {
            return;
        }
        self.seen = version;
        let Some(main) = &found.main else { return self.in_force.forget() };
        let leaving = leaving_of(main);
        let shard = |number: u32| Some(found.shards.get(&number)?.shard.as_ref()?.bytes.as_slice());
        match main.contract.as_ref().unwrap_or(&Existing::Nothing) {
            Existing::Nothing => {
                self.in_force.forget();
                self.in_force.leaving = leaving;
            }
            // It is left alone, and so is what is known.
            Existing::Corrupt(..) => self.in_force.leaving = leaving,
            existing @ (Existing::Contract(_) | Existing::Index(_)) => {
                self.in_force = InForce::of(existing, leaving, shard);
                let shards = self.held.shards(found, now);
                let of_shards = self.in_force.index.iter().filter_map(|named| shards.get(&named.number));
                self.size = main.size + of_shards.map(|(_, size)| size).sum::<usize>();
            }
        }
        self.generation = self.generation.max(self.in_force.generation().unwrap_or_default());
    }

    /// Compares the maps with what they should say, and starts writes where needed and due. `blind` are pods that would not
    /// see shards.
    pub(crate) fn bring(
        &mut self,
        found: &Found,
        wanted: &wire::Contract,
        leaving: &BTreeSet<GroupKey>,
        blind: &[String],
    ) -> Standing {
        self.waits = false;
        let existing = found.main.as_ref().and_then(|main| main.contract.as_ref());
        if let Some(Existing::Corrupt(_, error)) = existing {
            let reason = format!("Failed to get contract data from ConfigMap: {}/{}", self.namespace, self.name);
            return Standing::Bad(Failure { reason, message: format!("failed to unmarshal contract: {error}") });
        }
        if !self.running.is_empty() {
            return Standing::Fine;
        }
        self.look(found);
        let (now, leaving) = (Instant::now(), remembered(&self.in_force.leaving, leaving));
        let step = {
            let held = self.held.shards(found, now).into_iter().map(|(number, (digest, _))| (number, digest));
            let foreign = found.shards.iter().filter(|(_, map)| map.shard.as_ref().is_none_or(|shard| !shard.is_ours));
            step::next(
                Now {
                    in_force: &self.in_force,
                    exists: self.held.version(0, found, now).is_some(),
                    generation: self.generation,
                    held: &held.collect(),
                    foreign: &foreign.map(|(number, _)| *number).collect(),
                    blind,
                    largest: LARGEST,
                },
                wanted,
                &leaving,
            )
        };
        self.take(step, found)
    }

    fn take(&mut self, step: Step, found: &Found) -> Standing {
        let targets: Vec<Target> = match step {
            Step::Rest => return Standing::Fine,
            Step::Refused { message, size } => {
                self.size = size;
                return Standing::Bad(Failure { reason: self.failed(), message });
            }
            Step::Main { bytes, size, next } => vec![Target::Main { bytes, size, next }],
            Step::Shards(writes) => {
                let one = |(number, bytes): (u32, Vec<u8>)| {
                    let digest = shards::digest(&bytes);
                    Target::Shard { number, bytes, digest }
                };
                writes.into_iter().map(one).collect()
            }
            Step::Delete(numbers) => numbers.into_iter().map(|number| Target::Gone { number }).collect(),
        };
        let now = Instant::now();
        self.waits = self.due.is_some_and(|due| due > now);
        if !self.waits {
            for target in targets {
                let version = self.held.version(target.number(), found, now);
                let (client, namespace, name) = (self.client.clone(), self.namespace.clone(), self.name.clone());
                let write = Write { target, version };
                self.running.spawn(async move {
                    let result = requests::send(client, &namespace, &name, &write).await;
                    (write, result)
                });
            }
        }
        Standing::Fine
    }

    fn failed(&self) -> String {
        format!("Failed to update ConfigMap: {}/{}", self.namespace, self.name)
    }

    /// When a write is due again; `None` when none waits.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.filter(|_| self.waits)
    }

    /// Waits for a write to end: what is in force now and what is remembered beside it, or why it was not written.
    /// `None`: there is more to write before anything changes for readers, or somebody else wrote first, which is tried
    /// again at once. Waits for ever while none runs. Dropping the future is safe.
    pub(crate) async fn finished(&mut self) -> Option<Result<(Published, BTreeSet<GroupKey>), Failure>> {
        let Some(ended) = self.running.join_next().await else { return std::future::pending().await };
        // The other case is a write that was cancelled at the end of the process.
        match ended {
            Ok((write, Ok(version))) => self.written(write, version).map(Ok),
            Ok((write, Err(error))) => {
                let is_gone = matches!(&write.target, Target::Gone { .. });
                if is_gone && matches!(&error, kube::Error::Api(status) if status.code == 404) {
                    return self.written(write, String::new()).map(Ok);
                }
                self.not_written(&error).map(Err)
            }
            Err(error) => self.not_written(&kube::Error::Service(Box::new(error))).map(Err),
        }
    }

    fn written(&mut self, write: Write, version: String) -> Option<(Published, BTreeSet<GroupKey>)> {
        self.failures = 0;
        match write.target {
            Target::Shard { number, bytes, digest } => {
                self.spent += bytes.len();
                self.held.note(number, version, Some((digest, bytes.len())), Instant::now());
                None
            }
            Target::Gone { number } => {
                self.held.note(number, write.version.unwrap_or_default(), None, Instant::now());
                None
            }
            Target::Main { bytes, size, next } => {
                self.size = size;
                self.due = Some(Instant::now() + rest(self.spent + bytes.len()));
                self.spent = 0;
                self.held.note(0, version.clone(), Some((String::new(), bytes.len())), Instant::now());
                (self.seen, self.in_force) = (Some(version), *next);
                let generation = self.in_force.generation().unwrap_or_default();
                if generation != self.generation {
                    info!(generation, bytes = self.size, maps = self.maps(), "Contract published");
                }
                self.generation = generation;
                Some((self.in_force.published(), self.in_force.leaving.clone()))
            }
        }
    }

    fn not_written(&mut self, error: &kube::Error) -> Option<Failure> {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(Instant::now() + pause);
        let is_conflict = matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409));
        if is_conflict && self.failures < MANY_CONFLICTS {
            return None;
        }
        let failure = Failure { reason: self.failed(), message: super::error_text(error) };
        if self.failures == 1 || (is_conflict && self.failures == MANY_CONFLICTS) {
            warn!(error = failure.message, "Contract cannot be written; trying again");
        }
        Some(failure)
    }
}

/// How long a contract of this size rests after it was written.
fn rest(bytes: usize) -> Duration {
    // Bytes on a scale of 1000: enough for a pause.
    REST * u32::try_from(bytes * 1000 / LARGEST).unwrap_or(1000) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_rests_as_long_as_it_is_large() {
        let millis = |bytes: usize| rest(bytes).as_millis();
        assert_eq!((millis(0), millis(1200), millis(LARGEST / 2), millis(LARGEST)), (0, 1, 500, 1000));
    }
}
