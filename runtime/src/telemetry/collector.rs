//! A stand-in for a collector, for tests of this crate and of those that export (feature `testing`).
//!
//! Takes OTLP over HTTP and over gRPC on one port of 127.0.0.1, keeps what it decoded, and refuses on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

mod decode;

use crate::testing::loopback::Loopback;

/// Longer than any export takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names and values.
pub type Attributes = BTreeMap<String, String>;

/// A span as it arrived. Ids are lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSpan {
    /// Its name.
    pub name: String,
    /// `Server`, `Client`, `Producer`, `Consumer`.
    pub kind: String,
    /// Of the trace.
    pub trace_id: String,
    /// Of the span.
    pub span_id: String,
    /// Of the span that caused it.
    pub parent_id: String,
    /// What is said of it.
    pub attributes: Attributes,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// What is said of the process.
    pub resource: Attributes,
    /// The instrumentation scope.
    pub scope: String,
    /// How long it took.
    pub nanos: u64,
}

/// A value as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenPoint {
    /// Of the metric.
    pub name: String,
    /// Of the metric.
    pub unit: String,
    /// `sum`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What is said of the value.
    pub attributes: Attributes,
    /// A number, or the count of a histogram.
    pub value: f64,
    /// What is said of the process.
    pub resource: Attributes,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    /// Where to.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
}

#[derive(Debug, Default)]
struct Model {
    spans: Vec<SeenSpan>,
    points: Vec<SeenPoint>,
    requests: Vec<SeenRequest>,
    status: Option<u16>,
}

/// A running stand-in; it ends when dropped.
#[derive(Debug)]
pub struct Collector {
    server: Loopback,
    model: Arc<Mutex<Model>>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When the machine has no port or thread left.
    #[must_use]
    pub fn start() -> Self {
        let model = Arc::<Mutex<Model>>::default();
        let server = Loopback::serve(Router::new().fallback(take).with_state(Arc::clone(&model)));
        Self { server, model }
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Everything is refused with this status; `None` ends it.
    pub fn refuse(&self, status: Option<u16>) {
        self.model().status = status;
    }

    /// Waits for this many spans and returns all that are there.
    ///
    /// # Panics
    ///
    /// When they do not come.
    #[must_use]
    pub fn spans(&self, count: usize) -> Vec<SeenSpan> {
        self.until("spans", |model| Some(model.spans.clone()).filter(|spans| spans.len() >= count))
    }

    /// Waits for the first value of a metric that fits, the newest first.
    ///
    /// # Panics
    ///
    /// When it does not come.
    #[must_use]
    pub fn point(&self, name: &str, fits: impl Fn(&SeenPoint) -> bool) -> SeenPoint {
        self.until(name, |model| model.points.iter().rev().find(|point| point.name == name && fits(point)).cloned())
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.model().requests.clone()
    }

    /// Every value so far.
    #[must_use]
    pub fn points(&self) -> Vec<SeenPoint> {
        self.model().points.clone()
    }

    fn until<T>(&self, what: &str, found: impl Fn(&Model) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found(&self.model()) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}, but {:?}", self.model());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(State(model): State<Arc<Mutex<Model>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 * 1024 * 1024).await.expect("the exporter sends whole bodies");
    let is_grpc = parts.headers.get("content-type").is_some_and(|value| value == "application/grpc");
    let message = if is_grpc { body.slice(5..) } else { body };
    let path = parts.uri.path().to_owned();
    let mut model = lock(&model);
    model.requests.push(SeenRequest { path: path.clone(), headers: parts.headers });
    if let Some(status) = model.status {
        return answer(is_grpc, status, "14");
    }
    if path.contains("metrics") {
        let request = ExportMetricsServiceRequest::decode(message).expect("metrics are OTLP");
        model.points.extend(decode::points(request));
    } else {
        let request = ExportTraceServiceRequest::decode(message).expect("traces are OTLP");
        model.spans.extend(decode::spans(request));
    }
    answer(is_grpc, 200, "0")
}

fn answer(is_grpc: bool, status: u16, code: &'static str) -> Response {
    if !is_grpc {
        let status = StatusCode::from_u16(status).expect("the test gives a status");
        return Response::builder().status(status).body(Body::empty()).expect("nothing in it can be wrong");
    }
    let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static(code))]);
    let body = Full::new(axum::body::Bytes::from_static(&[0; 5])).with_trailers(async move { Some(Ok(trailers)) });
    let response = Response::builder().header("content-type", "application/grpc").body(Body::new(body));
    response.expect("nothing in it can be wrong")
}
