//! `/debug/egresses` on the admin port: what every egress is doing, as JSON.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::watch;

use crate::egress::Status;
use crate::reconcile::Statuses;

/// The dispatcher's own pages.
pub(crate) fn routes(statuses: watch::Receiver<Statuses>) -> Router {
    Router::new().route("/debug/egresses", get(egresses)).with_state(statuses)
}

async fn egresses(State(statuses): State<watch::Receiver<Statuses>>) -> Json<BTreeMap<String, Status>> {
    let statuses = statuses.borrow().clone();
    let running = statuses.into_iter().filter_map(|(uid, status)| Some((uid, status.borrow().clone()?)));
    Json(running.collect())
}
