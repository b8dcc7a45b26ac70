//! Says the same thing once in a while instead of every time, for trouble that lasts.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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

#[cfg(test)]
mod tests {
    use super::*;

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
