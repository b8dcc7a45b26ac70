//! Says the same thing once in a while instead of every time, for trouble that lasts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

/// Remembers what was said. For rare things only: it is a lock and a list.
#[derive(Debug)]
pub struct Throttle<K> {
    every: Duration,
    said: Mutex<Vec<(K, Instant)>>,
}

impl<K: PartialEq> Throttle<K> {
    /// Each thing may be said once in `every`.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self { every, said: Mutex::default() }
    }

    /// Whether `what` is news at `now`; it then counts as said.
    pub fn is_news(&self, what: K, now: Instant) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|(_, at)| now.saturating_duration_since(*at) < self.every);
        let is_news = said.iter().all(|(known, _)| *known != what);
        if is_news {
            said.push((what, now));
        }
        is_news
    }
}

/// One line a second, without a lock: for what happens to single events.
#[derive(Debug, Default)]
pub struct EverySecond {
    second: AtomicU64,
    unsaid: AtomicU64,
}

impl EverySecond {
    /// How many were left unsaid, when it is time to speak.
    pub fn turn(&self) -> Option<u64> {
        self.turn_at(clock::since_epoch().as_secs())
    }

    fn turn_at(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Ordering::Relaxed) == second {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_tells_how_many_were_left_out() {
        let lines = EverySecond::default();
        assert_eq!(lines.turn_at(5), Some(0));
        assert_eq!((lines.turn_at(5), lines.turn_at(5)), (None, None));
        assert_eq!(lines.turn_at(6), Some(2));
        assert_eq!(lines.turn_at(7), Some(0));
    }

    #[test]
    fn lasting_trouble_is_said_once_in_a_while_for_each_kind() {
        let every = Duration::from_secs(30);
        let (throttle, start) = (Throttle::new(every), Instant::now());
        assert!(throttle.is_news("down", start));
        assert!(throttle.is_news("refused", start));
        assert!(!throttle.is_news("down", start + every / 2));
        assert!(throttle.is_news("down", start + every));
    }
}
