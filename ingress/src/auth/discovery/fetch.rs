//! Fetches the two documents of OpenID Connect Discovery: the issuer's description and its keys.
//!
//! Only from where the operator says: the cluster that this process is in, or `MILLRACE_OIDC_DISCOVERY_URL`; and from
//! where the description points. Nothing in a token leads anywhere. Answers are bounded; redirects are not followed.
//! Source: spec ingress 5.2, R13 for keys that are not in the cluster.

use bytes::Bytes;
use millrace_runtime::cluster::{Cluster, ClusterError};
use serde::Deserialize;

use crate::auth::keys::KeysError;

/// Both documents are a few KiB; more is something else.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// Where the description is.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The cluster's API server, with this process's credentials.
    Cluster(Cluster),
    /// At this address, without credentials. The well-known path is added when it is missing.
    Url(String),
}

/// What is known of an issuer.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) issuer: String,
    /// A JWK set.
    pub(super) keys: Bytes,
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("cannot ask {url}")]
    Http { url: String, source: reqwest::Error },
    #[error("{url} answered with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url} answered with more than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge { url: String },
    #[error("{url} is not a discovery document")]
    Document { url: String, source: serde_json::Error },
    #[error("no answer in time")]
    TooSlow,
    #[error("keys of the issuer cannot be used")]
    Keys(#[source] KeysError),
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

/// Asks for the description, then for the keys.
///
/// # Errors
///
/// When either cannot be had.
pub(super) async fn fetch(origin: &Origin) -> Result<Found, FetchError> {
    match origin {
        Origin::Cluster(cluster) => {
            let document = read(WELL_KNOWN, &cluster.get(WELL_KNOWN).await?)?;
            Ok(Found { keys: cluster.get_url(&document.jwks_uri).await?, issuer: document.issuer })
        }
        Origin::Url(url) => {
            let client = Plain::new()?;
            let url = match url.ends_with(WELL_KNOWN) {
                true => url.clone(),
                false => format!("{}{WELL_KNOWN}", url.trim_end_matches('/')),
            };
            let document = read(&url, &client.get(&url).await?)?;
            Ok(Found { keys: client.get(&document.jwks_uri).await?, issuer: document.issuer })
        }
    }
}

fn read(url: &str, document: &[u8]) -> Result<Document, FetchError> {
    serde_json::from_slice(document).map_err(|source| FetchError::Document { url: url.to_owned(), source })
}

/// A client without credentials, which trusts the system's roots. Made anew each time: it is used every few minutes.
struct Plain(reqwest::Client);

impl Plain {
    fn new() -> Result<Self, FetchError> {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        client.map(Self).map_err(|source| FetchError::Http { url: "anything".to_owned(), source })
    }

    async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let failed = |source: reqwest::Error| FetchError::Http { url: url.to_owned(), source: source.without_url() };
        let mut response = self.0.get(url).send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            return Err(FetchError::Status { url: url.to_owned(), status: status.as_u16() });
        }
        let mut body = bytes::BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if body.len() + part.len() > MAX_DOCUMENT_BYTES {
                return Err(FetchError::TooLarge { url: url.to_owned() });
            }
            body.extend_from_slice(&part);
        }
        Ok(body.freeze())
    }
}
