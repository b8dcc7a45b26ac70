//! Which servers are trusted over TLS, and what one attempt may cost.

mod http2;
mod wire;

use std::sync::Arc;

use http::StatusCode;
use millrace_config::properties::{grammar, http_client};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, crypto};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers every connection with the same bytes, over TLS with a certificate of its own or in clear.
struct Server {
    port: u16,
    certificate: String,
    task: JoinHandle<()>,
}

impl Server {
    async fn tls(certificate_host: &str) -> Self {
        Self::tls_with(rcgen::CertificateParams::new([certificate_host.to_owned()]).unwrap()).await
    }

    /// Shows a certificate that says it is an authority's, as those of `openssl req -x509` do.
    async fn tls_as_authority(certificate_host: &str) -> Self {
        let mut params = rcgen::CertificateParams::new([certificate_host.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self::tls_with(params).await
    }

    async fn tls_with(params: rcgen::CertificateParams) -> Self {
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(Some(acceptor), cert.pem(), b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()).await
    }

    async fn plain(answer: impl Into<Vec<u8>>) -> Self {
        Self::start(None, String::new(), answer.into()).await
    }

    async fn start(acceptor: Option<TlsAcceptor>, certificate: String, answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        #[expect(clippy::disallowed_methods, reason = "ended by Drop")]
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                match &acceptor {
                    None => answer_once(&mut stream, &answer).await,
                    Some(acceptor) => {
                        if let Ok(mut stream) = acceptor.accept(stream).await {
                            answer_once(&mut stream, &answer).await;
                        }
                    }
                }
            }
        });
        Self { port, certificate, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer_once(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), answer: &[u8]) {
    let mut request = [0; 4096];
    if stream.read(&mut request).await.is_ok() {
        // The client may have left already, which is what some tests are about.
        drop(stream.write_all(answer).await);
        drop(stream.shutdown().await);
    }
}

async fn attempt(url: String, properties: &str, bundle: Option<&str>) -> Result<Answer, Failure> {
    attempt_for(AnswerBody::Wanted, url, properties, bundle).await
}

async fn attempt_for(
    answer: AnswerBody,
    url: String,
    properties: &str,
    bundle: Option<&str>,
) -> Result<Answer, Failure> {
    let target: Uri = url.parse().unwrap();
    let settings = http_client::http_client(&grammar::parse(properties.as_bytes()).unwrap()).unwrap();
    let roots = TrustedRoots { bundles: bundle.into_iter().map(str::to_owned).collect() };
    let sender = Sender::new(&target, &settings, &roots).unwrap();
    let connection = sender.connection().await.unwrap();
    connection.attempt(Outgoing { headers: HeaderMap::new(), body: Bytes::new(), answer }, TIMEOUT).await
}

#[track_caller]
fn check_refused(result: Result<Answer, Failure>) {
    match result {
        Err(failure @ Failure::Connect(_)) => assert!(failure.retryable()),
        other => panic!("the certificate was accepted or failed otherwise: {other:?}"),
    }
}

#[tokio::test]
async fn a_subscriber_is_trusted_by_the_bundle_of_the_contract() {
    let server = Server::tls("localhost").await;
    let url = format!("https://localhost:{}/", server.port);
    let answer = attempt(url.clone(), "", Some(&server.certificate)).await.unwrap();
    assert_eq!(answer.status, 204);
    check_refused(attempt(url, "", None).await);
}

#[tokio::test]
async fn a_certificate_of_the_contract_is_trusted_as_it_is_for_its_own_host_only() {
    let server = Server::tls_as_authority("localhost").await;
    let url = format!("https://localhost:{}/", server.port);
    assert_eq!(attempt(url.clone(), "", Some(&server.certificate)).await.unwrap().status, 204);
    check_refused(attempt(url.clone(), "", None).await);
    // Another one of the same name is not the same.
    let other = Server::tls_as_authority("localhost").await;
    check_refused(attempt(url, "", Some(&other.certificate)).await);
    let elsewhere = Server::tls_as_authority("elsewhere.example").await;
    let url = format!("https://localhost:{}/", elsewhere.port);
    check_refused(attempt(url.clone(), "", Some(&elsewhere.certificate)).await);
    let answer = attempt(url, "verifyHost=false", Some(&elsewhere.certificate)).await.unwrap();
    assert_eq!(answer.status, 204);
    let mut expired = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    expired.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let expired = Server::tls_with(expired).await;
    check_refused(attempt(format!("https://localhost:{}/", expired.port), "", Some(&expired.certificate)).await);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused_unless_the_operator_says_so() {
    let server = Server::tls("elsewhere.example").await;
    let url = format!("https://localhost:{}/", server.port);
    check_refused(attempt(url.clone(), "", Some(&server.certificate)).await);
    let answer = attempt(url.clone(), "verifyHost=false", Some(&server.certificate)).await.unwrap();
    assert_eq!(answer.status, 204);
    check_refused(attempt(url, "verifyHost=false", None).await);
}

#[tokio::test]
async fn trust_all_accepts_any_certificate() {
    let server = Server::tls("elsewhere.example").await;
    let answer = attempt(format!("https://localhost:{}/", server.port), "trustAll=true", None).await.unwrap();
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn a_bundle_that_holds_no_certificate_is_named() {
    let settings = http_client::http_client(&grammar::parse(b"").unwrap()).unwrap();
    let roots = TrustedRoots { bundles: vec!["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into()] };
    assert!(Sender::new(&Uri::from_static("https://localhost/"), &settings, &roots).is_err());
    assert!(Sender::new(&Uri::from_static("http://localhost/"), &settings, &roots).is_ok());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = Server::plain("HTTP/1.1 303 See Other\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
    let failure = attempt(format!("http://127.0.0.1:{}/", server.port), "", None).await.unwrap_err();
    assert_eq!(failure.status(), Some(StatusCode::SEE_OTHER));
    assert!(!failure.retryable());
}

#[tokio::test]
async fn an_answer_longer_than_the_bound_fails_and_is_not_read_on() {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n".to_vec();
    answer.resize(3_000_000, b'x');
    let server = Server::plain(answer).await;
    let failure = attempt(format!("http://127.0.0.1:{}/", server.port), "", None).await.unwrap_err();
    assert!(matches!(failure, Failure::AnswerTooLarge { .. }), "{failure}");
    let url = format!("http://127.0.0.1:{}/", server.port);
    let ignored = attempt_for(AnswerBody::Ignored, url, "", None).await.unwrap();
    assert_eq!((ignored.status, ignored.body.len()), (StatusCode::OK, 0), "nobody wanted to know");
}

#[tokio::test]
async fn an_answer_may_have_many_short_headers() {
    let mut answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_owned();
    for number in 0..300 {
        answer.push_str(&format!("x-{number}: some value\r\n"));
    }
    answer.push_str("\r\n");
    let server = Server::plain(answer).await;
    let answer = attempt(format!("http://127.0.0.1:{}/", server.port), "", None).await.unwrap();
    assert_eq!(answer.headers.len(), 301);
}

#[tokio::test]
async fn an_answer_that_ends_too_early_is_a_transport_failure() {
    for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "HTTP/1.1 20", "nonsense\r\n\r\n", ""] {
        let server = Server::plain(answer).await;
        let failure = attempt(format!("http://127.0.0.1:{}/", server.port), "", None).await.unwrap_err();
        assert!(matches!(failure, Failure::Transport(_)), "{answer:?}: {failure}");
        assert!(failure.retryable());
    }
}

#[tokio::test]
async fn nobody_listening_is_a_connect_failure() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    check_refused(attempt(format!("http://127.0.0.1:{port}/"), "", None).await);
}
