//! The admin port over a loopback socket.

use std::collections::BTreeMap;

use millrace_config::env::DispatcherEnv;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::*;

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    metrics: Metrics,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

async fn start(metrics_path: &'static str) -> Running {
    let (readiness, metrics, shutdown) = (Readiness::new(), Metrics::new(), CancellationToken::new());
    let routes = Router::new().route("/debug/hello", get(|| async { "hello" }));
    let admin = Admin { metrics: metrics.clone(), readiness: readiness.clone(), routes };
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    let stop = shutdown.clone();
    tasks.spawn(async move { serve(listener, admin, metrics_path, stop).await.unwrap() });
    Running { address, readiness, metrics, shutdown, tasks }
}

async fn fetch(address: SocketAddr, path: &str) -> String {
    ask(address, "GET", path).await
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_is_always_good_and_readiness_follows_the_switch() {
    let running = start(METRICS_PATH).await;
    assert!(fetch(running.address, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(fetch(running.address, "/readyz").await.starts_with("HTTP/1.1 503"));
    running.readiness.set(true);
    assert!(fetch(running.address, "/readyz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn metrics_are_at_the_configured_path_in_the_text_format() {
    let running = start("/prometheus").await;
    running.metrics.counter("seen_total", "Seen.").unwrap().inc();
    let answer = fetch(running.address, "/prometheus").await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    assert!(answer.contains("seen_total 1\n"));
    assert!(ask(running.address, "POST", "/prometheus").await.contains("seen_total 1\n"), "any method, as the peer");
    assert!(fetch(running.address, "/metrics").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_path_that_cannot_be_routed_falls_back_to_the_usual_one() {
    let running = start("/{metrics").await;
    assert!(fetch(running.address, "/metrics").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_process_shows_its_own_pages_and_stops_when_asked() {
    let running = start(METRICS_PATH).await;
    assert!(fetch(running.address, "/debug/hello").await.ends_with("hello"));
    running.shutdown.cancel();
    running.tasks.close();
    tokio::time::timeout(Duration::from_secs(5), running.tasks.wait()).await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_reported_with_the_address() {
    let running = start(METRICS_PATH).await;
    let error = bind(&running.address.to_string()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen for admin requests on {}", running.address));
}

#[tokio::test]
async fn metrics_are_served_over_tls_when_there_are_files_for_it_and_a_silent_client_delays_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = ["m.crt", "m.key"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], signed.cert.pem()).unwrap();
    std::fs::write(&files[1], signed.signing_key.serialize_pem()).unwrap();
    let env = DispatcherEnv::read_anyway(&BTreeMap::new()).0;
    let pem = Some((files[0].clone(), files[1].clone()));
    let metrics = MetricsEnv { pem, host: "127.0.0.1".to_owned(), ..env.metrics };
    let export = MetricsExport::Prometheus { port: 0, path: "/m".to_owned() };
    let places = listeners(&env.admin, &metrics, &export);
    let door = places[0].open().await.unwrap();
    let address = door.local_addr().unwrap();
    let shown = Admin { metrics: Metrics::new(), readiness: Readiness::new(), routes: Router::new() };
    let tasks = TaskTracker::new();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tasks.spawn(async move { serve(door, shown, "/m", stop).await.unwrap() });
    let _silent = TcpStream::connect(address).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.write_all(b"GET /m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    shutdown.cancel();
    std::fs::write(&files[1], "no key").unwrap();
    assert!(places[0].open().await.err().unwrap().to_string().contains("m.key"));
}
