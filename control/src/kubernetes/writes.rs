//! Writes of single objects to the API server: what runs, what waits for another attempt, what was done.
//!
//! Bounded: at most [`AT_ONCE`] at a time; what is beyond waits, and takes the place of a write that ends without waiting
//! for another look at all objects. A write that failed is repeated with doubling pauses and
//! jitter. A write that was done is not repeated until the watch has shown its result: only then is it known that
//! somebody undid it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use http::Request;
use kube::Client;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

const AT_ONCE: usize = 64;
const LIMIT: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What is written about which object. A pair of these has one write at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Aspect {
    /// The finalizer of a channel.
    Finalizer,
    /// The status of a channel.
    ChannelStatus,
    /// The Service of a channel.
    Service,
    /// The status of a Subscription.
    SubscriptionStatus,
    /// The annotations of a pod.
    PodAnnotations,
    /// The service account of a Subscription.
    Account,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Creates what the body says, below the path.
    Create,
    /// Merges the body into what is there.
    Merge,
    /// Deletes what is there, under the conditions of the body.
    Delete,
}

/// Aspect, namespace, name.
pub(crate) type Key = (Aspect, String, String);

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Write {
    pub(crate) key: Key,
    /// Path on the server.
    pub(crate) path: String,
    pub(crate) action: Action,
    pub(crate) body: Value,
    /// Version of the object that the write was made from; empty when there is none.
    pub(crate) seen: String,
    /// It may wait until this moment for something better to say.
    pub(crate) not_before: Option<Instant>,
}

#[derive(Debug, Default)]
struct Attempt {
    failures: u32,
    running: bool,
    due: Option<Instant>,
    /// The body that was written last, and the object's version since.
    done: Option<(Value, String)>,
    /// The last failure was a conflict: the object exists, or has another version.
    conflict: bool,
    /// The server's words when the last one failed.
    error: Option<String>,
}

impl Attempt {
    /// Whether a write has to wait for this one to end, for its next try, or for the watch to show what was done.
    fn waits(&self, write: &Write, now: Instant) -> bool {
        let done = self.done.as_ref();
        let is_unseen = done.is_some_and(|(body, version)| *body == write.body && !has_caught_up(&write.seen, version));
        self.running || is_unseen || self.due.is_some_and(|due| due > now)
    }
}

/// What came of a write.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) key: Key,
    /// The server's words when it failed.
    pub(crate) error: Option<String>,
    result: Result<String, kube::Error>,
    body: Value,
}

/// All writes.
pub(crate) struct Writes {
    client: Client,
    attempts: BTreeMap<Key, Attempt>,
    running: JoinSet<Finished>,
    /// Due, and beyond what may run at a time. Replaced by every look at the objects.
    waiting: VecDeque<Write>,
    jitter: RandomState,
    /// When something that was held back may be written.
    held: Option<Instant>,
}

impl Writes {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            attempts: BTreeMap::new(),
            running: JoinSet::new(),
            waiting: VecDeque::new(),
            jitter: RandomState::new(),
            held: None,
        }
    }

    /// Starts what is wanted and due, as far as there is room; forgets what is no longer wanted.
    pub(crate) fn start(&mut self, wanted: Vec<Write>) {
        let now = Instant::now();
        let keys: BTreeSet<&Key> = wanted.iter().map(|write| &write.key).collect();
        // What is not wanted has been seen to be as it should, or its object is gone.
        self.attempts.retain(|key, attempt| attempt.running || keys.contains(key));
        self.held = None;
        self.waiting.clear();
        for write in wanted {
            if self.attempts.get(&write.key).is_some_and(|attempt| attempt.waits(&write, now)) {
                continue;
            }
            match write.not_before.filter(|moment| *moment > now) {
                Some(moment) => self.held = Some(self.held.map_or(moment, |held| held.min(moment))),
                None => self.waiting.push_back(write),
            }
        }
        self.fill();
    }

    fn fill(&mut self) {
        while self.running.len() < AT_ONCE {
            let Some(write) = self.waiting.pop_front() else { return };
            let attempt = self.attempts.entry(write.key.clone()).or_default();
            attempt.running = true;
            attempt.due = None;
            self.running.spawn(perform(self.client.clone(), write));
        }
    }

    /// Whether a write is on its way.
    pub(crate) fn is_running(&self, key: &Key) -> bool {
        self.attempts.get(key).is_some_and(|attempt| attempt.running)
    }

    /// What failed last, by namespace and name, with the server's words.
    pub(crate) fn failures(&self, aspect: Aspect) -> BTreeMap<(String, String), String> {
        let of_aspect = self.attempts.iter().filter(|((found, ..), _)| *found == aspect);
        let failed = of_aspect.filter_map(|((_, namespace, name), attempt)| {
            Some(((namespace.clone(), name.clone()), attempt.error.clone()?))
        });
        failed.collect()
    }

    /// Whether the last attempt failed because something else is in the way.
    pub(crate) fn refused(&self, key: &Key) -> bool {
        self.attempts.get(key).is_some_and(|attempt| attempt.conflict)
    }

    /// When something becomes due; `None` when nothing waits.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = self.attempts.values().filter(|attempt| !attempt.running).filter_map(|attempt| attempt.due);
        due.chain(self.held).min()
    }

    /// Waits for a write to end, gives it with the others that ended meanwhile, and starts others in their places. Waits
    /// for ever while nothing runs. Dropping the future is safe.
    pub(crate) async fn finished(&mut self) -> Vec<Finished> {
        let mut all = Vec::new();
        let mut ended = match self.running.is_empty() {
            true => return std::future::pending().await,
            false => self.running.join_next().await,
        };
        while let Some(result) = ended {
            // The other case is a write that was cancelled at the end of the process.
            if let Ok(finished) = result {
                self.note(&finished);
                all.push(finished);
            }
            ended = self.running.try_join_next();
        }
        self.fill();
        all
    }

    fn note(&mut self, finished: &Finished) {
        let pause = self.pause(&finished.key);
        let attempt = self.attempts.entry(finished.key.clone()).or_default();
        attempt.running = false;
        attempt.error.clone_from(&finished.error);
        match &finished.result {
            Ok(version) => {
                attempt.failures = 0;
                attempt.conflict = false;
                attempt.due = None;
                attempt.done = Some((finished.body.clone(), version.clone()));
            }
            Err(error) => {
                attempt.failures = attempt.failures.saturating_add(1);
                attempt.done = None;
                attempt.conflict = matches!(error, kube::Error::Api(status) if status.code == 409);
                attempt.due = Some(Instant::now() + pause);
                let (aspect, namespace, name) = &finished.key;
                let expected = matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409));
                let text = finished.error.as_deref().unwrap_or_default();
                if expected || attempt.failures > 1 {
                    debug!(?aspect, namespace, name, error = text, "Object not written; trying again");
                } else {
                    warn!(?aspect, namespace, name, error = text, "Object not written; trying again");
                }
            }
        }
    }

    /// Doubling, and up to a fifth longer by chance, so that many writes that failed together do not return together.
    fn pause(&self, key: &Key) -> Duration {
        let failures = self.attempts.get(key).map_or(0, |attempt| attempt.failures);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE);
        let chance = self.jitter.hash_one((key, failures)) % 200;
        pause + pause * u32::try_from(chance).unwrap_or_default() / 1000
    }
}

/// Whether the watch shows a version at least as new as the one that a write led to. Versions are numbers in every
/// server that there is; where they were not, the same one would do.
fn has_caught_up(seen: &str, written: &str) -> bool {
    match (seen.parse::<u64>(), written.parse::<u64>()) {
        (Ok(seen), Ok(written)) => seen >= written,
        (Ok(_) | Err(_), Ok(_) | Err(_)) => seen == written,
    }
}

async fn perform(client: Client, write: Write) -> Finished {
    let (method, content_type) = match write.action {
        Action::Create => ("POST", "application/json"),
        Action::Merge => ("PATCH", "application/merge-patch+json"),
        Action::Delete => ("DELETE", "application/json"),
    };
    let path = format!("{}?fieldManager={}", write.path, super::FIELD_MANAGER);
    let request = Request::builder().method(method).uri(path).header("content-type", content_type);
    let request = request.body(write.body.to_string().into_bytes()).map_err(kube::Error::HttpError);
    let result = match request {
        Ok(request) => timeout(LIMIT, client.request::<Value>(request)).await,
        Err(error) => Ok(Err(error)),
    };
    let result = result.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())));
    let result = result.map(|object| object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned());
    let error = result.as_ref().err().map(super::error_text);
    Finished { key: write.key, error, result, body: write.body }
}

#[cfg(test)]
mod tests;
