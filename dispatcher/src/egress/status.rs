//! What an egress shows of itself at `/debug/egresses`. Names and settings only, never credentials.

use millrace_config::snapshot::Snapshot;
use serde::Serialize;

use super::Spec;
use crate::pipeline::Pipeline;
use crate::route::without_user;
use crate::window::Order;

/// What an egress is doing, for `/debug/egresses`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) state: &'static str,
    /// Why it is not running.
    pub(crate) error: Option<String>,
    pub(crate) consumer_group: String,
    pub(crate) topics: Vec<String>,
    pub(crate) destination: String,
    pub(crate) order: &'static str,
    pub(crate) subscription: String,
    /// What it delivers with, once it has been started.
    #[serde(skip)]
    pub(crate) pipeline: Option<Snapshot<Pipeline>>,
}

impl Status {
    pub(crate) fn new(
        spec: &Spec,
        state: &'static str,
        error: Option<String>,
        pipeline: Option<Snapshot<Pipeline>>,
    ) -> Self {
        Self {
            state,
            error,
            consumer_group: spec.egress.consumer_group.clone(),
            topics: spec.resource.topics.clone(),
            destination: without_user(&spec.egress.destination.text),
            order: match spec.order() {
                Order::Partition => "ordered",
                Order::Key => "ordered by key",
                Order::Unordered => "unordered",
            },
            subscription: spec.egress.reference.name.clone(),
            pipeline,
        }
    }
}
