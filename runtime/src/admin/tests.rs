//! The admin port over a loopback socket.

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
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
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
