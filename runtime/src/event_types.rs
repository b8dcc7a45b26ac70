//! Creates an `EventType` object for each type of event that passes, where the contract asks for it.
//!
//! Best effort, off every path: whoever has seen an event looks it up in a fixed table of what was asked for lately and
//! queues what is new; one task creates. A full queue drops, and the next event of that type tries again. Nothing here
//! waits, locks or grows, and the table, the queue and the task only exist once a type was seen.
//!
//! Source: ingress spec 9; dispatcher spec 4.6. Instead of listing and watching what exists, as the peer does, the object
//! is created and `AlreadyExists` is as good.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use millrace_config::contract::Reference;
use prometheus::IntCounter;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::cluster::{Cluster, ClusterError, segment};
use crate::drain::Drain;
use crate::metrics::family::OwnerLabels;
use crate::metrics::{CounterFamily, Metrics, MetricsError, Series};
use crate::throttle::Throttle;

const CREATIONS: &str = "millrace_event_types_total";

/// Types that wait to be created; more are dropped.
const QUEUE: usize = 256;
/// The table has this many rows of [`WAYS`] places: 128 KiB. Whoever finds a row full takes the place of another, which
/// is then created once more.
const ROWS: usize = 4096;
const WAYS: usize = 4;
/// What was created is asked for again after this time, because somebody may have deleted it.
const FORGET: Duration = Duration::from_secs(300);
/// After a failure the next creation waits: an API server in trouble, or a missing role, is no reason to ask at full speed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// The same trouble is logged once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// The longest name of an object.
const NAME_LIMIT: usize = 253;

/// What the process knows about types of events. Clones share it.
#[derive(Clone, Debug)]
pub struct EventTypes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    drain: Drain,
    counters: Counters,
    hasher: RandomState,
    started: Instant,
    at_work: OnceLock<AtWork>,
}

#[derive(Debug)]
struct AtWork {
    places: Box<[AtomicU64]>,
    queue: mpsc::Sender<Job>,
}

#[derive(Clone, Debug)]
struct Counters {
    created: Option<IntCounter>,
    existed: Option<IntCounter>,
    failed: Option<IntCounter>,
    dropped: Option<IntCounter>,
    _shown: Arc<Series<IntCounter>>,
}

/// One event, as far as its type is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The object that the event belongs to, such as its channel.
    pub reference: &'a Reference,
    /// The event's `type`.
    pub ty: &'a str,
    /// The event's `source`.
    pub source: &'a str,
    /// The event's `dataschema`.
    pub schema: Option<&'a str>,
}

#[derive(Debug)]
struct Job {
    mark: u64,
    namespace: String,
    object: Value,
}

impl EventTypes {
    /// Starts nothing. Creations end when draining begins.
    ///
    /// # Errors
    ///
    /// When another part of the process has taken the metric's name.
    pub fn new(cluster: Cluster, drain: Drain, metrics: &Metrics) -> Result<Self, MetricsError> {
        let help = "EventType objects asked for, by what came of it.";
        let family: CounterFamily = metrics.family(CREATIONS, help, &["outcome"])?;
        let series = family.series(OwnerLabels::new());
        let counters = Counters {
            created: series.with(&["created"]),
            existed: series.with(&["existed"]),
            failed: series.with(&["failed"]),
            dropped: series.with(&["dropped"]),
            _shown: series,
        };
        let (hasher, started) = (RandomState::new(), Instant::now());
        Ok(Self(Arc::new(Inner { cluster, drain, counters, hasher, started, at_work: OnceLock::new() })))
    }

    /// An event was stored or delivered. Must be called on the runtime; never waits.
    pub fn seen(&self, event: &Sighting<'_>) {
        let at_work = self.0.at_work.get_or_init(|| self.start());
        let mark = self.mark(event);
        let Some(place) = place_for(&at_work.places, mark) else { return };
        let job = Job { mark, namespace: event.reference.namespace.clone(), object: object(event) };
        if at_work.queue.try_send(job).is_err() {
            forget(place, mark);
            count(self.0.counters.dropped.as_ref());
        }
    }

    /// Never zero, which is an empty place. Changes with time, so that what is known is forgotten.
    fn mark(&self, event: &Sighting<'_>) -> u64 {
        let Reference { namespace, name, .. } = event.reference;
        let period = self.0.started.elapsed().as_secs() / FORGET.as_secs();
        self.0.hasher.hash_one((period, namespace, name, event.ty, event.source)).max(1)
    }

    fn start(&self) -> AtWork {
        let (queue, mut jobs) = mpsc::channel::<Job>(QUEUE);
        let (cluster, counters, draining) = (self.0.cluster.clone(), self.0.counters.clone(), self.0.drain.token());
        let weak = Arc::downgrade(&self.0);
        self.0.drain.tracker().spawn(async move {
            let said = Throttle::new(SAY_AGAIN);
            loop {
                let job = tokio::select! {
                    Some(job) = jobs.recv() => job,
                    () = draining.cancelled() => return,
                    else => return,
                };
                let outcome = tokio::select! {
                    outcome = create(&cluster, &job) => outcome,
                    () = draining.cancelled() => return,
                };
                let Err(error) = settle(&counters, &job, outcome) else { continue };
                say_failed(&said, &job, &error);
                if let Some(at_work) = weak.upgrade().as_ref().and_then(|inner| inner.at_work.get()) {
                    at_work.places.iter().for_each(|place| forget(place, job.mark));
                }
                tokio::select! {
                    () = tokio::time::sleep(FAILURE_PAUSE) => {}
                    () = draining.cancelled() => return,
                }
            }
        });
        let places = std::iter::repeat_with(AtomicU64::default).take(ROWS * WAYS).collect();
        AtWork { places, queue }
    }
}

/// Takes a place in the mark's row; `None` when the mark has one already.
fn place_for(places: &[AtomicU64], mark: u64) -> Option<&AtomicU64> {
    let row = usize::try_from(mark % ROWS as u64).unwrap_or_default() * WAYS;
    let row = places.get(row..row + WAYS)?;
    if row.iter().any(|place| place.load(Ordering::Relaxed) == mark) {
        return None;
    }
    let free = row.iter().find(|place| place.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed).is_ok());
    // Which one has to go does not matter, as long as it is not always the same.
    let victim = usize::try_from((mark >> 32) % WAYS as u64).unwrap_or_default();
    free.or_else(|| {
        let place = row.get(victim)?;
        place.store(mark, Ordering::Relaxed);
        Some(place)
    })
}

fn forget(place: &AtomicU64, mark: u64) {
    match place.compare_exchange(mark, 0, Ordering::Relaxed, Ordering::Relaxed) {
        // Another mark may have taken the place: then there is nothing to forget.
        Ok(_) | Err(_) => {}
    }
}

async fn create(cluster: &Cluster, job: &Job) -> Result<(), ClusterError> {
    let namespace = segment(&job.namespace)?;
    let path = format!("/apis/eventing.knative.dev/v1beta2/namespaces/{namespace}/eventtypes");
    cluster.create(&path, &job.object).await.map(|_created| ())
}

fn settle(counters: &Counters, job: &Job, outcome: Result<(), ClusterError>) -> Result<(), ClusterError> {
    match outcome {
        Ok(()) => {
            count(counters.created.as_ref());
            info!(namespace = job.namespace, name = job.name(), "EventType created");
            Ok(())
        }
        Err(ClusterError::AlreadyExists { .. }) => {
            count(counters.existed.as_ref());
            Ok(())
        }
        Err(error) => {
            count(counters.failed.as_ref());
            Err(error)
        }
    }
}

fn say_failed(said: &Throttle<String>, job: &Job, error: &ClusterError) {
    let error = error.to_string();
    if said.is_news(error.clone(), Instant::now()) {
        warn!(namespace = job.namespace, name = job.name(), error, "EventType not created");
    }
}

fn count(counter: Option<&IntCounter>) {
    if let Some(counter) = counter {
        counter.inc();
    }
}

impl Job {
    fn name(&self) -> &str {
        self.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The object to the letter of the spec, so that both planes and the peer make the same one.
fn object(event: &Sighting<'_>) -> Value {
    let Sighting { reference, ty, source, schema } = event;
    let mut spec = json!({
        "type": ty,
        "source": source,
        "reference": {
            "apiVersion": reference.group_version, "kind": reference.kind,
            "name": reference.name, "namespace": reference.namespace,
        },
        "description": "Event Type auto-created by controller",
    });
    if let (Some(schema), Some(spec)) = (schema, spec.as_object_mut()) {
        spec.insert("schema".to_owned(), json!(schema));
    }
    json!({
        "apiVersion": "eventing.knative.dev/v1beta2",
        "kind": "EventType",
        "metadata": {
            "name": object_name(event),
            "namespace": reference.namespace,
            "ownerReferences": [{
                "apiVersion": reference.group_version, "kind": reference.kind,
                "name": reference.name, "uid": reference.uuid,
            }],
        },
        "spec": spec,
    })
}

fn object_name(event: &Sighting<'_>) -> String {
    let Reference { namespace, name, .. } = event.reference;
    let parts = [event.ty, event.source, namespace.as_str(), name.as_str()];
    let digest = parts.iter().fold(Md5::new(), |digest, part| digest.chain_update(part)).finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("et-{name}-{hex}").to_lowercase().chars().take(NAME_LIMIT).collect()
}

#[cfg(test)]
mod tests;
