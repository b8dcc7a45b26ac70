//! Credentials for Kafka out of Secrets, read once however many resources need them.
//!
//! Nothing is watched: whoever needs credentials says how old a reading may be, which is the moment its contract was
//! applied or its retry is due. All who ask for the same wait for one reading; nobody else waits at all. Texts of errors
//! name Secrets and keys, never values.
//!
//! Source: ingress spec 4.1 to 4.4; dispatcher spec 10.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use millrace_config::contract::credentials::{Credentials, CredentialsError, SecretData};
use millrace_config::contract::{Auth, MultiSecret, Reference};

use crate::cluster::{Cluster, ClusterError};

/// How long a reading that nobody waits for is remembered at least; it goes with the next look round after that.
const KEEP: Duration = Duration::from_secs(60);

/// Why there are no credentials. Another try may succeed with each of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// A Secret could not be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A Secret exists and has no data.
    #[error("Secret {secret} has no data")]
    Empty {
        /// Namespace and name.
        secret: String,
    },
    /// What was read is incomplete or wrong.
    #[error("Secret {secret} is not usable: {reason}")]
    Unusable {
        /// Namespace and name; several are separated by commas.
        secret: String,
        /// What is wrong.
        reason: CredentialsError,
    },
}

/// Reads Secrets. Clones share what is being read.
#[derive(Clone)]
pub struct Secrets(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    readings: Mutex<Readings>,
}

struct Readings {
    by_auth: HashMap<Auth, Arc<Slot>>,
    look_round: Instant,
}

/// Locked while the reading is under way.
type Slot = tokio::sync::Mutex<Option<Reading>>;

struct Reading {
    began: Instant,
    result: Result<Arc<Credentials>, SecretsError>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("cluster", &self.0.cluster).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        let readings = Readings { by_auth: HashMap::new(), look_round: Instant::now() + KEEP };
        Self(Arc::new(Inner { cluster, readings: Mutex::new(readings) }))
    }

    /// The credentials of a reading that began at `since` or later: one that others asked for, or a new one.
    ///
    /// Returns at once when no Secret is named, and never later than the limits of [`Cluster`] allow. Dropping the future
    /// is safe: if it was reading, the next who waits reads.
    ///
    /// # Errors
    ///
    /// Names the Secret and what is wrong with it or with the way to it.
    pub async fn credentials(&self, auth: &Auth, since: Instant) -> Result<Arc<Credentials>, SecretsError> {
        if let Some(known) = Self::plain(auth) {
            return known;
        }
        let slot = self.slot(auth);
        let mut reading = slot.lock().await;
        if let Some(fresh) = reading.as_ref().filter(|reading| reading.began >= since) {
            return fresh.result.clone();
        }
        let began = Instant::now();
        let result = self.read(auth).await;
        *reading = Some(Reading { began, result: result.clone() });
        result
    }

    /// What needs no reading: no authentication at all, or several Secrets of which there are none. `None` when a Secret
    /// is named.
    #[must_use]
    pub fn plain(auth: &Auth) -> Option<Result<Arc<Credentials>, SecretsError>> {
        let credentials = match auth {
            Auth::Absent => Ok(Credentials::plaintext()),
            Auth::Secrets(multi) if multi.secrets.is_empty() => Credentials::from_secrets(multi, &[]),
            Auth::Secret(_) | Auth::Secrets(_) => return None,
        };
        let named = |reason| SecretsError::Unusable { secret: "(none is named)".to_owned(), reason };
        Some(credentials.map(Arc::new).map_err(named))
    }

    fn slot(&self, auth: &Auth) -> Arc<Slot> {
        let mut readings = self.0.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now >= readings.look_round {
            readings.look_round = now + KEEP;
            readings.by_auth.retain(|_, slot| in_use(slot, now));
        }
        if let Some(slot) = readings.by_auth.get(auth) {
            return Arc::clone(slot);
        }
        let slot = Arc::default();
        readings.by_auth.insert(auth.clone(), Arc::clone(&slot));
        slot
    }

    async fn read(&self, auth: &Auth) -> Result<Arc<Credentials>, SecretsError> {
        let data = try_join_all(auth.secrets().map(|reference| self.data(reference))).await?;
        let credentials = match auth {
            Auth::Absent => Ok(Credentials::plaintext()),
            // One reference gives one Secret; an empty one says itself what it lacks.
            Auth::Secret(_) => Credentials::from_secret(&data.into_iter().next().unwrap_or_default()),
            Auth::Secrets(multi) => {
                have_data(multi, &data)?;
                Credentials::from_secrets(multi, &data)
            }
        };
        credentials.map(Arc::new).map_err(|reason| SecretsError::Unusable { secret: names(auth), reason })
    }

    async fn data(&self, reference: &Reference) -> Result<SecretData, ClusterError> {
        self.0.cluster.secret(&reference.namespace, &reference.name).await
    }
}

/// Whether somebody waits for it, or it is young.
fn in_use(slot: &Arc<Slot>, now: Instant) -> bool {
    let young = |reading: &Reading| now.saturating_duration_since(reading.began) < KEEP;
    Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|reading| reading.as_ref().is_some_and(young))
}

/// Among several, a Secret without data is a failure of its own: none of its keys may be absent by mistake.
fn have_data(multi: &MultiSecret, data: &[SecretData]) -> Result<(), SecretsError> {
    match multi.secrets.iter().zip(data).find(|(_, data)| data.is_empty()) {
        Some((empty, _)) => Err(SecretsError::Empty { secret: name(&empty.reference) }),
        None => Ok(()),
    }
}

fn names(auth: &Auth) -> String {
    auth.secrets().map(name).collect::<Vec<_>>().join(", ")
}

fn name(reference: &Reference) -> String {
    format!("{}/{}", reference.namespace, reference.name)
}

#[cfg(test)]
mod tests;
