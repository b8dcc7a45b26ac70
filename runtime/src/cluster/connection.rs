//! One connection pool to the API server: configuration, requests, bounded answers, errors without secrets.
//!
//! With `trust` the only file that uses the `kube` client here. Its `request` functions are not used: they read answers of any length
//! and log what they cannot parse. Its retries are off: callers have their own, under their own limits.

use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::{AuthError, Body};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use serde::Deserialize;

use super::{ANSWER_LIMIT, ClusterError, trust};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Of the API server's reason for a refusal, what is repeated.
const MESSAGE_LIMIT: usize = 300;

pub(super) struct Connection {
    config: Config,
    client: Client,
    /// Takes the place of `client` once the API server has shown a certificate that only this one takes.
    trusting: OnceLock<Client>,
}

/// A request of the API.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    /// Empty for none.
    pub(super) body: Vec<u8>,
}

/// What matters of a `Status` object.
#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    message: String,
}

impl Connection {
    pub(super) async fn open(kubeconfig: Option<&Path>) -> Result<Self, ClusterError> {
        let mut config = match kubeconfig {
            Some(path) => of_file(path).await,
            None => match Config::infer().await {
                Ok(config) => Ok(config),
                // A pod without the variables of the API server's Service still has its files and its name.
                Err(error) => Config::incluster_dns().map_err(|_no_pod| not_found(&error)),
            },
        }
        .map_err(|reason| ClusterError::Configuration { reason })?;
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_LIMIT);
        let client = client(config.clone())?;
        Ok(Self { config, client, trusting: OnceLock::new() })
    }

    pub(super) async fn send(&self, what: &str, call: Call) -> Result<Bytes, ClusterError> {
        let client = self.trusting.get().unwrap_or(&self.client);
        match send(client, what, &call).await {
            Err(error) if trust::may_help(&self.config, &error) => {
                let trusting = trust::client(&self.config)?;
                send(self.trusting.get_or_init(|| trusting), what, &call).await
            }
            answer => answer,
        }
    }

    /// See [`super::Cluster::get_url`]. The second try is only for hosts that the cluster's CA does not vouch for.
    pub(super) async fn get_url(&self, url: &str, uri: &Uri) -> Result<Bytes, ClusterError> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut config = self.config.clone();
        config.cluster_url = origin(uri).ok_or_else(|| ClusterError::Name { name: url.to_owned() })?;
        let own = same_origin(uri, &self.config.cluster_url);
        let vouched = config.root_cert.is_some() && !config.accept_invalid_certs && uri.scheme_str() == Some("https");
        if own || vouched {
            if !own {
                config.tls_server_name = None;
            }
            let mut answer = send(&client(config.clone())?, url, &Call::get(path)).await;
            if answer.as_ref().is_err_and(|error| trust::may_help(&config, error)) {
                answer = send(&trust::client(&config)?, url, &Call::get(path)).await;
            }
            match answer {
                Err(ClusterError::Unreachable { .. }) if !own => {}
                answer => return answer,
            }
        }
        let mut stranger = Config::new(config.cluster_url);
        (stranger.default_retry, stranger.connect_timeout) = (false, Some(CONNECT_LIMIT));
        stranger.auth_info = AuthInfo::default();
        send(&client(stranger)?, url, &Call::get(path)).await
    }
}

/// The client installs aws-lc-rs as the process' provider for TLS unless there is one.
fn client(config: Config) -> Result<Client, ClusterError> {
    Client::try_from(config).map_err(|error| ClusterError::Configuration { reason: reason(&error) })
}

async fn of_file(path: &Path) -> Result<Config, String> {
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
    let options = KubeConfigOptions::default();
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(&error))
}

/// Why the environment leads nowhere: what is wrong with the kubeconfig, since a pod's files are either there or not.
fn not_found(error: &(dyn Error + 'static)) -> String {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<KubeconfigError>());
    let kubeconfig = cause.map_or_else(|| "not usable".to_owned(), unusable);
    format!("not in a pod, and the kubeconfig: {kubeconfig}")
}

/// A parser quotes what it read, and a kubeconfig is full of secrets.
fn unusable(error: &KubeconfigError) -> String {
    if matches!(error, KubeconfigError::Parse(_)) {
        "it is not a kubeconfig in YAML".to_owned()
    } else {
        error.to_string()
    }
}

async fn send(client: &Client, what: &str, call: &Call) -> Result<Bytes, ClusterError> {
    let request = Request::builder()
        .method(&call.method)
        .uri(&call.path)
        // As kubectl asks. JSON alone would be refused: keys of the issuer come as application/jwk-set+json only.
        .header(ACCEPT, "application/json, */*")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("Millrace/", env!("CARGO_PKG_VERSION")))
        .body(Body::from(call.body.clone()))
        .map_err(|_| ClusterError::Name { name: what.to_owned() })?;
    let unreachable = |reason| ClusterError::Unreachable { what: what.to_owned(), reason };
    let response = client.send(request).await.map_err(|error| unreachable(reason(&error)))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => {
            let reason = format!("it is larger than {ANSWER_LIMIT} bytes");
            ClusterError::Answer { what: what.to_owned(), reason }
        }
        None => unreachable(reason(error.as_ref())),
    })?;
    let body = body.to_bytes();
    let what = what.to_owned();
    match status {
        status if status.is_success() => Ok(body),
        StatusCode::NOT_FOUND => Err(ClusterError::NotFound { what }),
        StatusCode::CONFLICT => Err(ClusterError::AlreadyExists { what }),
        status => Err(ClusterError::Refused { what, status: status.as_u16(), message: message(&body) }),
    }
}

fn message(body: &[u8]) -> String {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let text = if refusal.message.is_empty() { "it gave no reason" } else { &refusal.message };
    text.chars().filter(|letter| !letter.is_control()).take(MESSAGE_LIMIT).collect()
}

/// An error and its causes, each said once. What the cluster's own credentials say of themselves may be secret: the output
/// of a login program, for example.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    let chain: Vec<_> = std::iter::successors(Some(error), |error| (*error).source()).collect();
    match chain.iter().find_map(|error| error.downcast_ref::<AuthError>()) {
        Some(AuthError::ReadTokenFile(error, path)) => {
            return format!("cannot read the token in {}: {error}", path.display());
        }
        Some(_) => return "the credentials that the cluster's configuration names cannot be used".to_owned(),
        None => {}
    }
    let mut said = String::new();
    for text in chain.iter().map(ToString::to_string) {
        if !said.contains(&text) {
            let separator = if said.is_empty() { "" } else { ": " };
            said = format!("{said}{separator}{text}");
        }
    }
    said
}

fn origin(uri: &Uri) -> Option<Uri> {
    let (scheme, authority) = (uri.scheme()?.clone(), uri.authority()?.clone());
    Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build().ok()
}

fn same_origin(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

#[cfg(test)]
mod tests {
    //! Which addresses get the cluster's token, and what errors say.

    use super::*;

    #[test]
    fn only_the_same_scheme_host_and_port_are_the_api_server_itself() {
        let check = |one: &str, other: &str, expected| {
            assert_eq!(same_origin(&one.parse().unwrap(), &other.parse().unwrap()), expected, "{one} {other}");
        };
        check("https://10.0.0.1:443/openid/v1/jwks", "https://10.0.0.1/", true);
        check("https://API.example/x", "https://api.example/k8s/clusters/c", true);
        check("http://10.0.0.1/", "https://10.0.0.1/", false);
        check("https://10.0.0.1:6443/", "https://10.0.0.1/", false);
        check("https://other.example/", "https://api.example/", false);
    }

    #[test]
    fn the_output_of_a_login_program_is_never_repeated() {
        let error = kube::Error::Auth(AuthError::AuthExec("token s3cret".to_owned()));
        assert!(!reason(&error).contains("s3cret"));
        assert!(!reason(&error).is_empty());
    }
}
