//! Tokens for Kafka's `OAUTHBEARER`: got in the background, renewed before they run out, shared by all clients of one
//! source.
//!
//! A client asks on the thread that serves it, which must not wait for a network: it gets the token that is there. Only
//! the very first one is waited for, briefly, because until then the client has nothing else to do. A source that fails
//! leaves the old token in force and is asked again. Tokens and passwords never appear in a text.
//!
//! Knows no Kafka client. Source: ingress spec 4.5; crates.md, "OAUTHBEARER in Rust".

mod aws;
mod endpoint;
mod jwt;
mod msk;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use millrace_config::contract::credentials::TokenSource;
use millrace_config::env::AwsEnv;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::clock;
use crate::drain::Drain;
use crate::startup::with_causes;

/// How long one try may take, all of its requests together.
const LIMIT: Duration = Duration::from_secs(10);
/// Between a failure and the next try.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a client's thread waits for the very first token.
const FIRST: Duration = Duration::from_secs(3);
/// Tokens are renewed when this part of their time is over, in percent; clients ask for the next one at 80.
const RENEW_PERCENT: u32 = 70;
/// A token that hardly lasts is not renewed more often than this.
const SHORTEST: Duration = Duration::from_secs(1);

/// A token, as a client needs it. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What brokers check.
    pub value: String,
    /// Whom it names.
    pub principal: String,
    /// When it runs out, in milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Token");
        shown.field("principal", &self.principal).field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No answer.
    #[error("cannot ask {url}")]
    Http {
        /// Whom.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// An answer that is none.
    #[error("{url} answered with status {status}")]
    Status {
        /// Who.
        url: String,
        /// Its status.
        status: u16,
    },
    /// An answer that is none, for another reason.
    #[error("{url} did not answer with {expected}")]
    Answer {
        /// Who.
        url: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A file that cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something that is not a token, or runs out too soon to be of use.
    #[error("what was got is not a usable token: {0}")]
    NotUsable(&'static str),
    /// Nobody says which region of Amazon the brokers are in.
    #[error("no region of Amazon is known: AWS_REGION is not set")]
    NoRegion,
    /// None of the places where Amazon leaves credentials has any.
    #[error("no credentials of Amazon were found: no keys, no role for a service account, no container, no machine")]
    NoCredentials,
    /// It took too long.
    #[error("no answer within {LIMIT:?}")]
    TooSlow,
    /// None was there yet when a client asked.
    #[error("there is no token yet")]
    NotYet,
}

/// All sources in use. Clones share them.
#[derive(Clone)]
pub struct KafkaTokens(Arc<Shared>);

struct Shared {
    aws: AwsEnv,
    drain: Drain,
    /// Absent outside a runtime: then there are no tokens.
    runtime: Option<Handle>,
    keepers: Mutex<HashMap<TokenSource, Weak<Keeper>>>,
}

impl fmt::Debug for KafkaTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTokens").finish_non_exhaustive()
    }
}

/// Keeps the token of one source fresh for as long as a client holds it. `Debug` does not show the token.
pub struct Keeper {
    newest: Mutex<Option<Token>>,
    changed: Condvar,
    /// Ends the renewing.
    _renewing: DropGuard,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}

impl KafkaTokens {
    /// Nothing is asked for yet. Tokens are got on the runtime that this is called on.
    #[must_use]
    pub fn new(aws: AwsEnv, drain: Drain) -> Self {
        let runtime = Handle::try_current().ok();
        Self(Arc::new(Shared { aws, drain, runtime, keepers: Mutex::default() }))
    }

    /// The keeper of this source: the one in use, or a new one, which begins at once. Does not wait.
    #[must_use]
    pub fn keeper(&self, source: &TokenSource) -> Arc<Keeper> {
        let mut keepers = lock(&self.0.keepers);
        if let Some(keeper) = keepers.get(source).and_then(Weak::upgrade) {
            return keeper;
        }
        keepers.retain(|_, keeper| keeper.strong_count() > 0);
        let stop = CancellationToken::new();
        let _renewing = stop.clone().drop_guard();
        let keeper = Arc::new(Keeper { newest: Mutex::default(), changed: Condvar::new(), _renewing });
        keepers.insert(source.clone(), Arc::downgrade(&keeper));
        if let Some(runtime) = &self.0.runtime {
            let renewing = renew(Arc::downgrade(&keeper), source.clone(), self.0.aws.clone());
            let (tracker, draining) = (self.0.drain.tracker(), self.0.drain.token());
            let renewing = async move {
                tokio::select! {
                    () = renewing => {}
                    () = stop.cancelled() => {}
                    () = draining.cancelled() => {}
                }
            };
            tracker.spawn_on(renewing, runtime);
        }
        keeper
    }
}

impl Keeper {
    /// The newest token. Waits for the very first one, at most for three seconds: only for threads that may block.
    ///
    /// # Errors
    ///
    /// When there is none, or the last one has run out; a later call may succeed.
    pub fn token(&self) -> Result<Token, TokenError> {
        let missing = |newest: &mut Option<Token>| newest.is_none();
        let newest = self.changed.wait_timeout_while(lock(&self.newest), FIRST, missing);
        let (newest, _) = newest.unwrap_or_else(PoisonError::into_inner);
        newest.clone().filter(|token| token.expires_ms > clock::now_millis()).ok_or(TokenError::NotYet)
    }

    fn put(&self, token: Token) {
        *lock(&self.newest) = Some(token);
        self.changed.notify_all();
    }
}

/// Gets tokens until nobody needs any.
async fn renew(keeper: Weak<Keeper>, source: TokenSource, aws: AwsEnv) {
    let mut told: Option<String> = None;
    loop {
        let got = tokio::time::timeout(LIMIT, get(&source, &aws)).await.unwrap_or(Err(TokenError::TooSlow));
        let pause = match got {
            Ok(token) => {
                let left = u64::try_from(token.expires_ms - clock::now_millis()).unwrap_or(0);
                let Some(keeper) = keeper.upgrade() else { return };
                if told.take().is_some() {
                    info!(principal = token.principal, "Token for Kafka is there again");
                }
                keeper.put(token);
                (Duration::from_millis(left) * RENEW_PERCENT / 100).max(SHORTEST)
            }
            Err(problem) => {
                let reason = with_causes(&problem);
                if told.as_ref() != Some(&reason) {
                    warn!(reason, "No token for Kafka, asked for again until there is one");
                    told = Some(reason);
                }
                AGAIN
            }
        };
        // Not by the wall clock: a clock that is set does not delay the next token by more than it lasts.
        tokio::time::sleep_until((Instant::now() + pause).into()).await;
    }
}

async fn get(source: &TokenSource, aws: &AwsEnv) -> Result<Token, TokenError> {
    match source {
        TokenSource::Unsecured(unsecured) => Ok(jwt::unsecured(unsecured, clock::since_epoch())),
        TokenSource::Endpoint(endpoint) => endpoint::ask(endpoint).await,
        TokenSource::File { path, principal_claim } => endpoint::read(path, principal_claim).await,
        TokenSource::MskIam(msk) => msk::sign(msk, aws).await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
