//! The demo's subscriber: four paths with four characters, and a memory of what arrived.
//!
//! Bodies of answers are empty: a subscriber that answers with something that is no event has failed, by the
//! specification of the data plane.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::expect::{Arrivals, Arrived};
use super::objects::{DEAD, FAILING, FLAKY, PLAIN};

/// Events that are remembered; beyond it new ones are answered but not remembered. More than the demo ever sends.
const REMEMBERED: usize = 50_000;
/// Different bodies of one event that are remembered; one more than there should be.
const BODIES: usize = 2;
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// What arrived so far. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Arrivals>>);

impl Memory {
    pub(super) fn lock(&self) -> MutexGuard<'_, Arrivals> {
        // Each change is one statement, so that a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a change to what is known of the event of this request.
    fn note(&self, headers: &HeaderMap, body: &Bytes, change: impl FnOnce(&mut Arrived) -> StatusCode) -> StatusCode {
        let id = headers.get("ce-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()).unwrap_or_default();
        let mut arrivals = self.lock();
        if arrivals.len() >= REMEMBERED && !arrivals.contains_key(&id) {
            return change(&mut Arrived::default());
        }
        let arrived = arrivals.entry(id).or_default();
        let body = String::from_utf8_lossy(body);
        if arrived.bodies.len() < BODIES && !arrived.bodies.iter().any(|known| *known == body) {
            arrived.bodies.push(body.into_owned());
        }
        change(arrived)
    }
}

pub(super) struct Subscriber {
    address: SocketAddr,
    memory: Memory,
    server: JoinHandle<()>,
}

impl Subscriber {
    /// Listens on a free port of the loopback interface until the token is cancelled.
    ///
    /// # Errors
    /// When no port can be opened.
    pub(super) async fn start(stop: CancellationToken) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let memory = Memory::default();
        let router = Router::new()
            .route(PLAIN, post(plain))
            .route(FLAKY, post(flaky))
            .route(FAILING, post(failing))
            .route(DEAD, post(dead))
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(memory.clone());
        let server = TaskTracker::new().spawn(async move {
            // `axum::serve` never fails by itself: it retries accept errors.
            drop(axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await);
        });
        Ok(Self { address, memory, server })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn memory(&self) -> Memory {
        self.memory.clone()
    }

    /// Returns when it has ended after its token was cancelled.
    pub(super) async fn ended(self) {
        // The task cannot panic by itself and is never aborted; in both cases it has ended.
        drop(self.server.await);
    }
}

async fn plain(State(memory): State<Memory>, headers: HeaderMap, body: Bytes) -> StatusCode {
    memory.note(&headers, &body, |arrived| {
        arrived.plain += 1;
        StatusCode::ACCEPTED
    })
}

/// Refuses the first, third, ... request for each event, so that an event posted again by hand fails once again.
async fn flaky(State(memory): State<Memory>, headers: HeaderMap, body: Bytes) -> StatusCode {
    memory.note(&headers, &body, |arrived| {
        if arrived.flaky_refused > arrived.flaky_accepted {
            arrived.flaky_accepted += 1;
            StatusCode::ACCEPTED
        } else {
            arrived.flaky_refused += 1;
            StatusCode::SERVICE_UNAVAILABLE
        }
    })
}

async fn failing(State(memory): State<Memory>, headers: HeaderMap, body: Bytes) -> StatusCode {
    memory.note(&headers, &body, |arrived| {
        arrived.failing += 1;
        StatusCode::INTERNAL_SERVER_ERROR
    })
}

async fn dead(State(memory): State<Memory>, headers: HeaderMap, body: Bytes) -> StatusCode {
    memory.note(&headers, &body, |arrived| {
        arrived.dead += 1;
        arrived.dead_names_destination = headers.contains_key("ce-knativeerrordest");
        StatusCode::ACCEPTED
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn with_subscriber(check: impl AsyncFnOnce(&Subscriber, &reqwest::Client)) {
        let stop = CancellationToken::new();
        let subscriber = Subscriber::start(stop.clone()).await.unwrap();
        check(&subscriber, &reqwest::Client::builder().no_proxy().build().unwrap()).await;
        stop.cancel();
        subscriber.ended().await;
    }

    async fn post(subscriber: &Subscriber, client: &reqwest::Client, path: &str) -> u16 {
        let request = client.post(format!("{}{path}", subscriber.url())).header("ce-id", "a-1").body("{}");
        request.send().await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn each_path_has_its_character() {
        with_subscriber(async |subscriber, client| {
            assert_eq!(post(subscriber, client, PLAIN).await, 202);
            assert_eq!(post(subscriber, client, FLAKY).await, 503);
            assert_eq!(post(subscriber, client, FLAKY).await, 202);
            assert_eq!(post(subscriber, client, FLAKY).await, 503);
            assert_eq!(post(subscriber, client, FAILING).await, 500);
            assert_eq!(post(subscriber, client, DEAD).await, 202);
            let expected = Arrived {
                plain: 1,
                flaky_refused: 2,
                flaky_accepted: 1,
                failing: 1,
                dead: 1,
                dead_names_destination: false,
                bodies: vec!["{}".to_owned()],
            };
            assert_eq!(subscriber.memory().lock()["a-1"], expected);
        })
        .await;
    }
}
