//! The life of one egress: start, change, retry, stop. One task each, so that no egress waits for another.
//!
//! The task is told what is wanted and works towards it; what is wanted may change at any time, also while it stops. A
//! change that does not concern Kafka swaps the pipeline and leaves the consumer alone (design row 20); any other change
//! drains the old consumer before the new one joins the group, so that the two never overlap.
//! Source: dispatcher spec 1.4 to 1.6, 1.11; defects R2, R3, R7 and R8 there are what this avoids.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_config::contract::credentials::Credentials;
use millrace_config::contract::{Auth, DeliveryOrder, Egress, Resource};
use millrace_config::snapshot::Snapshot;
use serde::Serialize;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::consumer::{ConsumerError, ConsumerHandle, ConsumerSpec};
use crate::debug::without_user;
use crate::metrics::DispatcherMetrics;
use crate::metrics::kafka::STATISTICS_SECONDS;
use crate::partition::Shared;
use crate::pipeline::{Pipeline, PipelineError, PipelineSettings};
use crate::reply::topic::RecordProducer;
use crate::settings::Settings;
use crate::slot::Slots;
use crate::window::Order;

/// Between two tries to start an egress that failed to start.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How long a removed or changed egress may finish what it is sending.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// How long a revoked partition may finish what it is sending. Well below the time after which a group gives up on a
/// member, so that nobody else waits for a slow subscriber.
const REVOKE_WAIT: Duration = Duration::from_secs(3);

/// Kafka's default for the time after which a member that does not poll is thought dead. Ours polls every second, whatever its subscriber
/// does, so neither delivery settings nor `max.poll.records` have to do with it (design row 2).
const POLL_INTERVAL: Duration = Duration::from_secs(300);

/// What an egress is to do.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Run(Arc<Spec>),
    /// Stop for good, finishing what is being sent until then.
    Stop {
        deadline: Instant,
    },
}

impl Wanted {
    /// The egress is no longer in the contract.
    pub(crate) fn removed() -> Self {
        Self::Stop { deadline: Instant::now() + STOP_WAIT }
    }
}

/// Everything an egress is started with.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) resource: Arc<Resource>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) trust_bundles: Arc<[String]>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) producer: Arc<RecordProducer>,
    pub(crate) metrics: DispatcherMetrics,
}

impl Spec {
    /// Whether nothing at all differs.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.same_consumer(other)
            && self.egress == other.egress
            && self.resource.overrides == other.resource.overrides
            && self.resource.reference == other.resource.reference
            && self.trust_bundles == other.trust_bundles
            && Arc::ptr_eq(&self.settings, &other.settings)
    }

    /// Whether a running consumer can stay as it is.
    fn same_consumer(&self, other: &Self) -> bool {
        self.resource.topics == other.resource.topics
            && self.resource.bootstrap_servers == other.resource.bootstrap_servers
            && self.resource.auth == other.resource.auth
            && self.egress.consumer_group == other.egress.consumer_group
            && self.egress.order == other.egress.order
            && self.settings.pipeline.consumer == other.settings.pipeline.consumer
    }

    fn pipeline(&self) -> Result<Pipeline, PipelineError> {
        let settings: &PipelineSettings = &self.settings.pipeline;
        let (producer, metrics) = (Arc::clone(&self.producer), self.metrics.egress(&self.egress));
        Pipeline::build(&self.resource, &self.egress, &self.trust_bundles, settings, producer, metrics)
    }

    fn order(&self) -> Order {
        match self.egress.order {
            DeliveryOrder::Ordered if self.settings.pipeline.consumer.ordered_by_key => Order::Key,
            DeliveryOrder::Ordered => Order::Partition,
            DeliveryOrder::Unordered => Order::Unordered,
        }
    }

    /// The interval is not raised to what a slow subscriber may need, as the peer does: the consumer always polls.
    fn client(&self) -> BTreeMap<String, String> {
        let (servers, group) = (&self.resource.bootstrap_servers, &self.egress.consumer_group);
        let settings = &self.settings.pipeline.consumer;
        let mut client = settings.client_for(servers, &Credentials::plaintext(), group, POLL_INTERVAL);
        client.insert("statistics.interval.ms".to_owned(), (STATISTICS_SECONDS * 1000).to_string());
        client
    }
}

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
    fn new(spec: &Spec, state: &'static str, error: Option<String>, running: Option<&Running>) -> Self {
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
            pipeline: running.map(|running| running.pipeline.clone()),
        }
    }
}

/// Why an egress does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EgressError {
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    #[error("credentials of Secret {secret} are needed, which this version cannot read")]
    Credentials { secret: String },
}

struct Running {
    spec: Arc<Spec>,
    pipeline: Snapshot<Pipeline>,
    consumer: ConsumerHandle,
}

/// Works towards what is wanted until that is to stop. `status` always tells how far it is.
pub(crate) async fn run(mut wanted: watch::Receiver<Wanted>, status: watch::Sender<Option<Status>>) {
    let mut running: Option<Running> = None;
    loop {
        let now = wanted.borrow_and_update().clone();
        let failed = match now {
            Wanted::Run(spec) => advance(&mut running, &spec, &status).await,
            Wanted::Stop { deadline } => {
                stop(&mut running, deadline).await;
                status.send_replace(None);
                // It may have come back in the meantime.
                match wanted.has_changed() {
                    Ok(true) => continue,
                    Ok(false) | Err(_) => return,
                }
            }
        };
        let pause = if failed { RETRY_PAUSE } else { Duration::MAX };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
            () = ended(&mut running) => {
                error!("consumer thread ended by itself; the egress is started again");
                running = None;
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

async fn ended(running: &mut Option<Running>) {
    match running {
        Some(current) => current.consumer.ended().await,
        None => std::future::pending().await,
    }
}

/// Returns whether another try is due.
async fn advance(running: &mut Option<Running>, spec: &Arc<Spec>, status: &watch::Sender<Option<Status>>) -> bool {
    let result = match running.as_mut() {
        Some(current) if current.spec.same(spec) => return false,
        Some(current) if current.spec.same_consumer(spec) => swap(current, spec),
        Some(_) | None => restart(running, spec).await,
    };
    match result {
        Ok(()) => {
            status.send_replace(Some(Status::new(spec, "running", None, running.as_ref())));
            false
        }
        Err(error) => {
            let error = error.to_string();
            let known = status.borrow().as_ref().is_some_and(|last| last.error.as_ref() == Some(&error));
            if !known {
                say_failed(spec, &error);
            }
            // After a change that cannot work the version before it goes on.
            let state = if running.is_some() { "running" } else { "failed" };
            status.send_replace(Some(Status::new(spec, state, Some(error), running.as_ref())));
            true
        }
    }
}

fn say_failed(spec: &Spec, error: &str) {
    warn!(
        egress = %spec.egress.uid,
        subscription = %spec.egress.reference.name,
        consumer_group = %spec.egress.consumer_group,
        error,
        "Egress not started; it is tried again"
    );
}

fn swap(current: &mut Running, spec: &Arc<Spec>) -> Result<(), EgressError> {
    let next = spec.pipeline()?.continuing(&current.pipeline.load());
    current.pipeline.publish(next);
    current.spec = Arc::clone(spec);
    info!(egress = %spec.egress.uid, "Egress changed");
    Ok(())
}

async fn restart(running: &mut Option<Running>, spec: &Arc<Spec>) -> Result<(), EgressError> {
    match &spec.resource.auth {
        Auth::Absent => {}
        Auth::Secret(reference) => return Err(EgressError::Credentials { secret: reference.name.clone() }),
        Auth::Secrets(several) => {
            if let Some(first) = several.secrets.first() {
                return Err(EgressError::Credentials { secret: first.reference.name.clone() });
            }
        }
    }
    // Built first: a change that cannot work leaves what runs in place.
    let pipeline = Snapshot::new(spec.pipeline()?);
    stop(running, Instant::now() + STOP_WAIT).await;
    let settings = &spec.settings.pipeline.consumer;
    let shared = Shared {
        pipeline: pipeline.clone(),
        slots: Slots::new(settings.in_flight_max, settings.in_flight_bytes).with_room(settings.waiting_bytes),
        order: spec.order(),
        commit_metadata: settings.commit_metadata,
    };
    let consumer = ConsumerHandle::start(ConsumerSpec {
        egress: spec.egress.uid.clone(),
        topics: spec.resource.topics.clone(),
        client: spec.client(),
        commit_interval: spec.settings.commit_interval(),
        revoke_wait: REVOKE_WAIT,
        group: spec.egress.consumer_group.clone(),
        batch: settings.max_poll_records,
        shared,
    })
    .await?;
    info!(
        egress = %spec.egress.uid,
        subscription = %spec.egress.reference.name,
        consumer_group = %spec.egress.consumer_group,
        "Egress started"
    );
    *running = Some(Running { spec: Arc::clone(spec), pipeline, consumer });
    Ok(())
}

async fn stop(running: &mut Option<Running>, deadline: Instant) {
    if let Some(current) = running.take() {
        current.consumer.stop(deadline).await;
    }
}
