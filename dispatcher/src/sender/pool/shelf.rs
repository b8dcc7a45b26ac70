//! Connections that nobody uses now, and the keeper that looks after them.
//!
//! The lock is held for a push, a pop or one look at a connection, never across a wait. A connection that was put back
//! is looked at within a tick; from then on its end, or its own time, wakes the keeper.
//! Source: dispatcher spec 9.4 (`keepAlive`, `keepAliveTimeout`, `maxPoolSize`, `poolCleanerPeriod`).

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use millrace_config::properties::http_client::HttpClientSettings;
use tokio::time::{Instant, sleep, timeout};

use super::Open;

/// The shortest and the longest time between two looks.
const TICKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Where unused connections lie.
#[derive(Debug)]
pub(super) struct Shelf {
    lying: Mutex<Lying>,
    /// No more are kept; 0 keeps none.
    max: usize,
    /// A connection that lies here for so long is closed.
    time: Option<Duration>,
    tick: Duration,
}

#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "each is moved twice a request, and has a kilobyte")]
struct Lying {
    /// The last one used comes last.
    connections: Vec<Box<Open>>,
    has_keeper: bool,
}

impl Shelf {
    pub(super) fn new(settings: &HttpClientSettings) -> Self {
        let times = [
            settings.keep_alive_timeout,
            settings.pool_cleaner_period,
            settings.idle_timeout,
            settings.read_idle_timeout,
            settings.write_idle_timeout,
        ];
        let (shortest, longest) = TICKS;
        Self {
            lying: Mutex::default(),
            max: if settings.keep_alive { settings.max_pool_size } else { 0 },
            time: settings.keep_alive_timeout,
            tick: times.into_iter().flatten().min().map_or(longest, |time| time.clamp(shortest, longest)),
        }
    }

    /// The connection that was used last.
    pub(super) fn take(&self) -> Option<Box<Open>> {
        self.lying().connections.pop()
    }

    /// Keeps a connection, if there is room.
    pub(super) fn put(self: &Arc<Self>, mut open: Box<Open>) {
        open.used = Instant::now();
        let mut lying = self.lying();
        if lying.connections.len() >= self.max {
            drop(lying);
            return drop(open);
        }
        lying.connections.push(open);
        if !lying.has_keeper {
            lying.has_keeper = true;
            drop(lying);
            // It ends with the shelf, or when nothing lies there any more.
            TokioExecutor::new().execute(keep(Arc::downgrade(self), self.tick));
        }
    }

    fn lying(&self) -> MutexGuard<'_, Lying> {
        self.lying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what has ended or lain too long; of the others `context` will hear. Whether any is left.
    fn look(&self, context: &mut Context<'_>) -> bool {
        let now = Instant::now();
        let mut index = 0;
        loop {
            let mut lying = self.lying();
            // Others put and take at the end meanwhile: one that is missed is looked at next time.
            let Some(open) = lying.connections.get_mut(index) else {
                lying.has_keeper = !lying.connections.is_empty();
                return lying.has_keeper;
            };
            let over = self.time.is_some_and(|time| now.saturating_duration_since(open.used) >= time);
            if over || open.is_closed(context) {
                let closed = lying.connections.remove(index);
                drop(lying);
                drop(closed);
            } else {
                index += 1;
            }
        }
    }
}

async fn keep(shelf: Weak<Shelf>, tick: Duration) {
    let (pause, _longest) = TICKS;
    loop {
        // A connection wakes the keeper also when it is used again: that is not worth a look each time.
        sleep(pause).await;
        let mut looked = false;
        let woken = poll_fn(|context| match shelf.upgrade() {
            Some(_) if std::mem::replace(&mut looked, true) => Poll::Ready(true),
            Some(shelf) if shelf.look(context) => Poll::Pending,
            Some(_) | None => Poll::Ready(false),
        });
        if let Ok(false) = timeout(tick, woken).await {
            return;
        }
    }
}
