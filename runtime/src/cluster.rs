//! The Kubernetes API as the data planes need it: Secrets, tokens for service accounts, OIDC documents, new objects.
//!
//! Nothing is connected, read or kept before the first call, so that a process whose contract asks for none of this costs
//! no memory and needs no cluster. The cluster is found as the `kube` crate finds it: `KUBECONFIG` (or `~/.kube/config`),
//! else the files of the pod. Every call has a time limit and every answer a size limit. What a Secret or a token holds
//! never appears in an error, a log line or a `Debug` text.
//!
//! Source: ingress spec 4.1, 5.2 and 9; dispatcher spec 3.5 and 10.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Uri};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::Secret;
use millrace_config::contract::credentials::SecretData;
use serde::Serialize;
use tokio::sync::{OnceCell, Semaphore};

mod connection;
mod error;
mod trust;

use connection::{Call, Connection};

pub use error::ClusterError;

/// How long one call may take, from its turn to the last byte of the answer.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How long a call may wait for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(30);
/// Calls under way at once; more wait for their turn, so that a large contract is no storm for the API server.
const CALLS: usize = 32;
/// The largest answer that is read. A Secret has at most 1 MiB, which base64 makes a third more.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;
/// What tokens are asked for; the API server may give another life time.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// The cluster's API. Clones share one connection pool.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    kubeconfig: Option<PathBuf>,
    connection: OnceCell<Connection>,
    turns: Semaphore,
    call_limit: Duration,
}

/// A token of a service account. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What goes after `Bearer `.
    pub value: String,
    /// When the API server says that it ends.
    pub expires: SystemTime,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Cluster {
    /// The cluster of this process, looked for at the first call.
    #[must_use]
    pub fn new() -> Self {
        Self::with(None, CALL_LIMIT)
    }

    /// The cluster of a kubeconfig file, whatever the environment says. For tools and tests; `call_limit` is the time a
    /// call may take.
    #[must_use]
    pub fn of_kubeconfig(path: impl Into<PathBuf>, call_limit: Duration) -> Self {
        Self::with(Some(path.into()), call_limit)
    }

    fn with(kubeconfig: Option<PathBuf>, call_limit: Duration) -> Self {
        let (connection, turns) = (OnceCell::new(), Semaphore::new(CALLS));
        Self(Arc::new(Inner { kubeconfig, connection, turns, call_limit }))
    }

    /// The decoded data of a Secret; empty when it has none.
    ///
    /// # Errors
    ///
    /// [`ClusterError::NotFound`] when there is no such Secret.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<SecretData, ClusterError> {
        let what = format!("Secret {namespace}/{name}");
        let path = format!("/api/v1/namespaces/{}/secrets/{}", segment(namespace)?, segment(name)?);
        let answer = self.send(&what, Call::get(&path)).await?;
        // The parser's own message would quote the Secret.
        let secret: Secret = serde_json::from_slice(&answer)
            .map_err(|_| ClusterError::Answer { what, reason: "it is not a Secret".to_owned() })?;
        Ok(secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect())
    }

    /// A new token of a service account for one audience, asked to last an hour.
    ///
    /// # Errors
    ///
    /// [`ClusterError::NotFound`] when there is no such service account. A blank token is an error too.
    pub async fn token(&self, namespace: &str, service_account: &str, audience: &str) -> Result<Token, ClusterError> {
        let what = format!("token of service account {namespace}/{service_account} for audience {audience:?}");
        let (namespace, name) = (segment(namespace)?, segment(service_account)?);
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                expiration_seconds: i64::try_from(TOKEN_LIFE.as_secs()).ok(),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = self.send(&what, Call::post(&path, &request)?).await?;
        let unusable = |reason: &str| ClusterError::Answer { what: what.clone(), reason: reason.to_owned() };
        let request: TokenRequest =
            serde_json::from_slice(&answer).map_err(|_| unusable("it is not a TokenRequest"))?;
        let status = request.status.filter(|status| !status.token.trim().is_empty());
        let status = status.ok_or_else(|| unusable("it has no token"))?;
        Ok(Token { value: status.token, expires: status.expiration_timestamp.0.into() })
    }

    /// The answer to a GET of a path of the API, such as `/.well-known/openid-configuration`.
    ///
    /// # Errors
    ///
    /// When the answer's status is not a success.
    pub async fn get(&self, path: &str) -> Result<Bytes, ClusterError> {
        self.send(path, Call::get(path)).await
    }

    /// The answer to a GET of an absolute URL that a document of the cluster names, such as `jwks_uri`.
    ///
    /// Hosts that show a certificate of the cluster's CA get the cluster's own bearer token, as does the API server
    /// itself. Any other host is asked without it, and trusted by the system's certificates.
    ///
    /// # Errors
    ///
    /// When the URL is not absolute, or the answer's status is not a success.
    pub async fn get_url(&self, url: &str) -> Result<Bytes, ClusterError> {
        let absolute = url.parse::<Uri>().ok().filter(|uri| {
            uri.authority().is_some() && uri.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"))
        });
        let uri = absolute.ok_or_else(|| ClusterError::Name { name: url.to_owned() })?;
        self.within(url, async { self.connection().await?.get_url(url, &uri).await }).await
    }

    /// Creates an object at the path of its collection.
    ///
    /// # Errors
    ///
    /// [`ClusterError::AlreadyExists`] when there is one of that name.
    pub async fn create(&self, path: &str, object: &(impl Serialize + Sync)) -> Result<Bytes, ClusterError> {
        self.send(path, Call::post(path, object)?).await
    }

    async fn send(&self, what: &str, call: Call) -> Result<Bytes, ClusterError> {
        self.within(what, async { self.connection().await?.send(what, call).await }).await
    }

    /// Waits for a turn and then for the call, each for a limited time.
    async fn within<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        let timed_out = |limit| ClusterError::TimedOut { what: what.to_owned(), limit };
        let turn = tokio::time::timeout(TURN_LIMIT, self.0.turns.acquire()).await;
        let _turn = turn.map_err(|_| timed_out(TURN_LIMIT))?;
        let limit = self.0.call_limit;
        tokio::time::timeout(limit, call).await.map_err(|_| timed_out(limit))?
    }

    /// A configuration that could not be used is looked for again by the next call.
    async fn connection(&self) -> Result<&Connection, ClusterError> {
        let kubeconfig = self.0.kubeconfig.as_deref();
        self.0.connection.get_or_try_init(|| Connection::open(kubeconfig)).await
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connected = self.0.connection.initialized();
        f.debug_struct("Cluster").field("connected", &connected).finish_non_exhaustive()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A name as part of a path. Names come from the contract, and must not lead anywhere else.
pub(crate) fn segment(name: &str) -> Result<&str, ClusterError> {
    let usable = |name: &str| name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.'));
    if name.is_empty() || name.starts_with('.') || !usable(name) {
        return Err(ClusterError::Name { name: name.to_owned() });
    }
    Ok(name)
}

impl Call {
    fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), body: Vec::new() }
    }

    fn post(path: &str, object: &impl Serialize) -> Result<Self, ClusterError> {
        let body = serde_json::to_vec(object)
            .map_err(|error| ClusterError::Answer { what: path.to_owned(), reason: error.to_string() })?;
        Ok(Self { method: Method::POST, path: path.to_owned(), body })
    }
}

#[cfg(test)]
mod tests;
