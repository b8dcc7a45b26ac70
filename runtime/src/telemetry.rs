//! Sends traces and metrics to where config-observability says, off the path of events.
//!
//! Spans go through a bounded queue to one task, which sends them in batches; when the collector is slow or away, spans
//! are dropped and counted, and nothing waits. Metrics are read from the process's registry at every interval. Without
//! an export configured nothing here runs, and there is no [`Tracer`] to ask.
//! Source: spec ingress 8.1 and 8.2, dispatcher 8.1 and 8.2; OpenTelemetry protocol 1.x.

use std::time::Duration;

use millrace_config::env::{OtelEnv, ServiceEnv};
use millrace_config::observability::{MetricsExport, Observability, TracingExport};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

mod batches;
#[cfg(any(test, feature = "testing"))]
pub mod collector;
pub mod context;
mod encode;
mod names;
mod points;
mod pushes;
pub mod span;
mod transport;

pub use context::TraceContext;
pub use span::{Kind, OpenSpan, Tracer};

use transport::{Protocol, Transport};

use crate::metrics::{Metrics, MetricsError};

/// How long the last export may take; one that is answered takes milliseconds.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// No HTTP client could be made.
    #[error("cannot make a client for OTLP")]
    Client(#[from] reqwest::Error),
    /// One of our own counters is there already.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// The exports of this process.
#[derive(Debug)]
pub struct Telemetry {
    tracer: Option<Tracer>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Telemetry {
    /// Starts the exports that are configured; needs a tokio runtime. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When a client or a counter cannot be made.
    pub fn start(
        observability: &Observability,
        service: &ServiceEnv,
        otel: &OtelEnv,
        metrics: &Metrics,
    ) -> Result<Self, TelemetryError> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let target = match &observability.tracing {
            TracingExport::None => None,
            TracingExport::Stdout => Some(batches::Target::Log),
            TracingExport::Grpc(endpoint) => {
                Some(batches::Target::Collector(Transport::new(Protocol::Grpc, endpoint, &otel.headers)?))
            }
            TracingExport::HttpProtobuf(endpoint) => {
                Some(batches::Target::Collector(Transport::new(Protocol::Http, endpoint, &otel.headers)?))
            }
        };
        let tracer = target.map(|target| batches::start(target, service, metrics, &tasks, &stop)).transpose()?;
        if let MetricsExport::OtlpHttp { endpoint, interval } = &observability.metrics {
            let transport = Transport::new(Protocol::Http, endpoint, &otel.headers)?;
            pushes::start(transport, *interval, otel, metrics.clone(), &tasks, stop.clone());
        }
        if !tasks.is_empty() {
            info!(tracing = ?observability.tracing, metrics = ?observability.metrics, "Telemetry is exported");
        }
        tasks.close();
        Ok(Self { tracer, stop, tasks })
    }

    /// Where spans go; `None` when traces are not exported.
    #[must_use]
    pub fn tracer(&self) -> Option<Tracer> {
        self.tracer.clone()
    }

    /// Sends what is left, at most for `limit` and never for long: a collector that does not answer must not hold up the
    /// end of a process whose work is done. Call it when the last work is over.
    pub async fn finish(self, limit: Duration) {
        let limit = limit.min(LAST_EXPORT);
        self.stop.cancel();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            warn!(?limit, "Telemetry was not sent in time");
        }
    }
}

#[cfg(test)]
mod tests;
