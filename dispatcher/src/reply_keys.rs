//! The Secrets that `KN_VERIFY_CORRELATION_ID` looks into: read when a filter first asks, then kept fresh while filters ask.
//!
//! A filter never waits; it only looks at a snapshot. An event whose filter asked for a Secret that has not been read yet
//! is evaluated again when it has been, so that none is filtered out for want of an answer; until then it waits as
//! one in delivery. A Secret that does not exist, or no cluster at all, is an answer: no id is genuine then. An API
//! server that is away or refuses is none, and is asked again; what was read before counts meanwhile.
//! Source: dispatcher spec 6.3 (keys of `SERVICE_NAMESPACE`; the peer reads the Secret for each event).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millrace_config::snapshot::Snapshot;
use millrace_event::Event;
use millrace_event::filter::Filter;
use millrace_event::filter::cesql::{ReplySecrets, SecretData};
use millrace_runtime::cluster::{Cluster, ClusterError};
use millrace_runtime::drain::Drain;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::slot::Stopping;

/// A reading this young is used as it is; an older one is used once more while the next one is under way.
const FRESH: Duration = Duration::from_secs(10);
/// A reading this old is not used before the Secret has been looked at again: keys may have come since.
const STALE: Duration = Duration::from_secs(30);
/// Between two tries to read a Secret of which nothing is known.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Names may come from events, so their number has a bound: beyond it the Secret that was read longest ago is forgotten.
const SECRETS: usize = 64;

/// The Secrets of the process. Clones share them.
#[derive(Clone)]
pub(crate) struct ReplyKeys(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    namespace: String,
    drain: Drain,
    known: Snapshot<HashMap<String, Arc<Known>>>,
    /// Held while `known` gets another name.
    naming: Mutex<()>,
    /// Told after every reading.
    read: watch::Sender<()>,
}

struct Known {
    name: String,
    reading: Snapshot<Option<Reading>>,
    under_way: AtomicBool,
}

#[derive(Clone)]
struct Reading {
    data: Arc<SecretData>,
    at: Instant,
}

/// What one egress' filters see of the Secrets.
#[derive(Debug)]
pub(crate) struct View {
    keys: ReplyKeys,
    /// How often a filter asked in vain, because nothing is known yet.
    missed: AtomicU64,
}

impl fmt::Debug for ReplyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyKeys").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

impl ReplySecrets for View {
    fn data(&self, secret: &str) -> Option<Arc<SecretData>> {
        let data = self.keys.data(secret);
        if data.is_none() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        data
    }
}

impl View {
    /// Whether the event passes. Waits only for a Secret that the filter needs and of which nothing is known.
    ///
    /// # Errors
    ///
    /// [`Stopping`] when the partition stops meanwhile.
    pub(crate) async fn passes(
        &self,
        filter: &Filter,
        event: &Event<'_>,
        stopping: &CancellationToken,
    ) -> Result<bool, Stopping> {
        if let Some(passes) = self.evaluate(filter, event) {
            return Ok(passes);
        }
        let mut read = self.keys.0.read.subscribe();
        loop {
            // After the subscription, so that no reading ends unseen between the two.
            if let Some(passes) = self.evaluate(filter, event) {
                return Ok(passes);
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => return Err(Stopping),
                changed = read.changed() => changed.map_err(|_closed| Stopping)?,
            }
        }
    }

    /// `None` if something was not known. Another event's evaluation may be the one that missed it; then this one is
    /// only made again.
    fn evaluate(&self, filter: &Filter, event: &Event<'_>) -> Option<bool> {
        let before = self.missed.load(Ordering::Relaxed);
        let passes = filter.matches(event);
        (self.missed.load(Ordering::Relaxed) == before).then_some(passes)
    }
}

impl ReplyKeys {
    /// Nothing is read yet. Readings end when draining begins.
    pub(crate) fn new(cluster: Cluster, namespace: &str, drain: Drain) -> Self {
        let (known, naming, read) = (Snapshot::default(), Mutex::default(), watch::Sender::new(()));
        Self(Arc::new(Inner { cluster, namespace: namespace.to_owned(), drain, known, naming, read }))
    }

    /// For one egress' filters.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::new(View { keys: self.clone(), missed: AtomicU64::new(0) })
    }

    fn data(&self, secret: &str) -> Option<Arc<SecretData>> {
        let known = self.0.known.load().get(secret).cloned();
        let known = known.or_else(|| self.name(secret))?;
        let reading = known.reading.load();
        let age = reading.as_ref().as_ref().map(|reading| reading.at.elapsed());
        if age.is_none_or(|age| age >= FRESH) {
            self.read_soon(&known);
        }
        let usable = reading.as_ref().as_ref().filter(|_| age.is_some_and(|age| age < STALE));
        usable.map(|reading| Arc::clone(&reading.data))
    }

    /// The first to ask for a Secret makes its place. `None` while nothing is known of any of as many as there may be.
    fn name(&self, secret: &str) -> Option<Arc<Known>> {
        let _only_one = self.0.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = (*self.0.known.load()).clone();
        if let Some(known) = names.get(secret) {
            return Some(Arc::clone(known));
        }
        if names.len() >= SECRETS {
            let at = |known: &Arc<Known>| (*known.reading.load()).as_ref().map(|reading| reading.at);
            // One of which nothing is known is being waited for.
            let settled = names.iter().filter_map(|(name, known)| Some((at(known)?, name.clone())));
            let (_at, oldest) = settled.min()?;
            names.remove(&oldest);
        }
        let (reading, under_way) = (Snapshot::default(), AtomicBool::new(false));
        let known = Arc::new(Known { name: secret.to_owned(), reading, under_way });
        names.insert(secret.to_owned(), Arc::clone(&known));
        self.0.known.publish(names);
        Some(known)
    }

    /// At most one reading of a Secret at a time.
    fn read_soon(&self, known: &Arc<Known>) {
        if known.under_way.swap(true, Ordering::AcqRel) {
            return;
        }
        let (keys, known) = (self.clone(), Arc::clone(known));
        self.0.drain.tracker().spawn(async move {
            let draining = keys.0.drain.token();
            tokio::select! {
                () = keys.read(&known) => {}
                () = draining.cancelled() => {}
            }
            known.under_way.store(false, Ordering::Release);
            keys.0.read.send_replace(());
        });
    }

    /// Until something is known of it.
    async fn read(&self, known: &Known) {
        let (namespace, secret) = (self.0.namespace.as_str(), known.name.as_str());
        loop {
            let error = match self.0.cluster.secret(namespace, secret).await {
                Ok(data) => return known.is(Arc::new(data)),
                Err(error) => error,
            };
            let before = (*known.reading.load()).as_ref().map(|reading| Arc::clone(&reading.data));
            if is_answer(&error) {
                warn!(namespace, secret, %error, "Keys of RequestReply not there: no reply counts as genuine");
                return known.is(Arc::default());
            }
            if let Some(before) = before {
                warn!(namespace, secret, %error, "Keys of RequestReply not read anew; the present ones are used on");
                return known.is(before);
            }
            warn!(namespace, secret, %error, "Keys of RequestReply not read; events that need them wait");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

impl Known {
    fn is(&self, data: Arc<SecretData>) {
        self.reading.publish(Some(Reading { data, at: Instant::now() }));
    }
}

/// Whether there is nothing to wait for: what is asked for does not exist.
fn is_answer(error: &ClusterError) -> bool {
    match error {
        ClusterError::NotFound { .. } | ClusterError::Configuration { .. } | ClusterError::Name { .. } => true,
        ClusterError::AlreadyExists { .. }
        | ClusterError::Refused { .. }
        | ClusterError::TimedOut { .. }
        | ClusterError::Unreachable { .. }
        | ClusterError::Answer { .. } => false,
    }
}

#[cfg(test)]
mod tests;
