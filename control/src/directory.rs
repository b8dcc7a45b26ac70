//! The shell that lives on a folder of YAML files: what `millrace dev` and single machines run.
//!
//! Reads objects, watches their folder, asks the pure core what to do, does it, and writes what the data plane mounts
//! in a cluster, plus `status.json` for people and tools. All decisions are in `reconcile`; this only acts.
//! Deleting a channel's document takes the channel out of the contract and leaves its topic and everything in it alone:
//! a file that is gone for a moment must not cost events. Consumer groups stay, too: a subscription that comes back
//! under its old name goes on where it stopped.

pub(crate) mod documents;
mod folder;
mod last_good;
mod node;
pub mod output;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_config::watch::{self, WatchError, WatchSettings};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use self::documents::Scan;
use self::last_good::LastGood;
use self::output::{Layout, Status};
use crate::api::{Problem, Sourced};
use crate::changes::Changes;
use crate::jobs::{Jobs, Pace};
use crate::metrics::ControlMetrics;
use crate::probe::Prober;
use crate::publish::Publisher;
use crate::reconcile::failure::Failure;
use crate::reconcile::observed::Observed;
use crate::reconcile::{Outcome, Settings, reconcile};
use crate::topics::Topics;

/// How long a burst of changes may last before the folder is read.
const SETTLE: Duration = Duration::from_millis(50);
/// Some file systems report no changes.
const REREAD_EVERY: Duration = Duration::from_secs(30);
/// Pause before the state folder is written again after a failure.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// Why the shell cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The folder with the objects.
    #[error("cannot read the objects folder {path}")]
    Objects {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The folder that is written to.
    #[error("cannot use the state folder {path}")]
    State {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The folder with the objects cannot be watched.
    #[error("cannot watch the objects folder")]
    Watch(#[from] WatchError),
}

/// Where objects come from and where everything goes.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Holds the YAML files.
    pub objects: PathBuf,
    /// Written to.
    pub state: PathBuf,
}

/// Runs until `shutdown`.
///
/// # Errors
/// When a folder cannot be used at the start. Trouble later is logged and tried again.
pub async fn run<T: Topics>(
    folders: Folders,
    settings: Settings,
    topics: T,
    prober: Prober,
    metrics: ControlMetrics,
    shutdown: CancellationToken,
) -> Result<(), DirectoryError> {
    let objects_error = |source| DirectoryError::Objects { path: folders.objects.clone(), source };
    let state_error = |source| DirectoryError::State { path: folders.state.clone(), source };
    std::fs::read_dir(&folders.objects).map_err(objects_error)?;
    let layout = Layout::new(folders.state.clone());
    layout.create().map_err(state_error)?;
    let mut publisher = Publisher::new(layout.contract());
    let published = publisher.current().map_err(state_error)?;

    // One place is enough: a change that comes while one waits is seen by the same reading.
    let (changed, mut changes) = mpsc::channel::<()>(1);
    let watch_settings = WatchSettings { settle: SETTLE, reread_every: REREAD_EVERY };
    let _watch = watch::watch(vec![folders.objects.clone()], watch_settings, move || {
        // Full means that a reading is due anyway; closed means that we are stopping.
        changed.try_send(()).ok();
    })?;
    info!(objects = %folders.objects.display(), state = %folders.state.display(), "Control started");

    let mut shell = Shell {
        folders,
        settings: Arc::new(settings),
        layout,
        publisher,
        jobs: Jobs::new(topics, prober, Pace::default()),
        observed: Observed { published, ..Observed::default() },
        last_good: LastGood::default(),
        objects: Vec::new(),
        folder_problems: Vec::new(),
        changes: Changes::default(),
        write_again: None,
        metrics,
    };
    shell.read().await;
    loop {
        shell.act();
        let due = [shell.jobs.next_due(), shell.write_again].into_iter().flatten().min();
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(()) = changes.recv() => shell.read().await,
            () = shell.jobs.finished(&mut shell.observed) => {}
            () = wait_until(due) => {}
        }
    }
    shell.jobs.stop();
    info!("Control stopped");
    Ok(())
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

struct Shell<T> {
    folders: Folders,
    settings: Arc<Settings>,
    layout: Layout,
    publisher: Publisher,
    jobs: Jobs<T>,
    observed: Observed,
    last_good: LastGood,
    objects: Vec<Sourced>,
    /// About the folder and its documents; those about objects come from the core.
    folder_problems: Vec<Problem>,
    /// What was logged already.
    changes: Changes,
    write_again: Option<Instant>,
    metrics: ControlMetrics,
}

impl<T: Topics> Shell<T> {
    /// Reads the folder. When that fails as a whole, everything stays as it was.
    async fn read(&mut self) {
        self.metrics.readings.inc();
        let folder = self.folders.objects.clone();
        // The runtime must not wait for a disk.
        let scanned = tokio::task::spawn_blocking(move || folder::read(&folder)).await;
        let scan: io::Result<Scan> = scanned.map_err(io::Error::other).and_then(|scan| scan);
        match scan {
            Ok(scan) => (self.objects, self.folder_problems) = self.last_good.accept(scan),
            Err(error) => {
                let file = self.folders.objects.display().to_string();
                let message = format!("the folder cannot be read, everything stays as it was: {error}");
                self.folder_problems = vec![Problem { file, line: None, object: None, field: None, message }];
            }
        }
    }

    /// Brings everything as far as it goes without waiting: files, contract, status, and the start of new attempts.
    fn act(&mut self) {
        self.write_again = None;
        let mut outcome = self.reconcile();
        let fresh = u64::try_from(millrace_runtime::clock::now_millis()).unwrap_or_default();
        let before = (self.observed.published.clone(), self.observed.write_error.take());
        if let Err(error) = self.layout.write_files(&outcome.files) {
            self.failed("Files for the data plane cannot be written", &error);
        }
        match self.publisher.publish(&outcome.contract, fresh) {
            Ok(published) => self.observed.published = published,
            Err(error) => {
                self.failed("Contract cannot be written", &error);
                let reason = format!("Failed to update {}", self.settings.contract_place);
                self.observed.write_error = Some(Failure { reason, message: error.to_string() });
            }
        }
        if before != (self.observed.published.clone(), self.observed.write_error.clone()) {
            if before.0.generation != self.observed.published.generation {
                self.metrics.published.inc();
                info!(generation = self.observed.published.generation, "Contract published");
            }
            // Conditions speak of what is in force now.
            outcome = self.reconcile();
        }
        self.jobs.start(&outcome);
        self.report(&outcome);
    }

    fn reconcile(&mut self) -> Outcome {
        let outcome = reconcile(self.objects.clone(), &self.settings, &self.observed);
        self.observed.forget(&outcome);
        outcome
    }

    fn report(&mut self, outcome: &Outcome) {
        let mut problems = self.folder_problems.clone();
        problems.extend(outcome.problems.iter().cloned());
        problems.sort();
        problems.dedup();
        self.changes.tell(&problems, outcome);
        self.metrics.note(self.observed.published.generation, problems.len(), outcome);
        let status = Status {
            generation: self.observed.published.generation,
            channels: &outcome.channels,
            subscriptions: &outcome.subscriptions,
            problems: &problems,
        };
        if let Err(error) = self.layout.write_status(&status) {
            self.failed("Status cannot be written", &error);
        }
    }

    fn failed(&mut self, what: &'static str, error: &io::Error) {
        self.metrics.write_failures.inc();
        error!(state = %self.folders.state.display(), %error, "{what}");
        self.write_again = Some(Instant::now() + WRITE_AGAIN);
    }
}
