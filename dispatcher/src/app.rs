//! The dispatcher process: reads its settings, follows contract and properties, drains on SIGTERM and SIGINT.
//!
//! Start order and health file: dispatcher spec 1.1 and 8.4. Readiness (the health file) comes with the first contract,
//! also an empty one (design row 24), and goes when draining begins.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_config::contract::Contract;
use millrace_config::contract::file::{ContractFile, ContractFileError, Reading};
use millrace_config::env::{DispatcherEnv, ProcessEnv};
use millrace_config::observability::Observability;
use millrace_config::watch::{self, Watch, WatchSettings};
use millrace_runtime::admin::{self, Admin};
use millrace_runtime::build_info;
use millrace_runtime::cluster::Cluster;
use millrace_runtime::drain::{Drain, Signals};
use millrace_runtime::event_types::EventTypes;
use millrace_runtime::health::Readiness;
use millrace_runtime::kafka_tokens::KafkaTokens;
use millrace_runtime::metrics::{Metrics, MetricsError};
use millrace_runtime::secrets::Secrets;
use millrace_runtime::startup::{self, Problems, Usage, with_causes};
use millrace_runtime::telemetry::Telemetry;
use prometheus::IntGauge;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{error, info, warn};

use crate::debug;
use crate::egress::Common;
use crate::metrics::DispatcherMetrics;
use crate::reconcile::Egresses;
use crate::reply::producers::Producers;
use crate::reply_keys::ReplyKeys;
use crate::sender::token::Tokens;
use crate::settings::{Settings, SettingsFiles};

const PROCESS: &str = "millrace-dispatcher";

/// What the separate binary says of itself.
pub const USAGE: Usage = Usage {
    process: PROCESS,
    about: "Delivers the events of Kafka topics to HTTP subscribers.",
    required: DispatcherEnv::REQUIRED,
};

/// How long threads of the runtime may take to end.
const LAST_THREADS: Duration = Duration::from_millis(500);
/// What is left of the drain's time for leaving groups once deliveries had to be cut.
const LEAVING: Duration = Duration::from_secs(3);

/// Runs the dispatcher until a signal. Exit code 0 after a clean drain, 1 when it cannot start.
pub fn main() -> ExitCode {
    startup::run(PROCESS, start)
}

fn start() -> Result<(), Problems> {
    let env = ProcessEnv;
    startup::logging(&env, PROCESS);
    info!(version = build_info::version(), profile = build_info::profile(), "Starting Dispatcher");
    let (env, errors) = DispatcherEnv::read_anyway(&env);
    let mut problems = Problems::new();
    problems.add_all(errors);
    let settings = Settings::read(&env, &mut problems);
    let (Some((settings, files)), true) = (settings, problems.is_empty()) else { return Err(problems) };
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("dispatcher")
        .enable_all()
        .build()?;
    let result = runtime.block_on(Process::run(env, settings, files));
    // Waiting for the runtime's threads, for a moment, keeps them from ending while the process does.
    runtime.shutdown_timeout(LAST_THREADS);
    result
}

struct Process {
    env: DispatcherEnv,
    settings: Arc<Settings>,
    settings_files: SettingsFiles,
    file: ContractFile,
    contract: Option<Contract>,
    egresses: Egresses,
    readiness: Readiness,
    incomplete: IntGauge,
}

impl Process {
    async fn run(env: DispatcherEnv, settings: Settings, files: SettingsFiles) -> Result<(), Problems> {
        let mut signals = Signals::register()?;
        // A container that starts again has the folder of the one before it.
        remove(&env.admin.health_file);
        let drain = Drain::new(env.admin.drain);
        let metrics = Metrics::new();
        metrics.build_info()?;
        let observability = Observability::read(&env.observability)?;
        let telemetry = Telemetry::start(&observability, &env.service, &env.otel, &metrics)?;
        let mut families = DispatcherMetrics::register(&metrics, &env.metrics)?;
        families.tracer = telemetry.tracer();
        let incomplete = families.contract_incomplete.clone();
        let egresses = Egresses::new(common(families, &metrics, &drain, &env)?, drain.clone());
        let readiness = Readiness::new();
        serve_admin(&env, &observability, &metrics, (&readiness, &egresses), &drain).await?;
        let (changed, mut changes) = mpsc::channel(1);
        let _watch = watch_files(&env, changed)?;
        let file = ContractFile::new(&env.contract);
        let settings = Arc::new(settings);
        let contract = None;
        let mut process =
            Self { env, settings, settings_files: files, file, contract, egresses, readiness, incomplete };
        for (variable, reason) in process.env.metrics.without_effect() {
            warn!(variable, reason, "Variable without effect");
        }
        info!("Dispatcher started");
        let signal = loop {
            tokio::select! {
                signal = signals.next() => break signal,
                Some(()) = changes.recv() => process.look(),
            }
        };
        info!(signal, "Running shutdown hook");
        process.leave(&drain, telemetry).await;
        Ok(())
    }

    /// Reads what may have changed, and puts what is new in force.
    fn look(&mut self) {
        self.egresses.revive();
        let settings_changed = self.reread_settings();
        let reading = self.file.read();
        self.incomplete.set(self.file.is_incomplete().into());
        match reading {
            Reading::New(contract) => {
                info!(contract_generation = contract.generation, "Set new contract");
                self.contract = Some(contract);
            }
            Reading::Empty if self.contract.is_none() => self.contract = Some(Contract::default()),
            Reading::Bad(bad) => {
                say_bad(&bad, self.contract.is_some());
                return self.apply_if(settings_changed);
            }
            Reading::Empty | Reading::Unchanged => return self.apply_if(settings_changed),
        }
        self.apply_if(true);
        self.become_ready();
    }

    fn apply_if(&mut self, due: bool) {
        if let Some(contract) = self.contract.as_ref().filter(|_| due) {
            self.egresses.apply(contract, &self.settings);
        }
    }

    /// Bad properties change nothing.
    fn reread_settings(&mut self) -> bool {
        let Some(settings) = self.settings_files.look(&self.settings) else { return false };
        info!("Properties changed");
        self.settings = Arc::new(settings);
        true
    }

    fn become_ready(&self) {
        if self.readiness.get() {
            return;
        }
        self.readiness.set(true);
        if let Err(error) = std::fs::write(&self.env.admin.health_file, b"") {
            warn!(file = %self.env.admin.health_file.display(), %error, "Health file not created");
        }
    }

    async fn leave(self, drain: &Drain, telemetry: Telemetry) {
        self.readiness.set(false);
        remove(&self.env.admin.health_file);
        drain.start();
        let deadline = Instant::now() + drain.deadline.saturating_sub(LEAVING);
        self.egresses.stop(deadline).await;
        drain.finish().await;
        telemetry.finish(drain.remaining()).await;
        info!("Dispatcher stopped");
    }
}

/// The cluster is looked for only when the contract asks for something of it.
fn common(
    families: DispatcherMetrics,
    metrics: &Metrics,
    drain: &Drain,
    env: &DispatcherEnv,
) -> Result<Common, MetricsError> {
    let (cluster, kafka_tokens) = (Cluster::new(), KafkaTokens::new(env.aws.clone(), drain.clone()));
    Ok(Common {
        secrets: Secrets::new(cluster.clone()),
        producers: Producers::new(kafka_tokens.clone()).measured(families.producers.clone()),
        kafka_tokens,
        tokens: Tokens::new(cluster.clone(), drain.clone()),
        reply_keys: ReplyKeys::new(cluster.clone(), &env.system_namespace, drain.clone()),
        event_types: EventTypes::new(cluster, drain.clone(), metrics)?,
        metrics: families,
    })
}

/// A file that is not there yet is how every installation begins.
fn say_bad(bad: &ContractFileError, has_contract: bool) {
    if bad.is_missing() && !has_contract {
        warn!(error = %with_causes(bad), "No contract yet");
    } else if bad.is_incomplete() {
        let instead = if has_contract { "the last one stays in force" } else { "there is none" };
        warn!(error = %with_causes(bad), "New contract is not complete yet; until it is, {instead}");
    } else {
        error!(error = %with_causes(bad), "Contract not usable; the last one stays in force");
    }
}

fn remove(health_file: &Path) {
    if let Err(error) = std::fs::remove_file(health_file)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        warn!(file = %health_file.display(), %error, "Health file not removed");
    }
}

/// One pending look is enough: it reads everything.
fn watch_files(env: &DispatcherEnv, changed: mpsc::Sender<()>) -> Result<Watch, Problems> {
    let paths: Vec<PathBuf> =
        [&env.contract, &env.producer_config, &env.consumer_config, &env.http_client_config].map(PathBuf::clone).into();
    let look = move || match changed.try_send(()) {
        Ok(()) | Err(TrySendError::Full(()) | TrySendError::Closed(())) => {}
    };
    Ok(watch::watch(paths, WatchSettings::default(), look)?)
}

async fn serve_admin(
    env: &DispatcherEnv,
    observability: &Observability,
    metrics: &Metrics,
    (readiness, egresses): (&Readiness, &Egresses),
    drain: &Drain,
) -> Result<(), Problems> {
    for warning in &observability.warnings {
        warn!(path = %env.observability.display(), key = warning.key, reason = warning.reason, "Key without effect");
    }
    for place in admin::listeners(&env.admin, &env.metrics, &observability.metrics) {
        let door = place.open().await?;
        let admin = Admin {
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            routes: debug::routes(egresses.statuses()),
        };
        let ended = drain.token();
        drain.tracker().spawn(async move {
            if let Err(error) = admin::serve(door, admin, &place.metrics_path, ended).await {
                warn!(error = %with_causes(&error), "Admin server ended");
            }
        });
    }
    Ok(())
}
