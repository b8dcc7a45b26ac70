//! The life of one egress: start, change, retry, stop. One task each, so that no egress waits for another.
//!
//! The task is told what is wanted and works towards it; what is wanted may change at any time, also while it stops. A
//! change that does not concern Kafka swaps the pipeline and leaves the consumer alone (design row 20); any other change
//! drains the old consumer before the new one joins the group, so that the two never overlap. Credentials are read while
//! the old consumer runs; what is wanted may change meanwhile, and the reading is then given up.
//! Source: dispatcher spec 1.4 to 1.6, 1.11; defects R2, R3, R7 and R8 there are what this avoids.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_config::contract::credentials::{Credentials, CredentialsError};
use millrace_config::snapshot::Snapshot;
use millrace_runtime::secrets::SecretsError;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::consumer::{self, ConsumerError, ConsumerHandle, ConsumerSpec};
use crate::partition::Shared;
use crate::pipeline::Pipeline;
use crate::slot::Slots;

mod spec;
mod status;

use spec::SpecError;
pub(crate) use spec::{Common, Spec};
pub(crate) use status::Status;

/// The state of an egress that has a consumer.
pub(crate) const RUNNING: &str = "running";

/// Between two tries to start an egress that failed to start.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How long a removed or changed egress may finish what it is sending.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// How long a revoked partition may finish what it is sending. Well below the time after which a group gives up on a
/// member, so that nobody else waits for a slow subscriber.
const REVOKE_WAIT: Duration = Duration::from_secs(3);

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

/// Why an egress does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EgressError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

struct Running {
    spec: Arc<Spec>,
    credentials: Arc<Credentials>,
    pipeline: Snapshot<Pipeline>,
    consumer: ConsumerHandle,
}

/// How old credentials may be when the version asked for at `asked` is tried again: read anew, but together with the
/// retries of others that are due at about the same time.
#[derive(Clone, Copy)]
struct Retry {
    asked: Instant,
    since: Instant,
}

/// Whether work is left to do.
#[derive(Clone, Copy)]
enum Progress {
    Done,
    /// Another try is due after a pause.
    Failed,
    /// Something else is wanted by now.
    Overtaken,
}

/// Works towards what is wanted until that is to stop. `status` always tells how far it is.
pub(crate) async fn run(mut wanted: watch::Receiver<Wanted>, status: watch::Sender<Option<Status>>) {
    let mut running: Option<Running> = None;
    let mut retry: Option<Retry> = None;
    loop {
        let now = wanted.borrow_and_update().clone();
        let progress = match now {
            Wanted::Run(spec) => {
                let since = retry.filter(|retry| retry.asked == spec.asked).map_or(spec.asked, |retry| retry.since);
                let progress = advance(&mut running, &spec, &status, &mut wanted, since).await;
                retry = Some(Retry { asked: spec.asked, since: Instant::now() + RETRY_PAUSE / 2 });
                progress
            }
            Wanted::Stop { deadline } => {
                status.send_modify(|status| {
                    if let Some(status) = status {
                        status.state = "stopping";
                    }
                });
                stop(&mut running, deadline).await;
                status.send_replace(None);
                retry = None;
                // It may have come back in the meantime.
                match wanted.has_changed() {
                    Ok(true) => continue,
                    Ok(false) | Err(_) => return,
                }
            }
        };
        let pause = match progress {
            Progress::Done => Duration::MAX,
            Progress::Failed => RETRY_PAUSE,
            Progress::Overtaken if wanted.has_changed().is_err() => return,
            Progress::Overtaken => continue,
        };
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

async fn advance(
    running: &mut Option<Running>,
    spec: &Arc<Spec>,
    status: &watch::Sender<Option<Status>>,
    wanted: &mut watch::Receiver<Wanted>,
    since: Instant,
) -> Progress {
    let result = match running.as_mut() {
        Some(current) if current.spec.same(spec) => return Progress::Done,
        Some(current) if current.spec.same_consumer(spec) => swap(current, spec),
        Some(_) | None => {
            if status.borrow().is_none() && spec.resource.auth.secrets().next().is_some() {
                status.send_replace(Some(Status::new(spec, "waits for its Secret", None, None)));
            }
            let read = tokio::select! {
                biased;
                read = credentials(running.as_ref(), spec, since) => read,
                _changed_or_closed = wanted.changed() => return Progress::Overtaken,
            };
            match read {
                Ok(credentials) => restart(running, spec, credentials).await,
                Err(error) => Err(error),
            }
        }
    };
    match result {
        Ok(()) => {
            status.send_replace(Some(Status::new(spec, RUNNING, None, pipeline_of(running))));
            Progress::Done
        }
        Err(error) => {
            let error = error.to_string();
            let known = status.borrow().as_ref().is_some_and(|last| last.error.as_ref() == Some(&error));
            if !known {
                say_failed(spec, &error);
            }
            // After a change that cannot work the version before it goes on.
            let state = if running.is_some() { RUNNING } else { "failed" };
            status.send_replace(Some(Status::new(spec, state, Some(error), pipeline_of(running))));
            Progress::Failed
        }
    }
}

fn pipeline_of(running: &Option<Running>) -> Option<Snapshot<Pipeline>> {
    running.as_ref().map(|running| running.pipeline.clone())
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
    let next = spec.pipeline(&current.credentials)?.continuing(&current.pipeline.load());
    current.pipeline.publish(next);
    current.spec = Arc::clone(spec);
    info!(egress = %spec.egress.uid, "Egress changed");
    Ok(())
}

/// Those of the version that runs, or of a reading that began at `since` or later. Dropping the future is safe.
async fn credentials(running: Option<&Running>, spec: &Spec, since: Instant) -> Result<Arc<Credentials>, EgressError> {
    if let Some(current) = running.filter(|current| spec.same_credentials(&current.spec)) {
        return Ok(Arc::clone(&current.credentials));
    }
    Ok(spec.common.secrets.credentials(&spec.resource.auth, since).await?)
}

async fn restart(
    running: &mut Option<Running>,
    spec: &Arc<Spec>,
    credentials: Arc<Credentials>,
) -> Result<(), EgressError> {
    // Built first: a change that cannot work leaves what runs in place.
    let (pipeline, client) = (Snapshot::new(spec.pipeline(&credentials)?), spec.client(&credentials));
    let tokens = spec.tokens(&credentials)?;
    if running.as_ref().is_some_and(|current| current.credentials != credentials) {
        // A certificate or key that is none shows only now, and what runs must not be stopped for it.
        consumer::check(client.clone()).await?;
    }
    stop(running, Instant::now() + STOP_WAIT).await;
    let settings = &spec.settings.pipeline.consumer;
    let shared = Shared {
        pipeline: pipeline.clone(),
        slots: Slots::new(settings.in_flight_max, settings.in_flight_bytes, settings.waiting_bytes),
        order: spec.order(),
        commit_metadata: settings.commit_metadata,
    };
    let consumer = ConsumerHandle::start(ConsumerSpec {
        egress: spec.egress.uid.clone(),
        topics: spec.resource.topics.clone(),
        client,
        tokens,
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
    *running = Some(Running { spec: Arc::clone(spec), credentials, pipeline, consumer });
    Ok(())
}

async fn stop(running: &mut Option<Running>, deadline: Instant) {
    if let Some(current) = running.take() {
        current.consumer.stop(deadline).await;
    }
}
