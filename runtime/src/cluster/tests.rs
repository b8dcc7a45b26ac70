//! What the API is asked for, and what becomes of each kind of answer.

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::*;
use crate::clock;
use crate::testing::{ApiServer, BEARER, secret_path};

const SHORT: Duration = Duration::from_millis(300);

struct Fixture {
    server: ApiServer,
    cluster: Cluster,
    _folder: TempDir,
}

fn fixture() -> Fixture {
    let (server, folder) = (ApiServer::start(), TempDir::new().unwrap());
    let cluster = Cluster::of_kubeconfig(server.kubeconfig(folder.path()), SHORT);
    Fixture { server, cluster, _folder: folder }
}

#[tokio::test]
async fn a_secret_is_read_with_the_clusters_own_token() {
    let it = fixture();
    it.server.secret("ns", "kafka", [("user", "alice"), ("password", "p\"a\\ss")]);
    let data = it.cluster.secret("ns", "kafka").await.unwrap();
    assert_eq!(data["password"], b"p\"a\\ss");
    assert_eq!(data.len(), 2);
    let seen = it.server.seen();
    assert_eq!(seen[0].authorization.as_deref(), Some(format!("Bearer {BEARER}").as_str()));
    assert_eq!(seen[0].path, "/api/v1/namespaces/ns/secrets/kafka");
}

#[tokio::test]
async fn a_missing_secret_a_refused_one_and_a_hung_server_are_told_apart() {
    let it = fixture();
    let missing = it.cluster.secret("ns", "kafka").await.unwrap_err();
    assert_eq!(missing.to_string(), "Secret ns/kafka not found");
    it.server.fail(&secret_path("ns", ""), 403);
    let refused = it.cluster.secret("ns", "kafka").await.unwrap_err().to_string();
    assert_eq!(refused, "the API server answered 403 for Secret ns/kafka: the test says so");
    it.server.hang(&secret_path("ns", ""));
    let hung = it.cluster.secret("ns", "kafka").await.unwrap_err();
    assert!(matches!(hung, ClusterError::TimedOut { limit: SHORT, .. }), "{hung}");
    it.server.heal();
    it.server.put(&secret_path("ns", "kafka"), json!({"data": {"password": "n0t base64"}}));
    let bad = it.cluster.secret("ns", "kafka").await.unwrap_err().to_string();
    assert_eq!(bad, "the answer for Secret ns/kafka cannot be used: it is not a Secret");
}

#[tokio::test]
async fn a_token_carries_the_expiry_that_the_api_server_gave() {
    let it = fixture();
    it.server.token_life(Duration::from_secs(600));
    let token = it.cluster.token("ns", "sender", "https://sink").await.unwrap();
    assert_eq!(token.value, "sender-1");
    let left = token.expires.duration_since(clock::now()).unwrap();
    assert!((590..=600).contains(&left.as_secs()), "{left:?}");
    assert!(!format!("{token:?}").contains("sender-1"));
    let seen = &it.server.seen()[0];
    assert_eq!(seen.path, "/api/v1/namespaces/ns/serviceaccounts/sender/token");
    assert_eq!(seen.body["spec"], json!({"audiences": ["https://sink"], "expirationSeconds": 3600}));
}

#[tokio::test]
async fn names_never_lead_to_another_path() {
    let it = fixture();
    for name in ["", "..", ".", "../x", "a/b", "a?b", "a%2fb", "ä"] {
        let error = it.cluster.secret("ns", name).await.unwrap_err();
        assert!(matches!(error, ClusterError::Name { .. }), "{name}: {error}");
        assert!(it.cluster.secret(name, "x").await.is_err());
        assert!(it.cluster.token("ns", name, "x").await.is_err());
    }
    assert!(it.server.seen().is_empty());
}

#[tokio::test]
async fn a_configuration_that_comes_late_is_found_by_the_next_call() {
    let (server, folder) = (ApiServer::start(), TempDir::new().unwrap());
    server.secret("ns", "kafka", [("user", "alice")]);
    let cluster = Cluster::of_kubeconfig(folder.path().join("kubeconfig"), SHORT);
    let early = cluster.secret("ns", "kafka").await.unwrap_err();
    assert!(matches!(early, ClusterError::Configuration { .. }), "{early}");
    std::fs::write(folder.path().join("kubeconfig"), "users: [{token: s3cret]").unwrap();
    let broken = cluster.secret("ns", "kafka").await.unwrap_err().to_string();
    assert!(broken.contains("not a kubeconfig") && !broken.contains("s3cret"), "{broken}");
    server.kubeconfig(folder.path());
    assert!(cluster.secret("ns", "kafka").await.is_ok());
}

#[tokio::test]
async fn documents_of_the_api_server_are_read_with_the_token_and_those_of_strangers_without() {
    let (it, stranger) = (fixture(), ApiServer::start());
    it.server.put("/openid/v1/jwks", json!({"keys": []}));
    stranger.put("/openid/v1/jwks", json!({"keys": [1]}));
    assert_eq!(it.cluster.get("/openid/v1/jwks").await.unwrap(), r#"{"keys":[]}"#);
    let own = it.cluster.get_url(&format!("{}/openid/v1/jwks", it.server.url())).await.unwrap();
    assert_eq!(own, r#"{"keys":[]}"#);
    let other = it.cluster.get_url(&format!("{}/openid/v1/jwks", stranger.url())).await.unwrap();
    assert_eq!(other, r#"{"keys":[1]}"#);
    assert!(it.server.seen().iter().all(|seen| seen.authorization.is_some()));
    assert_eq!(stranger.seen()[0].authorization, None, "a token is for the cluster only");
    for url in ["/relative", "ftp://host/x", "nonsense"] {
        assert!(matches!(it.cluster.get_url(url).await, Err(ClusterError::Name { .. })), "{url}");
    }
}

#[tokio::test]
async fn creating_what_exists_is_told_apart() {
    let it = fixture();
    let (path, object) = ("/apis/x/v1/things", json!({"metadata": {"name": "one"}}));
    it.cluster.create(path, &object).await.unwrap();
    let again = it.cluster.create(path, &object).await.unwrap_err();
    assert!(matches!(again, ClusterError::AlreadyExists { .. }), "{again}");
    assert_eq!(it.server.object("/apis/x/v1/things/one"), Some(object));
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let it = fixture();
    it.server.put("/big", json!("x".repeat(ANSWER_LIMIT)));
    let error = it.cluster.get("/big").await.unwrap_err();
    assert!(matches!(error, ClusterError::Answer { .. }), "{error}");
}

#[test]
fn nothing_is_connected_before_the_first_call() {
    assert_eq!(format!("{:?}", Cluster::new()), "Cluster { connected: false, .. }");
}

/// Answers every request of an https client with a Secret; its certificate says that it is an authority's.
async fn server_that_shows_an_authority(host: &str) -> (String, String, JoinSet<()>) {
    let mut params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key_der = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key_der)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or_default();
            let authorised = String::from_utf8_lossy(&request[..read]).contains("Bearer pod-token");
            let body = if authorised { r#"{"data":{"user":"YWxpY2U="}}"# } else { "{}" };
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            // The client may have left.
            drop(stream.write_all(answer.as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    (format!("https://127.0.0.1:{}", address.port()), certificate.pem(), tasks)
}

async fn user_of(server: &str, authority: &str) -> Result<SecretData, ClusterError> {
    let folder = TempDir::new().unwrap();
    let (authority_path, path) = (folder.path().join("ca.crt"), folder.path().join("config"));
    std::fs::write(&authority_path, authority).unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": authority_path}}],
        "users": [{"name": "u", "user": {"token": "pod-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let cluster = Cluster::of_kubeconfig(path, Duration::from_secs(5));
    // A second call, and one by URL, go the same way.
    cluster.secret("ns", "kafka").await?;
    let by_url = cluster.get_url(&format!("{server}/openid/v1/jwks")).await?;
    assert!(by_url.starts_with(b"{\"data\""), "the URL of the API server itself gets its token");
    cluster.secret("ns", "kafka").await
}

#[tokio::test]
async fn an_api_server_may_show_the_very_certificate_that_the_configuration_trusts() {
    let (server, certificate, _task) = server_that_shows_an_authority("127.0.0.1").await;
    assert_eq!(user_of(&server, &certificate).await.unwrap()["user"], b"alice");
    let (_, other, _other_task) = server_that_shows_an_authority("127.0.0.1").await;
    let error = user_of(&server, &other).await.unwrap_err();
    assert!(matches!(error, ClusterError::Unreachable { .. }), "another certificate: {error}");
    let (elsewhere, certificate, _third_task) = server_that_shows_an_authority("elsewhere.example").await;
    let error = user_of(&elsewhere, &certificate).await.unwrap_err();
    assert!(matches!(error, ClusterError::Unreachable { .. }), "another host: {error}");
}
