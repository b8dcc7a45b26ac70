//! A copy of the objects of one kind that the API server keeps up to date.
//!
//! Holds what the converter keeps and nothing else: managed fields and whatever else nobody reads are dropped on arrival.
//! A watch that breaks leaves the copy as it was; it is filled anew and swapped when the server answers again, so that
//! nobody ever sees half of it. A kind that the server does not have counts as one without objects; every other failure
//! does not, because objects that cannot be seen are not objects that were deleted.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::index::Key;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How late the return of an API server may be noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How a watch is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing has come yet.
    Waiting,
    /// The copy was whole at some time; it may lag, and be older than the server's while that is away.
    Synced,
    /// The server does not have this kind.
    Absent,
    /// The objects could not be read, and never were.
    Failed(String),
}

#[derive(Debug)]
struct State<T> {
    objects: BTreeMap<Key, Arc<T>>,
    phase: Phase,
}

/// The copy; clones share it.
#[derive(Debug)]
pub(crate) struct Store<T>(Arc<Mutex<State<T>>>);

impl<T> Clone for Store<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { objects: BTreeMap::new(), phase: Phase::Waiting })))
    }
}

impl<T> Store<T> {
    /// How the watch is doing.
    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase.clone()
    }

    /// Whether all objects are known.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self.phase(), Phase::Synced | Phase::Absent)
    }

    /// Whether all objects are known and their kind exists.
    pub(crate) fn is_synced(&self) -> bool {
        self.phase() == Phase::Synced
    }

    /// Notes that the objects cannot be read.
    pub(crate) fn fail(&self, reason: String) {
        self.lock().phase = Phase::Failed(reason);
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.lock().objects.get(key).cloned()
    }

    /// All objects, in the order of namespaces and names.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.lock().objects.values().cloned().collect()
    }

    /// All objects with their namespaces and names.
    pub(crate) fn entries(&self) -> BTreeMap<Key, T>
    where
        T: Clone,
    {
        self.lock().objects.iter().map(|(key, object)| (key.clone(), (**object).clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nobody panics while holding it; and if somebody did, every write is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, error: &watcher::Error) {
        let mut state = self.lock();
        match state.phase {
            Phase::Synced if is_absent(error) => state.objects.clear(),
            Phase::Synced => return,
            Phase::Waiting | Phase::Absent | Phase::Failed(_) => {}
        }
        state.phase = if is_absent(error) { Phase::Absent } else { Phase::Failed(text(error)) };
    }
}

/// Which objects to copy, and whom to tell about changes.
#[derive(Debug, Clone)]
pub(crate) struct Watch<K> {
    /// What the logs call it.
    pub(crate) kind: String,
    /// Where the objects are.
    pub(crate) api: Api<K>,
    /// Which of them.
    pub(crate) config: watcher::Config,
    /// Told after every change.
    pub(crate) wake: Arc<Notify>,
}

/// Keeps the store up to date until it is stopped.
pub(crate) async fn follow<K, T>(watch: Watch<K>, store: Store<T>, convert: impl Fn(K) -> T, stop: CancellationToken)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut streaming = true;
    let mut pauses = Pauses::default();
    while !stop.is_cancelled() {
        let config = if streaming { watch.config.clone().streaming_lists() } else { watch.config.clone() };
        let mut stream = pin!(watcher::watcher(watch.api.clone(), config));
        let mut refill = BTreeMap::new();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = stream.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    // A watch that starts anew has not succeeded yet.
                    if !matches!(event, Event::Init) {
                        pauses.failures = 0;
                    }
                    apply(event, &store, &mut refill, &convert);
                    watch.wake.notify_one();
                }
                Some(Err(error)) if streaming && refuses_streaming(&error) => {
                    info!(kind = watch.kind, "The API server has no streaming lists; objects are listed in pages");
                    streaming = false;
                    break;
                }
                Some(Err(error)) => {
                    note(&watch, &store, &error, pauses.failures);
                    let pause = pauses.next();
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep(pause) => {}
                    }
                }
                None => break,
            }
        }
    }
}

fn note<K, T>(watch: &Watch<K>, store: &Store<T>, error: &watcher::Error, failures: u32) {
    let absent = is_absent(error);
    // Each trouble is told when it begins; a kind that is not there is no trouble.
    if failures == 0 && !absent {
        warn!(kind = watch.kind, error = text(error), "Objects cannot be watched; trying again");
    } else {
        debug!(kind = watch.kind, error = text(error), "Objects cannot be watched; trying again");
    }
    store.note(error);
    watch.wake.notify_one();
}

/// Doubling pauses with jitter.
#[derive(Debug, Default)]
struct Pauses {
    failures: u32,
    chance: RandomState,
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        let chance = self.chance.hash_one(self.failures) % 200;
        pause + pause * u32::try_from(chance).unwrap_or_default() / 1000
    }
}

fn apply<K: ResourceExt, T>(
    event: Event<K>,
    store: &Store<T>,
    refill: &mut BTreeMap<Key, Arc<T>>,
    convert: &impl Fn(K) -> T,
) {
    let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    match event {
        Event::Init => refill.clear(),
        Event::InitApply(object) => {
            refill.insert(key(&object), Arc::new(convert(object)));
        }
        Event::InitDone => {
            let mut state = store.lock();
            state.objects = std::mem::take(refill);
            state.phase = Phase::Synced;
        }
        Event::Apply(object) => {
            let (key, object) = (key(&object), Arc::new(convert(object)));
            store.lock().objects.insert(key, object);
        }
        Event::Delete(object) => {
            store.lock().objects.remove(&key(&object));
        }
    }
}

fn status(error: &watcher::Error) -> Option<&kube::core::Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => None,
    }
}

fn is_absent(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| status.code == 404)
}

/// Servers without the feature refuse the field that asks for it; those whose etcd is too old for it say so.
fn refuses_streaming(error: &watcher::Error) -> bool {
    let signs = ["sendInitialEvents", "RequestWatchProgress"];
    status(error).is_some_and(|status| signs.iter().any(|sign| status.message.contains(sign)))
}

fn text(error: &watcher::Error) -> String {
    status(error).map_or_else(|| millrace_runtime::startup::with_causes(error), |status| status.message.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn refusal(code: u16, message: &str) -> watcher::Error {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        watcher::Error::WatchStartFailed(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn only_a_kind_that_is_not_there_counts_as_one_without_objects() {
        let store: Store<()> = Store::default();
        store.note(&refusal(403, "forbidden"));
        assert_eq!((store.phase(), store.is_known()), (Phase::Failed("forbidden".to_owned()), false));
        store.note(&refusal(404, "not found"));
        assert_eq!((store.phase(), store.is_known()), (Phase::Absent, true));
    }

    #[test]
    fn a_copy_that_was_whole_outlives_a_broken_watch() {
        let store: Store<()> = Store::default();
        store.lock().phase = Phase::Synced;
        store.lock().objects.insert(("a".to_owned(), "b".to_owned()), Arc::new(()));
        store.note(&refusal(500, "away"));
        assert_eq!((store.phase(), store.all().len()), (Phase::Synced, 1));
    }

    #[test]
    fn a_server_without_streaming_lists_is_recognised() {
        let forbidden = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList \
                         feature gate is enabled";
        assert!(refuses_streaming(&refusal(422, forbidden)));
        let old_etcd = "a watch stream was requested by the client but the required storage feature \
                        RequestWatchProgress is disabled";
        assert!(refuses_streaming(&refusal(500, old_etcd)));
        assert!(!refuses_streaming(&refusal(422, "something else")));
    }
}
