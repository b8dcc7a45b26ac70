//! What tokens are checked against, shared between `discovery`, which renews it, and requests, which only look.
//!
//! A request that meets an unknown key may wait for a renewal; how many wait, how long and how often is bounded, so that
//! forged tokens cannot make us flood the issuer or pile up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millrace_config::snapshot::Snapshot;
use tokio::sync::{Notify, Semaphore, watch};

use super::cache::Cache;
use super::claims::Claims;
use super::keys::Keys;

/// Requests that wait for a renewal; beyond it they are refused at once.
const WAITING: usize = 64;
/// How long each waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose tokens are accepted.
#[derive(Debug)]
pub(crate) struct Trust {
    issuer: String,
    keys: Keys,
    /// Grows with every change, so that nothing verified with older keys is taken for verified.
    revision: u64,
}

impl Trust {
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }
}

/// The way to check tokens. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Tokens(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    trust: Snapshot<Option<Arc<Trust>>>,
    cache: Cache,
    /// A renewal is wanted.
    wanted: Notify,
    begun: AtomicU64,
    ended: watch::Sender<u64>,
    waiting: Semaphore,
}

impl Default for Tokens {
    fn default() -> Self {
        Self(Arc::new(Shared {
            trust: Snapshot::default(),
            cache: Cache::new(),
            wanted: Notify::new(),
            begun: AtomicU64::new(0),
            ended: watch::Sender::new(0),
            waiting: Semaphore::new(WAITING),
        }))
    }
}

impl Tokens {
    /// Whose tokens count now; `None` while that is not known, which also asks for it.
    pub(super) fn trust(&self) -> Option<Arc<Trust>> {
        let trust = self.0.trust.load().as_ref().clone();
        if trust.is_none() {
            self.0.wanted.notify_one();
        }
        trust
    }

    pub(super) fn cached(&self, token: &str, trust: &Trust) -> Option<Arc<Claims>> {
        self.0.cache.get(token, trust.revision)
    }

    pub(super) fn remember(&self, token: &str, trust: &Trust, claims: Claims) -> Arc<Claims> {
        let claims = Arc::new(claims);
        self.0.cache.put(token, trust.revision, &claims);
        claims
    }

    /// Waits until the keys have been fetched anew. `None` when they are the same still, or after a while. Dropping the
    /// future stops the waiting and nothing else.
    pub(super) async fn refetched(&self, known: &Trust) -> Option<Arc<Trust>> {
        // At the bound the token counts as forged: that is what so many unknown keys at once are.
        let _place = self.0.waiting.try_acquire().ok()?;
        let mut ended = self.0.ended.subscribe();
        // A renewal under way may have begun before the issuer had the key.
        let next = self.0.begun.load(Ordering::Acquire) + 1;
        self.0.wanted.notify_one();
        let renewed = tokio::time::timeout(PATIENCE, ended.wait_for(|ended| *ended >= next)).await;
        renewed.ok()?.ok()?;
        self.trust().filter(|trust| trust.revision != known.revision)
    }

    /// Waits until a request asks for a renewal. For `discovery` only.
    pub(super) async fn wanted(&self) {
        self.0.wanted.notified().await;
    }

    /// A renewal begins. It must be ended, well or not.
    pub(super) fn begin(&self) {
        self.0.begun.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn end(&self) {
        self.0.ended.send_replace(self.0.begun.load(Ordering::Acquire));
    }

    /// True as soon as anything was found out; it stays known.
    pub(super) fn is_loaded(&self) -> bool {
        self.0.trust.load().is_some()
    }

    /// Takes what the issuer says now. True when that is news.
    pub(super) fn renew(&self, issuer: String, keys: Keys, now: Instant) -> bool {
        let before = self.0.trust.load();
        let (keys, revision) = match before.as_ref() {
            Some(before) if before.issuer == issuer => (keys.after(&before.keys, now), before.revision + 1),
            Some(before) => (keys, before.revision + 1),
            None => (keys, 1),
        };
        let unchanged = |before: &Arc<Trust>| before.issuer == issuer && before.keys.is_same(&keys);
        if before.as_ref().as_ref().is_some_and(unchanged) {
            return false;
        }
        self.0.trust.publish(Some(Arc::new(Trust { issuer, keys, revision })));
        true
    }

    /// Waits for the end of the renewal after `begun` others.
    pub(super) async fn ended(&self, begun: u64) {
        let mut ended = self.0.ended.subscribe();
        // The sender lives in `self`: the channel cannot close.
        drop(ended.wait_for(|ended| *ended > begun).await);
    }
}
