//! All open connections: one clock for them, one task that ends those whose time is over, one way to drain them.
//!
//! The lock is taken when a connection begins or ends and once a tick, never for a request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_config::properties::http_server::HttpServerSettings;
use millrace_config::snapshot::Snapshot;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};

use super::connection::{Activity, Moment, Signal};

/// Time limits are kept to within one tick; shorter limits make shorter ticks.
const LONGEST_TICK: Duration = Duration::from_secs(1);
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// Open connections.
#[derive(Debug)]
pub(super) struct Registry {
    clock: Arc<Moment>,
    next_id: AtomicU64,
    draining: AtomicBool,
    open: Mutex<HashMap<u64, Arc<Activity>>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            // Not zero, which means "never".
            clock: Arc::new(Moment::new(1)),
            next_id: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            open: Mutex::default(),
        }
    }
}

impl Registry {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Activity>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins.
    pub(super) fn add(&self, settings: &Arc<HttpServerSettings>) -> Arc<Activity> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::new(id, Arc::clone(&self.clock), Arc::clone(settings)));
        self.open().insert(id, Arc::clone(&activity));
        if self.draining.load(Ordering::Acquire) {
            activity.tell(Signal::Drain);
        }
        activity
    }

    /// A connection has ended.
    pub(super) fn remove(&self, activity: &Activity) {
        self.open().remove(&activity.id);
    }

    /// Tells every connection, and every later one, to finish.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        for activity in self.open().values() {
            activity.tell(Signal::Drain);
        }
    }

    /// Keeps the clock and ends connections whose time is over, for ever.
    pub(super) async fn sweep(self: Arc<Self>, settings: Snapshot<HttpServerSettings>, slots: Arc<Semaphore>) {
        let started = Instant::now();
        let offset = self.clock.load(Ordering::Relaxed);
        loop {
            let mut tick = tokio::time::interval(tick(&settings.load()));
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // Some ticks with one interval, then the settings are looked at again.
            for _ in 0..10 {
                tick.tick().await;
                let passed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                let now = offset.saturating_add(passed);
                self.clock.store(now, Ordering::Relaxed);
                let crowded = slots.available_permits() == 0;
                let draining = self.draining.load(Ordering::Acquire);
                for activity in self.open().values() {
                    if activity.is_over(now, crowded) {
                        activity.tell(Signal::Evict);
                    } else if draining {
                        // Again, for those that were given time for their first request.
                        activity.tell(Signal::Drain);
                    }
                }
            }
        }
    }
}

/// A quarter of the shortest limit.
fn tick(settings: &HttpServerSettings) -> Duration {
    let limits =
        [settings.header_timeout, settings.idle_timeout, settings.read_idle_timeout, settings.write_idle_timeout];
    let shortest = limits.into_iter().flatten().min().unwrap_or(LONGEST_TICK * 4);
    (shortest / 4).clamp(SHORTEST_TICK, LONGEST_TICK)
}

#[cfg(test)]
mod tests {
    use millrace_config::properties::Properties;
    use millrace_config::properties::http_server::http_server;

    use super::*;

    fn settings(properties: &[(&str, &str)]) -> HttpServerSettings {
        http_server(&Properties::from_iter(properties.iter().copied())).unwrap()
    }

    #[test]
    fn a_tick_follows_the_shortest_limit_within_bounds() {
        assert_eq!(tick(&settings(&[])), LONGEST_TICK);
        assert_eq!(tick(&settings(&[("idleTimeout", "400"), ("idleTimeoutUnit", "MILLISECONDS")])).as_millis(), 100);
        assert_eq!(tick(&settings(&[("idleTimeout", "1"), ("idleTimeoutUnit", "MILLISECONDS")])), SHORTEST_TICK);
    }

    #[test]
    fn draining_reaches_open_and_later_connections() {
        let registry = Registry::default();
        let settings = Arc::new(settings(&[]));
        let context = std::task::Context::from_waker(std::task::Waker::noop());
        let (early, gone) = (registry.add(&settings), registry.add(&settings));
        registry.remove(&gone);
        registry.drain();
        let late = registry.add(&settings);
        // Both are given time for a first request.
        assert_eq!((early.signal(&context), late.signal(&context)), (Signal::None, Signal::None));
        registry.clock.store(5000, Ordering::Relaxed);
        assert_eq!(early.signal(&context), Signal::Drain);
        assert_eq!(late.signal(&context), Signal::Drain);
        assert_eq!(gone.signal(&context), Signal::None);
    }

    #[tokio::test(start_paused = true)]
    async fn sweeping_ends_a_connection_whose_time_is_over() {
        let registry = Arc::new(Registry::default());
        let settings = Arc::new(settings(&[("idleTimeout", "2")]));
        let activity = registry.add(&settings);
        let snapshot = Snapshot::new(HttpServerSettings::clone(&settings));
        let sweep = Arc::clone(&registry).sweep(snapshot, Arc::new(Semaphore::new(1)));
        let context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(tokio::time::timeout(Duration::from_secs(4), sweep).await.is_err());
        assert_eq!(activity.signal(&context), Signal::Evict);
    }
}
