//! `PUT /topics/{name}?partitions=N`: how control, another process, creates topics on the embedded broker.
//!
//! The mock cluster has no admin interface, but whoever owns it can create topics. Listens on the loopback interface
//! only. 201: created. 200: it existed. 400: the request makes no sense, with the reason as text.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::put;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::broker::EmbeddedBroker;

/// Kafka's own limit for a name.
const LONGEST_NAME: usize = 249;
/// Far above what a laptop needs; keeps a typing error from eating the memory.
const MOST_PARTITIONS: i32 = 1000;

/// The running endpoint.
pub(crate) struct BrokerApi {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl BrokerApi {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns when the endpoint has ended after its token was cancelled.
    pub(crate) async fn ended(self) {
        // The task cannot panic by itself and is never aborted; in both cases it has ended, which is all we wait for.
        drop(self.server.await);
    }
}

/// Starts the endpoint on a free port.
///
/// # Errors
/// When no port of the loopback interface can be opened.
pub(crate) async fn start(broker: Arc<EmbeddedBroker>, stop: CancellationToken) -> std::io::Result<BrokerApi> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/topics/{name}", put(create)).with_state(broker);
    let tasks = TaskTracker::new();
    let server = tasks.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        // `axum::serve` never fails by itself: it retries accept errors.
        drop(served);
    });
    Ok(BrokerApi { address, server })
}

async fn create(
    State(broker): State<Arc<EmbeddedBroker>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> (StatusCode, String) {
    let partitions = match checked(&name, query.as_deref()) {
        Ok(partitions) => partitions,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason),
    };
    // Blocks until the cluster's own thread has answered, which takes microseconds.
    match broker.create_topic(&name, partitions) {
        Ok(true) => (StatusCode::CREATED, format!("created {name}\n")),
        Ok(false) => (StatusCode::OK, format!("{name} exists\n")),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}: {:?}\n", std::error::Error::source(&error))),
    }
}

/// The number of partitions, 1 if the query does not say.
fn checked(name: &str, query: Option<&str>) -> Result<i32, String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_legal) || matches!(name, "." | "..") {
        return Err(format!("{name:?} is no topic name: letters, digits, '.', '_' and '-', at most {LONGEST_NAME}\n"));
    }
    let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("partitions="));
    match asked.map(str::parse::<i32>) {
        None => Ok(1),
        Some(Ok(partitions)) if (1..=MOST_PARTITIONS).contains(&partitions) => Ok(partitions),
        Some(_) => Err(format!("partitions must be a number from 1 to {MOST_PARTITIONS}\n")),
    }
}
