//! `/debug/egresses` on the admin port: what every egress is doing, as JSON.
//!
//! No payload, no header and no token is in it, and no password that a URL may carry.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::watch;

use crate::egress::{RUNNING, Status};
use crate::live::{KafkaError, LastError};
use crate::metrics::Role;
use crate::metrics::kafka::Lag;
use crate::pipeline::{Pipeline, ReplyRoute};
use crate::pressure::View;
use crate::reconcile::Statuses;
use crate::route::Route;

/// The dispatcher's own pages.
pub(crate) fn routes(statuses: watch::Receiver<Statuses>) -> Router {
    Router::new().route("/debug/egresses", get(egresses)).with_state(statuses)
}

async fn egresses(State(statuses): State<watch::Receiver<Statuses>>) -> Json<BTreeMap<String, Page>> {
    let statuses = statuses.borrow().clone();
    let pages = statuses.into_iter().filter_map(|(uid, status)| Some((uid, Page::of(status.borrow().clone()?))));
    Json(pages.collect())
}

/// One egress.
#[derive(Debug, Serialize)]
struct Page {
    #[serde(flatten)]
    status: Status,
    #[serde(flatten)]
    running: Option<Running>,
}

/// What an egress that has been started is doing now.
#[derive(Debug, Serialize)]
struct Running {
    assigned_partitions: usize,
    /// By role.
    targets: BTreeMap<&'static str, Target>,
    /// Records behind, by partition; as of the last statistics of the client.
    lag: Vec<Lag>,
    /// What the Kafka client complained about, until partitions are assigned; absent when nothing.
    kafka_error: Option<KafkaError>,
    last_error: Option<LastError>,
    /// Records that wait for an attempt without being in flight.
    parked_records: usize,
    /// Milliseconds since 1970.
    next_retry_ms: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Target {
    url: String,
    in_flight: i64,
    #[serde(flatten)]
    pressure: View,
}

impl Page {
    fn of(mut status: Status) -> Self {
        let running = status.pipeline.as_ref().map(|pipeline| Running::of(&pipeline.load()));
        if running.as_ref().is_some_and(Running::waits_for_kafka) && status.state == RUNNING {
            status.state = "waits for Kafka";
        }
        Self { status, running }
    }
}

impl Running {
    /// It has nothing to read, and the client says why: no such topic, no right to read it, no broker.
    fn waits_for_kafka(&self) -> bool {
        self.assigned_partitions == 0 && self.kafka_error.is_some()
    }

    fn of(pipeline: &Pipeline) -> Self {
        let target = |role: Role, route: &Route| {
            let in_flight = pipeline.metrics.in_flight_now(role);
            (role.as_str(), Target { url: route.text.clone(), in_flight, pressure: route.pressure.view() })
        };
        let reply = match &pipeline.reply {
            ReplyRoute::ToUrl(route) => Some(target(Role::Reply, route)),
            ReplyRoute::Discard | ReplyRoute::ToTopic(_) => None,
        };
        let dead_letter = pipeline.dead_letter.as_ref().map(|route| target(Role::DeadLetterSink, route));
        Self {
            assigned_partitions: pipeline.live.assigned(),
            targets: [Some(target(Role::Subscriber, &pipeline.subscriber)), dead_letter, reply]
                .into_iter()
                .flatten()
                .collect(),
            lag: pipeline.live.lag(),
            kafka_error: pipeline.live.kafka_error(),
            last_error: pipeline.live.last_error(),
            parked_records: pipeline.live.parked(),
            next_retry_ms: pipeline.live.next_retry_ms(),
        }
    }
}

#[cfg(test)]
mod tests;
