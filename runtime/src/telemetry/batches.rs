//! Gathers ended spans and sends them in batches.
//!
//! One task. A batch that cannot be sent is tried a few times and then dropped, with a warning once in a while; spans
//! that come meanwhile wait in the queue up to its bound.

use std::time::{Duration, Instant};

use millrace_config::env::ServiceEnv;
use prometheus::IntCounter;
use prost::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::encode;
use super::span::{Span, Tracer};
use super::transport::{Signal, Transport, TransportError};
use crate::metrics::{Metrics, MetricsError};
use crate::startup::with_causes;
use crate::throttle::Throttle;

/// Spans that wait; more are dropped.
const QUEUE: usize = 8192;
/// The largest batch.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// How often a batch is sent before it is dropped.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// A failure that lasts is said that often.
const REMIND: Duration = Duration::from_secs(60);

const DROPPED: &str = "millrace_spans_dropped_total";

/// Where spans go.
pub(super) enum Target {
    Collector(Transport),
    /// One line for each span.
    Log,
}

struct Task {
    target: Target,
    service: ServiceEnv,
    dropped: IntCounter,
    said: Throttle<String>,
}

/// Starts the task; it ends some time after `stop`, when the queue is empty.
pub(super) fn start(
    target: Target,
    service: &ServiceEnv,
    metrics: &Metrics,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Tracer, MetricsError> {
    let dropped = metrics.counter(DROPPED, "Spans that were not exported.")?;
    let (queue, spans) = mpsc::channel(QUEUE);
    let task = Task { target, service: service.clone(), dropped: dropped.clone(), said: Throttle::new(REMIND) };
    tasks.spawn(task.run(spans, stop.clone()));
    Ok(Tracer { queue, dropped })
}

impl Task {
    async fn run(self, mut spans: mpsc::Receiver<Span>, stop: CancellationToken) {
        let mut batch = Vec::new();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                received = spans.recv_many(&mut batch, BATCH) => if received == 0 { break },
            }
            let gathering = async { while batch.len() < BATCH && spans.recv_many(&mut batch, BATCH).await > 0 {} };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(GATHER) => {}
                () = gathering => {}
            }
            self.send(std::mem::take(&mut batch), &stop).await;
        }
        // What comes after this is dropped by the closed queue, and counted.
        spans.close();
        while spans.recv_many(&mut batch, BATCH).await > 0 {
            self.send(std::mem::take(&mut batch), &stop).await;
        }
    }

    async fn send(&self, batch: Vec<Span>, stop: &CancellationToken) {
        let transport = match &self.target {
            Target::Log => return batch.iter().for_each(log),
            Target::Collector(transport) => transport,
        };
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let request = encode::traces(batch, &self.service).encode_to_vec();
        for attempt in 1..=ATTEMPTS {
            let Err(error) = transport.send(Signal::Traces, request.clone()).await else { return };
            self.say(&error);
            if attempt == ATTEMPTS || !error.may_pass() {
                break;
            }
            tokio::select! {
                // The time that is left is for one more attempt, not for pauses.
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE * attempt) => {}
            }
        }
        self.dropped.inc_by(count);
    }

    fn say(&self, error: &TransportError) {
        let error = with_causes(error);
        if self.said.is_news(error.clone(), Instant::now()) {
            warn!(error, "Spans not exported");
        }
    }
}

fn log(span: &Span) {
    let attributes: std::collections::BTreeMap<_, _> =
        span.attributes.iter().map(|(name, value)| (*name, value)).collect();
    info!(
        name = %span.name,
        kind = ?span.kind,
        trace_id = format!("{:032x}", u128::from_be_bytes(span.context.trace_id)),
        span_id = format!("{:016x}", u64::from_be_bytes(span.context.span_id)),
        parent_id = format!("{:016x}", u64::from_be_bytes(span.parent)),
        elapsed_ms = (span.end.saturating_sub(span.start)).as_secs_f64() * 1000.0,
        error = span.error,
        ?attributes,
        "Span"
    );
}
