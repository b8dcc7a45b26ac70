//! OIDC tokens for targets that ask for an audience: fetched from the cluster, kept until shortly before they end.
//!
//! An attempt only looks at a snapshot. A token is renewed in the background while the old one is still good, by one task
//! at a time; only when there is none does an attempt wait, and all who wait share one fetch, whether it succeeds or not.
//! A token that has ended is never sent. No text or `Debug` form has a token.
//!
//! Source: dispatcher spec 3.5. Ours beside it: tokens are shared by all egresses of a namespace, account and audience,
//! live as long as the API server says, and one that a target refuses with 401 is replaced.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::HeaderValue;
use millrace_config::snapshot::Snapshot;
use millrace_runtime::clock;
use millrace_runtime::cluster::{Cluster, Token};
use millrace_runtime::drain::Drain;
use tracing::{debug, warn};

use crate::outcome::Failure;

/// A failure answers everybody who asks within this time, so that many retries are no storm for the API server.
const FAILURE_KEEP: Duration = Duration::from_secs(1);
/// How long after a failed renewal the next one is tried, while the old token is still good.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);
/// Tokens that a target refuses are replaced at most once in this time: a target that refuses every token is no reason to
/// ask for one an event.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);
/// A token is not sent in the last part of its life, which is a tenth of it and at most this: it must still be good when
/// the target looks at it.
const MARGIN: Duration = Duration::from_secs(30);

/// The tokens in use. Clones share them.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<Registry>);

struct Registry {
    cluster: Cluster,
    drain: Drain,
    /// As many as routes in use need; those of routes that went go with the next new one. Locked when routes are built.
    bearers: Mutex<HashMap<Key, Weak<Bearer>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: String,
    service_account: String,
    audience: String,
}

/// How a target is told who sends.
#[derive(Clone, Debug)]
pub(crate) enum Authorization {
    /// It does not ask.
    Open,
    /// It asks, and the egress has no service account: nothing can be sent to it.
    NoServiceAccount { audience: String },
    /// With a token of the egress' service account.
    Bearer(Arc<Bearer>),
}

/// The token of one service account for one audience.
pub(crate) struct Bearer {
    key: Key,
    cluster: Cluster,
    drain: Drain,
    current: Snapshot<Option<Issued>>,
    renewing: AtomicBool,
    /// Held by whoever fetches.
    fetching: tokio::sync::Mutex<Fetching>,
}

#[derive(Clone)]
struct Issued {
    header: HeaderValue,
    renew: Instant,
    ends: Instant,
}

#[derive(Default)]
struct Fetching {
    failed: Option<(Instant, String)>,
    refused: Option<Instant>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("cluster", &self.0.cluster).finish_non_exhaustive()
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Tokens {
    /// None yet. Renewals end when draining begins.
    pub(crate) fn new(cluster: Cluster, drain: Drain) -> Self {
        Self(Arc::new(Registry { cluster, drain, bearers: Mutex::default() }))
    }

    /// How a target with this audience, if any, is told who sends. Fetches nothing.
    pub(crate) fn authorization(
        &self,
        namespace: &str,
        service_account: Option<&str>,
        audience: Option<&str>,
    ) -> Authorization {
        let Some(audience) = audience else { return Authorization::Open };
        let Some(service_account) = service_account else {
            return Authorization::NoServiceAccount { audience: audience.to_owned() };
        };
        let key = Key {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            audience: audience.to_owned(),
        };
        let mut bearers = self.0.bearers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bearer) = bearers.get(&key).and_then(Weak::upgrade) {
            return Authorization::Bearer(bearer);
        }
        bearers.retain(|_, bearer| bearer.strong_count() > 0);
        let bearer = Arc::new(Bearer {
            key: key.clone(),
            cluster: self.0.cluster.clone(),
            drain: self.0.drain.clone(),
            current: Snapshot::default(),
            renewing: AtomicBool::new(false),
            fetching: tokio::sync::Mutex::default(),
        });
        bearers.insert(key, Arc::downgrade(&bearer));
        Authorization::Bearer(bearer)
    }
}

impl Authorization {
    /// The value of `Authorization` for one attempt; `None` when the target does not ask for it.
    ///
    /// # Errors
    ///
    /// [`Failure::NoServiceAccount`], or [`Failure::Token`] when no token can be had now.
    pub(crate) async fn header(&self) -> Result<Option<HeaderValue>, Failure> {
        match self {
            Self::Open => Ok(None),
            Self::NoServiceAccount { audience } => Err(Failure::NoServiceAccount { audience: audience.clone() }),
            Self::Bearer(bearer) => bearer.header().await.map(Some).map_err(Failure::Token),
        }
    }

    /// The target answered 401 to this value: the next attempt gets another.
    pub(crate) fn refused(&self, header: &HeaderValue) {
        match self {
            Self::Bearer(bearer) => bearer.refused(header),
            Self::Open | Self::NoServiceAccount { .. } => {}
        }
    }
}

impl Bearer {
    async fn header(self: &Arc<Self>) -> Result<HeaderValue, String> {
        let now = Instant::now();
        if let Some(issued) = self.good(now) {
            if now >= issued.renew {
                self.renew_soon();
            }
            return Ok(issued.header);
        }
        self.fetch(now).await
    }

    fn good(&self, now: Instant) -> Option<Issued> {
        let current = self.current.load();
        current.as_ref().as_ref().filter(|issued| now < issued.ends).cloned()
    }

    /// Waits for the fetch that is under way, or fetches.
    async fn fetch(&self, asked: Instant) -> Result<HeaderValue, String> {
        let mut fetching = self.fetching.lock().await;
        if let Some(issued) = self.good(Instant::now()) {
            return Ok(issued.header);
        }
        // One that failed after this attempt asked is as good as one of its own.
        let shared = |(at, _): &&(Instant, String)| *at >= asked || at.elapsed() < FAILURE_KEEP;
        if let Some((_, error)) = fetching.failed.as_ref().filter(shared) {
            return Err(error.clone());
        }
        match self.issue().await {
            Ok(issued) => {
                let header = issued.header.clone();
                fetching.failed = None;
                self.current.publish(Some(issued));
                Ok(header)
            }
            Err(error) => {
                fetching.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn issue(&self) -> Result<Issued, String> {
        let Key { namespace, service_account, audience } = &self.key;
        let token = self.cluster.token(namespace, service_account, audience).await;
        let issued = issued(&token.map_err(|error| error.to_string())?)?;
        debug!(namespace, service_account, audience, "Token issued");
        Ok(issued)
    }

    /// At most one renewal at a time.
    fn renew_soon(self: &Arc<Self>) {
        if self.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let bearer = Arc::clone(self);
        let draining = self.drain.token();
        self.drain.tracker().spawn(async move {
            tokio::select! {
                () = bearer.renew() => {}
                () = draining.cancelled() => {}
            }
            bearer.renewing.store(false, Ordering::Release);
        });
    }

    async fn renew(&self) {
        let _fetching = self.fetching.lock().await;
        match self.issue().await {
            Ok(issued) => self.current.publish(Some(issued)),
            Err(error) => {
                let Key { namespace, service_account, audience } = &self.key;
                warn!(namespace, service_account, audience, error, "Token not renewed; the present one is used on");
                if let Some(issued) = self.good(Instant::now()) {
                    self.current.publish(Some(Issued { renew: Instant::now() + RENEWAL_PAUSE, ..issued }));
                }
            }
        }
    }

    fn refused(&self, header: &HeaderValue) {
        // Whoever holds the lock is about to bring another token anyway.
        let Ok(mut fetching) = self.fetching.try_lock() else { return };
        let now = Instant::now();
        let is_current = self.good(now).is_some_and(|issued| issued.header == header);
        let is_due = fetching.refused.is_none_or(|last| now.saturating_duration_since(last) >= REFUSAL_PAUSE);
        if is_current && is_due {
            fetching.refused = Some(now);
            self.current.publish(None);
            let Key { namespace, service_account, audience } = &self.key;
            warn!(namespace, service_account, audience, "Token refused by its target; another one is fetched");
        }
    }
}

fn issued(token: &Token) -> Result<Issued, String> {
    let life = token.expires.duration_since(clock::now()).unwrap_or_default();
    let now = Instant::now();
    let ends = now + life.saturating_sub(MARGIN.min(life / 10));
    if ends <= now {
        return Err("the API server gave a token that has ended; is this machine's clock right?".to_owned());
    }
    let header = HeaderValue::from_str(&format!("Bearer {}", token.value));
    let mut header = header.map_err(|_| "the API server gave a token that cannot be a header".to_owned())?;
    header.set_sensitive(true);
    Ok(Issued { header, renew: now + life.mul_f64(0.8), ends })
}

#[cfg(test)]
mod tests;
