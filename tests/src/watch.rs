//! What a process takes while a fault lasts: memory, descriptors and threads, looked at many times a second (I5).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::bench::cpu;

const PACE: Duration = Duration::from_millis(50);

/// What one process took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// Threads.
    pub threads: usize,
    /// Open descriptors.
    pub descriptors: usize,
}

impl Taken {
    /// What a process takes now; nothing when it has ended.
    #[must_use]
    pub fn now(pid: u32) -> Self {
        let (threads, descriptors) = cpu::threads_and_descriptors(pid);
        Self { resident_kib: cpu::resident_kib(pid), threads, descriptors }
    }

    fn most(self, other: Self) -> Self {
        Self {
            resident_kib: self.resident_kib.max(other.resident_kib),
            threads: self.threads.max(other.threads),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

/// Looks at a process until it is stopped.
#[derive(Debug)]
pub struct Watch {
    first: Taken,
    most: Arc<Mutex<Taken>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins now.
    #[must_use]
    pub fn start(pid: u32) -> Self {
        let first = Taken::now(pid);
        let (most, stop) = (Arc::new(Mutex::new(first)), Arc::<AtomicBool>::default());
        let (known, over) = (Arc::clone(&most), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let mut most = known.lock().unwrap_or_else(PoisonError::into_inner);
                *most = most.most(Taken::now(pid));
                drop(most);
                thread::sleep(PACE);
            }
        });
        Self { first, most, stop, thread: Some(thread) }
    }

    /// What it took at the beginning.
    #[must_use]
    pub fn first(&self) -> Taken {
        self.first
    }

    /// The most it has taken of each so far.
    #[must_use]
    pub fn most(&self) -> Taken {
        *self.most.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// I5: memory never grew by more than this since the beginning.
    ///
    /// # Panics
    /// When it did.
    #[track_caller]
    pub fn check_memory(&self, growth_mib: u64) {
        let (first, most) = (self.first(), self.most());
        eprintln!("memory: {} MiB, at most {} MiB", first.resident_kib / 1024, most.resident_kib / 1024);
        assert!(most.resident_kib <= first.resident_kib + growth_mib * 1024, "from {first:?} to {most:?}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
