//! Tells when files may have changed: ConfigMap and Secret mounts, or a directory that a person edits.
//!
//! Directories are watched, not files, and not recursively: a mount is updated by renaming a symbolic link in it, which
//! a watched file does not notice, and a recursive watch reports our own reading. Every event only says "look again":
//! the caller reads and compares, for which there is [`ChangedFile`].
//!
//! One thread of its own for each [`Watch`]. Nothing here reads the files.

mod changed_file;
mod directories;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use changed_file::{ChangedFile, FileState};
use directories::Directories;

/// When to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchSettings {
    /// How long it must be quiet after an event before the callback is called, so that a burst causes one call. While it
    /// is never quiet, the call comes after ten times as long.
    pub settle: Duration,
    /// The callback is called that often even without events, in case one was missed. Zero: never.
    pub reread_every: Duration,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self { settle: Duration::from_millis(50), reread_every: Duration::from_secs(60) }
    }
}

/// Watching could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The operating system gave no watcher; most often there are too many already.
    #[error("cannot watch files")]
    Watcher {
        /// What it said.
        source: notify::Error,
    },
    /// No thread could be started.
    #[error("cannot start the watching thread")]
    Thread {
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Ends its thread when dropped, waiting for a call that is under way.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    wake: Wake,
    thread: Option<JoinHandle<()>>,
}

/// Wakes the thread. It only ever says "look", so one that waits stands for all.
#[derive(Debug, Clone)]
struct Wake(SyncSender<()>);

impl Wake {
    fn wake(&self) {
        match self.0.try_send(()) {
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// Watches files or directories. Of a file, everything in its directory counts. What does not exist yet is waited for.
///
/// `on_change` is called on the watch's thread: once at the start, after every burst of events, and every
/// `reread_every`. It may block; events meanwhile cause one more call.
///
/// # Errors
/// When the operating system has no watcher or no thread to give. A missing path is no error.
pub fn watch(
    paths: Vec<PathBuf>,
    settings: WatchSettings,
    on_change: impl FnMut() + Send + 'static,
) -> Result<Watch, WatchError> {
    let (sender, woken) = sync_channel(1);
    let wake = Wake(sender);
    let directories = Directories::new(paths, wake.clone()).map_err(|source| WatchError::Watcher { source })?;
    let stop = Arc::new(AtomicBool::new(false));
    let watching = Watching { directories, woken, stop: Arc::clone(&stop), settings };
    let thread = thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || watching.run(on_change))
        .map_err(|source| WatchError::Thread { source })?;
    Ok(Watch { stop, wake, thread: Some(thread) })
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake.wake();
        let Some(thread) = self.thread.take() else { return };
        // The callback itself may own the watch; a thread cannot wait for itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("watch ended by a panic in its callback");
        }
    }
}

/// What the thread owns.
struct Watching {
    directories: Directories,
    woken: Receiver<()>,
    stop: Arc<AtomicBool>,
    settings: WatchSettings,
}

impl Watching {
    fn run(mut self, mut on_change: impl FnMut()) {
        self.directories.arm();
        while !self.stopped() {
            on_change();
            self.wait();
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Waits until it is time to call again, or to stop.
    fn wait(&mut self) {
        let every = Some(self.settings.reread_every).filter(|every| !every.is_zero());
        let reread = every.map(|every| Instant::now() + every);
        while !self.stopped() {
            let until_reread = reread.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            if until_reread.is_zero() {
                return;
            }
            let news = match self.woken.recv_timeout(self.directories.check_every().min(until_reread)) {
                Ok(()) => true,
                // A directory that appeared, or is another one than before, is news without an event.
                Err(RecvTimeoutError::Timeout) => self.directories.arm(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if news {
                return self.settle();
            }
        }
    }

    /// Waits until a burst of events is over, but not for ever.
    fn settle(&mut self) {
        let settle = self.settings.settle;
        let deadline = Instant::now() + settle.saturating_mul(10);
        while !self.stopped() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let event = self.woken.recv_timeout(settle.min(remaining)).is_ok();
            if !event || remaining.is_zero() {
                break;
            }
        }
        // The burst may have replaced a directory. Armed before the call, so that nothing after the read goes unnoticed.
        self.directories.arm();
    }
}

#[cfg(test)]
mod tests;
