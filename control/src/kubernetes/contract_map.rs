//! Puts the contract into its ConfigMap.
//!
//! One write at a time, made from a version that was seen, so that a write of somebody else is never lost unseen; what it
//! left is compared and, where needed, replaced. A map that somebody deleted is made again with the next generation. A map
//! that holds something other than a contract is left alone and told, as the peer does it: whoever wrote that may want it
//! back; emptying or deleting the map repairs it. Groups that still have to be deleted in Kafka are remembered in an
//! annotation, written in one go with the contract that drops them. A large contract rests between two writes: the store
//! behind the API server keeps every one of them for minutes.
//! Source: control-plane spec 0.1, 0.2 and section 10.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use kube::Client;
use millrace_config::contract::{wire, write};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::objects::MapObject;
use crate::publish::Existing;
use crate::reconcile::observed::{GroupKey, Published, TopicKey};
use crate::reconcile::plan::Failure;

/// Groups to delete, a line each: servers, topic and group, with blanks between them.
pub(crate) const LEAVING: &str = "millrace.dev/groups-to-delete";
/// What the API server takes.
const LARGEST: usize = 1024 * 1024;
const LIMIT: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a contract rests after each full [`LARGEST`] that was written, a smaller one in proportion. The API server
/// compacts its store every five minutes: that is 300 MiB of contracts at most, of the 2 GiB that etcd takes.
const REST: Duration = Duration::from_secs(1);

/// What was written.
#[derive(Debug, Clone)]
struct Written {
    contract: wire::Contract,
    leaving: BTreeSet<GroupKey>,
    /// Of the map, since.
    version: String,
}

/// The map.
pub(crate) struct ContractMap {
    client: Client,
    namespace: String,
    name: String,
    last: Option<Written>,
    /// The highest generation that was seen or written.
    generation: u64,
    running: JoinSet<Result<Written, kube::Error>>,
    failures: u32,
    /// No write starts before.
    due: Option<Instant>,
    /// The map differs from what it should say, and nothing was started about that.
    waits: bool,
    /// Bytes of the contract that was compared last.
    size: usize,
}

/// Where things stand after a look at the map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// It says what it should, or is being written.
    Fine,
    /// It cannot be used, or not be written.
    Bad(Failure),
}

impl ContractMap {
    pub(crate) fn new(client: Client, namespace: String, name: String) -> Self {
        Self {
            client,
            namespace,
            name,
            last: None,
            generation: 0,
            running: JoinSet::new(),
            failures: 0,
            due: None,
            waits: false,
            size: 0,
        }
    }

    /// What is in force when this process begins to lead.
    pub(crate) fn adopt(&mut self, found: Option<&MapObject>) -> (Published, BTreeSet<GroupKey>) {
        let Some(found) = found else { return Default::default() };
        let leaving = leaving_of(found);
        let Some(Existing::Contract(contract)) = &found.contract else { return (Published::default(), leaving) };
        self.generation = contract.generation;
        (Published::from(contract), leaving)
    }

    /// How full the map is, in percent of what the API server takes.
    pub(crate) fn percent_full(&self) -> usize {
        self.size * 100 / LARGEST
    }

    /// Compares the map with what it should say, and starts a write where needed and due.
    pub(crate) fn bring(
        &mut self,
        found: Option<&MapObject>,
        wanted: &wire::Contract,
        leaving: &BTreeSet<GroupKey>,
    ) -> Standing {
        self.waits = false;
        let existing = found.and_then(|found| found.contract.as_ref());
        if let Some(Existing::Corrupt(_, error)) = existing {
            let reason = format!("Failed to get contract data from ConfigMap: {}/{}", self.namespace, self.name);
            return Standing::Bad(Failure { reason, message: format!("failed to unmarshal contract: {error}") });
        }
        // A watch that lags shows what was before our own write.
        let lags =
            self.last.as_ref().is_some_and(|last| found.is_some_and(|found| older(&found.version, &last.version)));
        let (now, now_leaving) = match (&self.last, existing) {
            (Some(last), _) if lags => (Some(&last.contract), last.leaving.clone()),
            (_, Some(Existing::Contract(contract))) => (Some(contract), found.map(leaving_of).unwrap_or_default()),
            (_, Some(Existing::Nothing | Existing::Corrupt(..)) | None) => {
                (None, found.map(leaving_of).unwrap_or_default())
            }
        };
        self.generation = self.generation.max(now.map_or(0, |now| now.generation));
        let is_empty = wanted.resources.is_empty() && wanted.trust_bundles.is_empty();
        let same = match now {
            Some(now) => write::same_content(now, wanted),
            None => found.is_some() && is_empty && self.generation == 0,
        };
        if (same && now_leaving == *leaving) || !self.running.is_empty() {
            return Standing::Fine;
        }
        let base = now.map_or(self.generation, |now| now.generation);
        let mut next = wanted.clone();
        // Groups alone do not concern any reader.
        next.generation = if same { base } else { write::next_generation(base) };
        let fresh = found.is_none() && is_empty && self.generation == 0;
        let bytes = if fresh { Vec::new() } else { write::to_json(&next) };
        self.size = bytes.len();
        if self.size > LARGEST {
            let message = format!("the contract has {} bytes; a ConfigMap takes {LARGEST}", self.size);
            return Standing::Bad(Failure { reason: self.failed(), message });
        }
        self.waits = self.due.is_some_and(|due| due > Instant::now());
        if !self.waits {
            let leaving = leaving.clone();
            let version = found.map(|found| found.version.clone());
            self.start(Written { contract: next, leaving, version: String::new() }, &bytes, version);
        }
        Standing::Fine
    }

    fn failed(&self) -> String {
        format!("Failed to update ConfigMap: {}/{}", self.namespace, self.name)
    }

    fn start(&mut self, written: Written, bytes: &[u8], version: Option<String>) {
        let lines =
            written.leaving.iter().map(|key| format!("{} {} {}", key.topic.servers, key.topic.topic, key.group));
        let lines: Vec<String> = lines.collect();
        let annotation = if lines.is_empty() { Value::Null } else { json!(lines.join("\n")) };
        let mut body = json!({
            "metadata": {"annotations": {LEAVING: annotation}},
            "binaryData": {"data": STANDARD.encode(bytes)}
        });
        let folder = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
        let (method, content_type, path) = match version {
            Some(version) => {
                body["metadata"]["resourceVersion"] = json!(version);
                ("PATCH", "application/merge-patch+json", format!("{folder}/{}", self.name))
            }
            None => {
                body["metadata"] = json!({"name": self.name, "namespace": self.namespace});
                if !lines.is_empty() {
                    body["metadata"]["annotations"] = json!({LEAVING: lines.join("\n")});
                }
                ("POST", "application/json", folder)
            }
        };
        let client = self.client.clone();
        let path = format!("{path}?fieldManager={}", super::FIELD_MANAGER);
        self.running.spawn(async move {
            let request = Request::builder().method(method).uri(path).header("content-type", content_type);
            let request = request.body(body.to_string().into_bytes()).map_err(kube::Error::HttpError)?;
            let answer = timeout(LIMIT, client.request::<Value>(request)).await;
            let answer = answer.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
            let version = answer["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            Ok(Written { version, ..written })
        });
    }

    /// When a write is due again; `None` when none waits.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.filter(|_| self.waits)
    }

    /// Waits for the write to end: what is in force now and what is remembered beside it, or why it was not written.
    /// `None`: somebody else wrote first, which is tried again at once. Waits for ever while none runs. Dropping the
    /// future is safe.
    pub(crate) async fn finished(&mut self) -> Option<Result<(Published, BTreeSet<GroupKey>), Failure>> {
        let Some(ended) = self.running.join_next().await else { return std::future::pending().await };
        // The other case is a write that was cancelled at the end of the process.
        let result = ended.unwrap_or_else(|error| Err(kube::Error::Service(Box::new(error))));
        match result {
            Ok(written) => {
                (self.failures, self.due) = (0, Some(Instant::now() + rest(self.size)));
                if written.contract.generation != self.generation {
                    info!(generation = written.contract.generation, bytes = self.size, "Contract published");
                }
                self.generation = written.contract.generation;
                let found = (Published::from(&written.contract), written.leaving.clone());
                self.last = Some(written);
                Some(Ok(found))
            }
            Err(error) => {
                let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
                self.failures = self.failures.saturating_add(1);
                self.due = Some(Instant::now() + pause);
                if matches!(&error, kube::Error::Api(status) if matches!(status.code, 404 | 409)) {
                    return None;
                }
                let failure = Failure { reason: self.failed(), message: super::error_text(&error) };
                if self.failures == 1 {
                    warn!(error = failure.message, "Contract cannot be written; trying again");
                }
                Some(Err(failure))
            }
        }
    }
}

/// How long a contract of this size rests after it was written.
fn rest(bytes: usize) -> Duration {
    // Bytes on a scale of 1000: enough for a pause.
    REST * u32::try_from(bytes * 1000 / LARGEST).unwrap_or(1000) / 1000
}

fn older(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version < than,
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

fn leaving_of(map: &MapObject) -> BTreeSet<GroupKey> {
    let text = map.map.meta.annotations.get(LEAVING).map(String::as_str).unwrap_or_default();
    let groups = text.lines().filter_map(|line| {
        let mut parts = line.split(' ');
        let (servers, topic, group) = (parts.next()?, parts.next()?, parts.next()?);
        let topic = TopicKey { servers: servers.to_owned(), topic: topic.to_owned() };
        Some(GroupKey { topic, group: group.to_owned() })
    });
    groups.collect()
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
