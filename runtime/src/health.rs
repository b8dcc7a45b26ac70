//! Whether this process wants traffic.
//!
//! Readiness is switched on by whoever applied the first contract and switched off by draining. It says nothing of
//! liveness: a process that answers at all is alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A shared switch. Not ready until set; clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Not ready yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Switches readiness; probes see it with their next request.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// True once something has set it.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_not_ready_until_told_so_and_every_clone_sees_it() {
        let readiness = Readiness::new();
        let seen_elsewhere = readiness.clone();
        assert!(!seen_elsewhere.get());
        readiness.set(true);
        assert!(seen_elsewhere.get());
        readiness.set(false);
        assert!(!seen_elsewhere.get());
    }
}
