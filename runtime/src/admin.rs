//! The admin port: metrics, health and what a process wants to show of itself.
//!
//! Never on the path of an event. axum and tower-http are used here because requests are rare; the data port is hyper.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use millrace_config::env::{AdminEnv, MetricsEnv};
use millrace_config::observability::MetricsExport;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::info;

pub use self::door::{Door, Place};
use crate::health::Readiness;
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::tls::CertificateError;

mod door;

/// Where metrics are when nobody says otherwise.
pub const METRICS_PATH: &str = "/metrics";

/// A request that takes longer is answered with 503.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Requests worked on at a time; further ones are answered with 503 at once.
const CONCURRENT_REQUESTS: usize = 32;
/// How long open connections may take to finish once the process leaves.
const CLOSING_LIMIT: Duration = Duration::from_secs(1);

/// What the admin port shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Served at the metrics path.
    pub metrics: Metrics,
    /// Decides between 200 and 503 at `/readyz`.
    pub readiness: Readiness,
    /// The process's own pages, under `/debug/`.
    pub routes: Router,
}

/// Why there is no admin port.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken, not ours, or not an address.
    #[error("cannot listen for admin requests on {address}")]
    Bind {
        /// As configured.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The files of the metrics port make no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS cannot be set up.
    #[error("no TLS for admin requests")]
    Tls(#[source] rustls::Error),
    /// The listener broke.
    #[error("admin server stopped")]
    Serve(#[source] std::io::Error),
}

/// Where a process listens for admin requests: at our own address when one is given, and at the peer's metrics port when
/// that is asked for, with TLS if there are files for it; once if both are the same.
#[must_use]
pub fn listeners(admin: &AdminEnv, metrics: &MetricsEnv, export: &MetricsExport) -> Vec<Place> {
    let own = admin.address.clone().map(|address| Place { address, metrics_path: METRICS_PATH.to_owned(), pem: None });
    let peer = match export {
        MetricsExport::Prometheus { port, path } => Some(Place {
            address: format!("{}:{port}", metrics.host),
            metrics_path: path.clone(),
            pem: metrics.pem.clone(),
        }),
        MetricsExport::None | MetricsExport::OtlpHttp { .. } => None,
    };
    match (own, peer) {
        (Some(own), Some(peer)) if own.address == peer.address => vec![peer],
        (own, peer) => own.into_iter().chain(peer).collect(),
    }
}

/// Listens on `host:port`, in clear; port 0 lets the system choose.
///
/// # Errors
///
/// When the address cannot be resolved or bound.
pub async fn bind(address: &str) -> Result<Door, AdminError> {
    // ":9090" is how Knative's documentation writes "any interface".
    let resolved = match address.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => address.to_owned(),
    };
    // As on the port of events, all addresses are those of IPv6 too, where the machine has any.
    let bound = match resolved.strip_prefix("0.0.0.0:").and_then(|port| port.parse().ok()) {
        None => TcpListener::bind(&resolved).await,
        Some(port) => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(listener),
            Err(_no_ipv6) => TcpListener::bind(&resolved).await,
        },
    };
    bound.map(Door::plain).map_err(|source| AdminError::Bind { address: address.to_owned(), source })
}

/// Serves until `shutdown`, then gives open requests a second. Logs the bound address first.
///
/// `metrics_path` may be any path starting with `/` except those of the health probes.
///
/// # Errors
///
/// When the listener breaks.
pub async fn serve(
    listener: Door,
    admin: Admin,
    metrics_path: &str,
    shutdown: CancellationToken,
) -> Result<(), AdminError> {
    let address: SocketAddr = listener.local_addr().map_err(AdminError::Serve)?;
    info!(address = %address, "Admin server listening");
    let app = router(admin, metrics_path);
    let asked = shutdown.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move { asked.cancelled().await });
    tokio::select! {
        served = server.into_future() => served.map_err(AdminError::Serve),
        () = async { shutdown.cancelled().await; tokio::time::sleep(CLOSING_LIMIT).await } => Ok(()),
    }
}

/// The pages themselves, for tests and for processes that serve them on a port of their own.
pub fn router(admin: Admin, metrics_path: &str) -> Router {
    let metrics_path = if is_usable(metrics_path) { metrics_path } else { METRICS_PATH };
    let permits = Arc::new(Semaphore::new(CONCURRENT_REQUESTS));
    Router::new()
        // Any method, as the peer.
        .route(metrics_path, any(metrics))
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(ready))
        .with_state((admin.metrics, admin.readiness))
        .merge(admin.routes)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_LIMIT))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn_with_state(permits, limit))
}

// axum panics on a path it cannot route, and the path comes from a ConfigMap.
fn is_usable(path: &str) -> bool {
    path.starts_with('/') && !path.contains(['{', '}', '*', ':']) && !matches!(path, "/healthz" | "/readyz")
}

async fn metrics(State((metrics, _)): State<(Metrics, Readiness)>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))], metrics.text()).into_response()
}

async fn ready(State((_, readiness)): State<(Metrics, Readiness)>) -> StatusCode {
    if readiness.get() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn limit(State(permits): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match permits.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[cfg(test)]
mod tests;
