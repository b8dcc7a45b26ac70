//! Pushes the registry to a collector at every interval, and once more at the end.
//!
//! Values are cumulative, so a push that fails costs nothing but time: the next one says it all.

use std::time::{Duration, Instant};

use millrace_config::env::OtelEnv;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::encode::{attribute, nanos};
use super::points::{self, Span};
use super::transport::{Signal, Transport};
use crate::clock;
use crate::metrics::Metrics;
use crate::startup::with_causes;
use crate::throttle::Throttle;

const SCOPE: &str = "millrace";
const SERVICE_NAME: &str = "service.name";
/// What a service is called that nobody gave a name, as for the peer.
const UNKNOWN: &str = "unknown_service";
/// A failure that lasts is said that often.
const REMIND: Duration = Duration::from_secs(300);

struct Task {
    transport: Transport,
    resource: Vec<KeyValue>,
    metrics: Metrics,
    start: Duration,
    said: Throttle<String>,
}

/// Starts the task; it ends with one more push after `stop`.
pub(super) fn start(
    transport: Transport,
    interval: Duration,
    otel: &OtelEnv,
    metrics: Metrics,
    tasks: &TaskTracker,
    stop: CancellationToken,
) {
    let start = clock::since_epoch();
    let task = Task { transport, resource: resource(otel), metrics, start, said: Throttle::new(REMIND) };
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                () = stop.cancelled() => true,
                _tick = ticks.tick() => false,
            };
            task.push().await;
            if is_last {
                return;
            }
        }
    });
}

/// Only the variables of OpenTelemetry count here, not `SERVICE_NAME` (spec ingress 8.1).
fn resource(otel: &OtelEnv) -> Vec<KeyValue> {
    let mut attributes = otel.resource_attributes.clone();
    if let Some(name) = &otel.service_name {
        attributes.insert(SERVICE_NAME.to_owned(), name.clone());
    }
    attributes.entry(SERVICE_NAME.to_owned()).or_insert_with(|| UNKNOWN.to_owned());
    attributes.into_iter().map(|(name, value)| attribute(name, value)).collect()
}

impl Task {
    async fn push(&self) {
        let request = self.request().encode_to_vec();
        if let Err(error) = self.transport.send(Signal::Metrics, request).await {
            let error = with_causes(&error);
            if self.said.is_news(error.clone(), Instant::now()) {
                warn!(error, "Metrics not exported");
            }
        }
    }

    fn request(&self) -> ExportMetricsServiceRequest {
        let span = Span { start: nanos(self.start), now: nanos(clock::since_epoch().max(self.start)) };
        let scope = InstrumentationScope { name: SCOPE.to_owned(), ..InstrumentationScope::default() };
        let metrics = points::metrics(&self.metrics.families(), span);
        let scope = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
        let resource = Resource { attributes: self.resource.clone(), ..Resource::default() };
        let resource =
            ResourceMetrics { resource: Some(resource), scope_metrics: vec![scope], ..ResourceMetrics::default() };
        ExportMetricsServiceRequest { resource_metrics: vec![resource] }
    }
}
