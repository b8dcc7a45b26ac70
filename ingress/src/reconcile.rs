//! Keeps routes and producers as the contract and the properties files say, while both change.
//!
//! One thread owns everything here, so nothing is locked. It is woken by the file watcher, by the vault when it has read
//! Secrets, and by itself while something failed that may work later. A bad file changes nothing.
//! Source: spec ingress 3.3 to 3.5.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millrace_config::contract::Contract;
use millrace_config::contract::file::{ContractFile, ContractFileError, Reading};
use millrace_config::properties::file::PropertiesFile;
use millrace_config::properties::http_server::HttpServerSettings;
use millrace_config::properties::{self, Properties};
use millrace_config::snapshot::Snapshot;
use millrace_config::watch::{self, Watch, WatchError, WatchSettings};
use millrace_runtime::event_types::EventTypes;
use millrace_runtime::health::Readiness;
use millrace_runtime::properties::changed;
use millrace_runtime::startup::with_causes;
use tracing::{error, info, warn};

mod lines;
mod targets;
mod vault;

use targets::{Applied, Produce, Targets};
pub(crate) use vault::Reader;
use vault::Vault;

use crate::debug::Report;
use crate::metrics::IngressMetrics;
use crate::producer::Settings as ProducerSettings;
use crate::producer::pool::Pool;
use crate::routes::{Routes, Table};

/// How often something that failed is tried again, as the peer does.
const RETRY: Duration = Duration::from_secs(5);
/// How long files must be quiet before they are read. Mounts are replaced by one renaming, so little is gained by waiting
/// longer, and a new target is unknown meanwhile.
const SETTLE: Duration = Duration::from_millis(10);
/// How long a process that starts may wait for Secrets before it says that it is ready: a pod that is ready should know its
/// targets, but an API server that hangs must not keep those from working that need no Secret.
const FIRST_READING: Duration = Duration::from_secs(2);

/// What the reconciler reads.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) contract: PathBuf,
    pub(crate) producer: (PathBuf, Properties),
    pub(crate) http_server: (PathBuf, Properties),
}

/// What the reconciler writes.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    pub(crate) routes: Routes,
    pub(crate) report: Snapshot<Report>,
    pub(crate) http: Snapshot<HttpServerSettings>,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: IngressMetrics,
    pub(crate) event_types: EventTypes,
}

/// A running reconciler.
#[derive(Debug)]
pub(crate) struct Reconciler {
    stop: Arc<AtomicBool>,
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    // Ends the watching when dropped.
    _watch: Watch,
}

/// Why there is no reconciler.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot watch the contract and properties files")]
    Watch(#[from] WatchError),
    #[error("cannot start the reconciler's thread")]
    Thread(#[source] std::io::Error),
}

impl Reconciler {
    /// Starts watching and reconciling; the first contract is read at once.
    pub(crate) fn start(
        sources: Sources,
        settings: ProducerSettings,
        pool: Pool,
        reader: Reader,
        outputs: Outputs,
    ) -> Result<Self, StartError> {
        // Capacity one: a wake-up that is already waiting covers every later change.
        let (wake, woken) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let read = wake.clone();
        let vault = Vault::new(reader, move || poke_once(&read));
        let paths = [&sources.contract, &sources.producer.0, &sources.http_server.0].map(Clone::clone).to_vec();
        let worker = Worker {
            contract_file: ContractFile::new(&sources.contract),
            producer_file: PropertiesFile::new(sources.producer.0, sources.producer.1),
            http_file: PropertiesFile::new(sources.http_server.0, sources.http_server.1),
            produce: Produce { settings, revision: 0 },
            contract: None,
            targets: Targets::new(pool, vault, outputs.event_types.clone(), outputs.metrics.clone()),
            outputs,
            again: Again::default(),
            first: First::Due,
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("reconcile".to_owned())
            .spawn(move || worker.run(&woken, &stopped))
            .map_err(StartError::Thread)?;
        let poke = wake.clone();
        let settings = WatchSettings { settle: SETTLE, ..WatchSettings::default() };
        let watch = watch::watch(paths, settings, move || poke_once(&poke))?;
        Ok(Self { stop, wake, thread, _watch: watch })
    }

    /// Stops, and lets go of all routes, so that their producers are flushed and closed. Blocks for one reconcile at
    /// most.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        poke_once(&self.wake);
        if self.thread.join().is_err() {
            error!("Reconciler ended in a panic");
        }
    }
}

/// A full channel is a wake-up that waits already; a closed one a reconciler that has ended.
fn poke_once(wake: &SyncSender<()>) {
    match wake.try_send(()) {
        Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
    }
}

struct Worker {
    contract_file: ContractFile,
    producer_file: PropertiesFile,
    http_file: PropertiesFile,
    produce: Produce,
    /// Absent until the first one was read.
    contract: Option<Contract>,
    targets: Targets,
    outputs: Outputs,
    again: Again,
    first: First,
}

/// Why the same contract is applied once more.
#[derive(Clone, Copy, Default)]
struct Again {
    retry: bool,
    reading: bool,
}

/// How far the first contract is.
#[derive(Clone, Copy)]
enum First {
    Due,
    /// Applied, but for what waits for its Secret.
    Reading {
        until: Instant,
    },
    Done,
}

impl Worker {
    fn run(mut self, woken: &Receiver<()>, stop: &AtomicBool) {
        loop {
            let woken = woken.recv_timeout(self.pause());
            if stop.load(Ordering::Acquire) || woken == Err(RecvTimeoutError::Disconnected) {
                self.outputs.routes.publish(Table::default());
                return;
            }
            let is_due = self.again.retry || matches!(self.first, First::Reading { .. }) || self.targets.has_dead();
            if woken.is_ok() || is_due {
                self.look();
            }
        }
    }

    /// How long to wait for a change at most. Nobody tells when a producer dies, so it is never without end.
    fn pause(&self) -> Duration {
        match self.first {
            First::Reading { until } => until.saturating_duration_since(Instant::now()).min(RETRY),
            First::Due | First::Done => RETRY,
        }
    }

    /// Reads all files and applies what is new.
    fn look(&mut self) {
        let again = std::mem::take(&mut self.again);
        self.look_at_http_server();
        let new_settings = self.look_at_producer();
        let new_contract = self.look_at_contract();
        if !(again.retry || again.reading || new_settings || new_contract || self.targets.has_dead()) {
            return;
        }
        let Some(contract) = &self.contract else { return };
        if new_contract {
            lines::begin(contract);
        }
        let Applied { table, report, retry, reading } = self.targets.apply(contract, &self.produce);
        // Everything that routes lead to exists by now.
        self.outputs.routes.publish(table);
        self.outputs.metrics.generation.set(i64::try_from(contract.generation).unwrap_or(i64::MAX));
        if new_contract {
            lines::end(contract, &report);
        }
        self.outputs.report.publish(report);
        self.again = Again { retry, reading };
        self.become_ready(reading);
    }

    /// Once only: draining switches it off for good.
    fn become_ready(&mut self, reading: bool) {
        let now = Instant::now();
        self.first = match self.first {
            First::Done => return,
            First::Due if reading => First::Reading { until: now + FIRST_READING },
            First::Reading { until } if reading && now < until => First::Reading { until },
            First::Due | First::Reading { .. } => {
                self.outputs.readiness.set(true);
                First::Done
            }
        };
    }

    fn look_at_contract(&mut self) -> bool {
        let reading = self.contract_file.read();
        self.outputs.metrics.contract_incomplete.set(self.contract_file.is_incomplete().into());
        match reading {
            Reading::New(mut contract) => {
                if let Some(earlier) = &self.contract {
                    contract.share_unchanged(earlier);
                }
                lines::diff(self.contract.as_ref(), &contract);
                self.contract = Some(contract);
                true
            }
            Reading::Empty if self.contract.is_none() => {
                info!("Contract file is empty: no targets yet");
                self.contract = Some(Contract::default());
                true
            }
            Reading::Empty | Reading::Unchanged => false,
            // The usual start of a new installation: the control plane writes it when the first channel comes.
            Reading::Bad(problem) if problem.is_missing() && self.contract.is_none() => {
                warn!("No contract yet: {} does not exist", self.contract_file.path().display());
                false
            }
            Reading::Bad(problem) => {
                let reason = with_causes(&problem);
                let instead = if self.contract.is_some() { "the previous one stays in force" } else { "there is none" };
                if problem.is_incomplete() {
                    warn!(error = reason, "New contract is not complete yet: {instead}");
                    return false;
                }
                // The peer's levels: a file that is not there may come back, one that is wrong must be written anew.
                match problem {
                    ContractFileError::Read { .. } => {
                        warn!(error = reason, "Error reading the contract file, retrying... {instead}");
                    }
                    ContractFileError::Parse { .. } | ContractFileError::Shards { .. } => {
                        error!(error = reason, "Contract refused, failed to parse from JSON: {instead}");
                    }
                }
                self.outputs.metrics.contract_failures.inc();
                false
            }
        }
    }

    fn look_at_producer(&mut self) -> bool {
        let Some(settings) = changed(&mut self.producer_file, properties::kafka::producer) else { return false };
        let path = self.producer_file.path();
        lines::warn_of(path, &settings.warnings);
        self.produce = Produce { settings, revision: self.produce.revision + 1 };
        info!(path = %path.display(), "Producer properties changed: producers are replaced");
        true
    }

    fn look_at_http_server(&mut self) {
        let Some(settings) = changed(&mut self.http_file, properties::http_server::http_server) else { return };
        let path = self.http_file.path();
        lines::warn_of(path, &settings.warnings);
        self.outputs.http.publish(settings);
        info!(path = %path.display(), "HTTP server properties changed: they count for new connections");
    }
}
