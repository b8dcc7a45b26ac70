//! The TLS port: who gets in, and a certificate that is replaced under everybody's feet.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use millrace_ingress::app::Running;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::harness::*;

/// A certificate for `localhost` and its key, as PEM.
pub(crate) struct Pair {
    certificate: String,
    key: String,
}

pub(crate) fn pair() -> Pair {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    Pair { certificate: certificate.pem(), key: key.serialize_pem() }
}

impl Pair {
    /// Replaces both files as the kubelet does: whichever way is looked at, one pair is seen.
    fn mount(&self, directory: &Path) {
        let version = format!("..{}", uuid());
        std::fs::create_dir_all(directory.join(&version)).unwrap();
        std::fs::write(directory.join(&version).join("tls.crt"), &self.certificate).unwrap();
        std::fs::write(directory.join(&version).join("tls.key"), &self.key).unwrap();
        std::os::unix::fs::symlink(&version, directory.join("..data_tmp")).unwrap();
        std::fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
        for name in ["tls.crt", "tls.key"] {
            if !directory.join(name).exists() {
                std::os::unix::fs::symlink(format!("..data/{name}"), directory.join(name)).unwrap();
            }
        }
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

fn uuid() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A client that trusts exactly these certificates.
pub(crate) fn connector(
    trusted: &[&Pair],
    protocols: &[&[u8]],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for pair in trusted {
        roots.add(pair.der()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    // Each handshake shows the certificate in force.
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn connect(connector: &TlsConnector, running: &Running) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(running.tls_address().expect("the TLS port is open")).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

pub(crate) fn harness_with(broker: &Broker, pair: Option<&Pair>) -> Harness {
    let mut harness = Harness::new();
    let directory = harness.path("tls");
    harness.env.insert("MILLRACE_TLS_PATH".to_owned(), directory.display().to_string());
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    if let Some(pair) = pair {
        std::fs::create_dir(&directory).unwrap();
        pair.mount(&directory);
    }
    harness
}

#[tokio::test]
async fn events_over_tls_are_served_like_others() {
    let (broker, pair) = (Broker::with_topic("orders"), pair());
    let harness = harness_with(&broker, Some(&pair));
    let running = harness.ready().await;
    for versions in [[&rustls::version::TLS12], [&rustls::version::TLS13]] {
        let connector = connector(&[&pair], &[], &versions);
        let mut client = Client::over(connect(&connector, &running).await.unwrap());
        assert_eq!(client.ask("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 200);
        assert_eq!(client.ask(event("/ns/name")).await.status, 202);
        assert_eq!(client.ask(event("/unknown")).await.status, 404);
        assert_eq!(client.ask("nonsense\r\n\r\n").await.status, 400);
        client.closed().await;
    }
    // In clear it is still served, and clear text is nothing to the TLS port.
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    let mut confused = Client::connect(running.tls_address().unwrap()).await;
    confused.write(event("/ns/name")).await;
    confused.ended().await;
    assert_eq!(broker.read("orders", 3).len(), 3);
}

#[tokio::test]
async fn http_2_over_tls_is_agreed_upon_only_if_the_settings_say_so() {
    let (broker, pair) = (Broker::with_topic("orders"), pair());
    let harness = harness_with(&broker, Some(&pair));
    let connector = connector(&[&pair], &[b"h2", b"http/1.1"], &[&rustls::version::TLS13]);
    let running = harness.ready().await;
    let stream = connect(&connector, &running).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), None);
    assert_eq!(Client::over(stream).ask(event("/ns/name")).await.status, 202);
    harness.write("config/httpserver.properties", "host=127.0.0.1\nuseAlpn=true\n");
    let stream = until("HTTP/2", async || {
        let stream = connect(&connector, &running).await.unwrap();
        (stream.get_ref().1.alpn_protocol() == Some(b"h2")).then_some(stream)
    })
    .await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    let request = Request::post("https://localhost/ns/name")
        .header("ce-specversion", "1.0")
        .header("ce-id", "1")
        .header("ce-source", "/test")
        .header("ce-type", "t")
        .body(Full::new(Bytes::from_static(b"hello")))
        .unwrap();
    assert_eq!(within("an answer", sender.send_request(request)).await.unwrap().status().as_u16(), 202);
}

#[tokio::test]
async fn a_pair_that_appears_later_opens_the_port_and_one_that_goes_closes_it() {
    let (broker, first) = (Broker::with_topic("orders"), pair());
    let harness = harness_with(&broker, None);
    let running = harness.ready().await;
    assert_eq!(running.tls_address(), None);
    std::fs::create_dir(harness.path("tls")).unwrap();
    first.mount(&harness.path("tls"));
    until("the TLS port", async || running.tls_address()).await;
    let connector = connector(&[&first], &[], &[&rustls::version::TLS13]);
    let mut client = Client::over(connect(&connector, &running).await.unwrap());
    assert_eq!(client.ask(event("/ns/name")).await.status, 202);
    let address = running.tls_address().unwrap();
    std::fs::remove_file(harness.path("tls/tls.key")).unwrap();
    until("the end of the TLS port", async || running.tls_address().is_none().then_some(())).await;
    assert!(TcpStream::connect(address).await.is_err());
    // Who was in stays in.
    assert_eq!(client.ask(event("/ns/name")).await.status, 202);
}

#[tokio::test]
async fn a_pair_that_cannot_be_used_at_start_is_a_problem_and_later_changes_nothing() {
    let (broker, first) = (Broker::with_topic("orders"), pair());
    let harness = harness_with(&broker, Some(&Pair { certificate: first.certificate.clone(), key: pair().key }));
    let settings = millrace_ingress::settings::Settings::read(&harness.env).unwrap();
    let problems = millrace_ingress::app::start(settings).await.unwrap_err();
    let problems = problems.to_string();
    assert!(problems.contains("tls.crt and ") && problems.contains("make no certificate"), "{problems}");
    first.mount(&harness.path("tls"));
    let running = harness.ready().await;
    let connector = connector(&[&first], &[], &[&rustls::version::TLS13]);
    for bad in [Pair { certificate: "half".to_owned(), key: first.key.clone() }, Pair { key: pair().key, ..pair() }] {
        bad.mount(&harness.path("tls"));
        for _ in 0..30 {
            let mut client = Client::over(connect(&connector, &running).await.unwrap());
            assert_eq!(client.ask(event("/ns/name")).await.status, 202);
        }
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_its_handshake_holds_nobody_up_and_is_sent_away() {
    let (broker, pair) = (Broker::with_topic("orders"), pair());
    let harness = harness_with(&broker, Some(&pair));
    harness.write(
        "config/httpserver.properties",
        "host=127.0.0.1\nsslHandshakeTimeout=1500\nsslHandshakeTimeoutUnit=MILLISECONDS\n",
    );
    let running = harness.ready().await;
    let mut silent = Vec::new();
    for number in 0..600 {
        let mut client = Client::connect(running.tls_address().unwrap()).await;
        // Half of them say nothing, half the beginning of a hello.
        if number % 2 == 0 {
            client.write([22, 3, 1, 2]).await;
        }
        silent.push(client);
    }
    let connector = connector(&[&pair], &[], &[&rustls::version::TLS13]);
    let mut client = Client::over(connect(&connector, &running).await.unwrap());
    assert_eq!(client.ask(event("/ns/name")).await.status, 202);
    for mut client in silent {
        client.ended().await;
    }
    let metrics = admin(&running, "/metrics").await;
    assert!(metrics.contains("millrace_ingress_tls_handshake_failures_total 600\n"), "{metrics}");
}

#[tokio::test]
async fn leaving_does_not_wait_for_a_handshake_that_never_ends() {
    let (broker, pair) = (Broker::with_topic("orders"), pair());
    let running = harness_with(&broker, Some(&pair)).ready().await;
    let mut silent = Client::connect(running.tls_address().unwrap()).await;
    let connector = connector(&[&pair], &[], &[&rustls::version::TLS13]);
    let mut client = Client::over(connect(&connector, &running).await.unwrap());
    assert_eq!(client.ask(event("/ns/name")).await.status, 202);
    let begun = std::time::Instant::now();
    assert!(running.drain().await);
    // The handshake's own limit is ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    silent.ended().await;
    client.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_new_certificates_under_load_cost_no_handshake_and_no_connection() {
    const ROUNDS: usize = 20;
    let broker = Broker::with_topic("orders");
    let pairs: Vec<Pair> = std::iter::repeat_with(pair).take(ROUNDS + 1).collect();
    let harness = harness_with(&broker, pairs.first());
    let running = Arc::new(harness.ready().await);
    let trusted: Vec<&Pair> = pairs.iter().collect();
    let connector = connector(&trusted, &[], &[&rustls::version::TLS13, &rustls::version::TLS12]);
    let stop = tokio_util::sync::CancellationToken::new();
    let mut senders = tokio::task::JoinSet::new();
    // Some keep their connection all the time, others take a new one for each event.
    for keeps in [true, true, false, false] {
        let (connector, running, stop) = (connector.clone(), Arc::clone(&running), stop.clone());
        senders.spawn(async move {
            let mut kept = Client::over(connect(&connector, &running).await.unwrap());
            let mut sent = 0;
            while !stop.is_cancelled() {
                if !keeps {
                    kept = Client::over(connect(&connector, &running).await.unwrap());
                }
                assert_eq!(kept.ask(event("/ns/name")).await.status, 202);
                sent += 1;
            }
            sent
        });
    }
    for pair in pairs.iter().skip(1) {
        pair.mount(&harness.path("tls"));
        let begun = std::time::Instant::now();
        until("the new certificate", async || {
            let stream = connect(&connector, &running).await.unwrap();
            let shown = stream.get_ref().1.peer_certificates().unwrap().first().unwrap() == &pair.der();
            shown.then_some(())
        })
        .await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    stop.cancel();
    let sent: usize = senders.join_all().await.into_iter().sum();
    assert!(sent > ROUNDS, "only {sent} events");
    let metrics = admin(&running, "/metrics").await;
    assert!(metrics.contains("millrace_ingress_tls_handshake_failures_total 0\n"), "{metrics}");
}
