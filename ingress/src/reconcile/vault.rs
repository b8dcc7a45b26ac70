//! Credentials for the reconciler, which must never wait: what is not read yet is read by a task, which wakes it.
//!
//! A reading serves every resource that names the same Secrets. One that failed is tried again when a resource asks after
//! the pause, and is answered with the old failure until the new reading is there. Source: spec ingress 4.1.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use millrace_config::contract::Auth;
use millrace_config::contract::credentials::Credentials;
use millrace_runtime::drain::Drain;
use millrace_runtime::secrets::{Secrets, SecretsError};
use tokio::runtime::Handle;

use super::RETRY;

/// Reads on the runtime; must be made there.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    secrets: Secrets,
    drain: Drain,
    runtime: Handle,
}

impl Reader {
    /// Readings end when draining begins. Must be called on the runtime that is to read.
    pub(crate) fn new(secrets: Secrets, drain: Drain) -> Self {
        Self { secrets, drain, runtime: Handle::current() }
    }
}

/// What the reconciler knows of Secrets.
pub(super) struct Vault {
    reader: Reader,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Written by tasks that have read. Never locked on an event's path.
    known: Arc<Mutex<HashMap<Auth, Known>>>,
}

/// One or several Secrets, as the contract names them.
struct Known {
    /// When the newest reading began.
    began: Instant,
    reading: bool,
    /// Of the last reading that ended; absent before the first.
    last: Option<Last>,
}

struct Last {
    /// Not older than what it was read for.
    began: Instant,
    ended: Instant,
    result: Result<Arc<Credentials>, SecretsError>,
}

/// What a resource gets when it asks for its credentials.
pub(super) enum Found {
    Credentials(Arc<Credentials>),
    /// The reconciler is woken when it is known.
    Reading,
    Failed(SecretsError),
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl Vault {
    /// Calls `wake` after each reading.
    pub(super) fn new(reader: Reader, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { reader, wake: Arc::new(wake), known: Arc::default() }
    }

    /// Credentials that were read at `since` or later, or at any time if the contract says which version it means. Starts
    /// a reading when there are none; never waits.
    pub(super) fn find(&self, auth: &Auth, since: Instant) -> Found {
        match Secrets::plain(auth) {
            Some(Ok(credentials)) => return Found::Credentials(credentials),
            Some(Err(error)) => return Found::Failed(error),
            None => {}
        }
        let now = Instant::now();
        let mut all = lock(&self.known);
        let known = all.entry(auth.clone()).or_insert(Known { began: now, reading: false, last: None });
        let fresh = known.last.as_ref().filter(|last| last.began >= since);
        let pinned = known.last.as_ref().filter(|last| last.result.is_ok() && auth.is_pinned());
        let found = match fresh.or(pinned).map(|last| (last.result.clone(), last.ended)) {
            Some((Ok(credentials), _)) => return Found::Credentials(credentials),
            Some((Err(error), ended)) if now.saturating_duration_since(ended) < RETRY => return Found::Failed(error),
            Some((Err(error), _)) => Found::Failed(error),
            None => Found::Reading,
        };
        if !known.reading {
            (known.began, known.reading) = (now, true);
            self.read(auth.clone(), now);
        }
        found
    }

    /// Forgets Secrets that no resource names any more.
    pub(super) fn forget_others<'a>(&self, wanted: impl Iterator<Item = &'a Auth>) {
        let mut all = lock(&self.known);
        if !all.is_empty() {
            let wanted: HashSet<&Auth> = wanted.collect();
            all.retain(|auth, _| wanted.contains(auth));
        }
    }

    fn read(&self, auth: Auth, began: Instant) {
        let Reader { secrets, drain, runtime } = self.reader.clone();
        let (known, wake) = (Arc::clone(&self.known), Arc::clone(&self.wake));
        let draining = drain.token();
        let reading = async move {
            let result = tokio::select! {
                result = secrets.credentials(&auth, began) => result,
                () = draining.cancelled() => return,
            };
            // Absent when the contract has changed meanwhile: then nobody asks for it.
            if let Some(known) = lock(&known).get_mut(&auth).filter(|known| known.began == began) {
                known.reading = false;
                known.last = Some(Last { began, ended: Instant::now(), result });
            }
            wake();
        };
        drain.tracker().spawn_on(reading, &runtime);
    }
}

fn lock(known: &Mutex<HashMap<Auth, Known>>) -> MutexGuard<'_, HashMap<Auth, Known>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
