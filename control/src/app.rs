//! The process: command line, environment, logs, signals, exit code.
//!
//! Wires the shell together and decides nothing else.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use millrace_config::env::{ControlEnv, ProcessEnv};
use millrace_runtime::admin::{self, Admin};
use millrace_runtime::drain::{Drain, Signals};
use millrace_runtime::health::Readiness;
use millrace_runtime::logging;
use millrace_runtime::metrics::Metrics;
use millrace_runtime::startup::{self, Problems};
use reqwest::Url;
use tracing::{error, info};

use crate::addressable::Addressing;
use crate::crds;
use crate::directory::{self, DirectoryError, Folders};
use crate::kafka_access::split_servers;
use crate::metrics::ControlMetrics;
use crate::probe::Prober;
use crate::reconcile::Settings;
use crate::topics::Topics;
use crate::topics::admin::AdminTopics;
use crate::topics::embedded::EmbeddedTopics;

mod cluster;

const EXAMPLES: &str = "\
Examples:
  # Objects in ./objects, results in ./state, an Apache Kafka on this machine:
  millrace-control directory --objects ./objects --state ./state \\
      --kafka 127.0.0.1:9092 --ingress-url http://127.0.0.1:8080

  # The servers from the ConfigMap kafka-channel-config among the objects:
  millrace-control directory --objects ./objects --state ./state --ingress-url http://127.0.0.1:8080

  # The definitions that a cluster needs first:
  millrace-control crds | kubectl apply --server-side -f -

  # How things are:
  cat ./state/status.json";

/// The name that the examples are written with.
const PROGRAM: &str = "millrace-control";

/// Millrace's control plane: turns Knative objects into topics, first offsets and the contract of the data plane
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version)]
struct Cli {
    /// Absent: kubernetes, as in the Deployment of Knative's controller, whose container has no arguments.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads objects from a folder of YAML files and watches it; needs no Kubernetes
    Directory(DirectoryArgs),
    /// Works on the objects of a Kubernetes cluster: the one of KUBECONFIG, else the one that it runs in
    Kubernetes,
    /// Prints the definitions of our objects as YAML, for `kubectl apply --server-side -f -`
    Crds(CrdsArgs),
}

#[derive(Debug, Args)]
struct CrdsArgs {
    /// Which of them. `subscription` is for clusters without Knative Eventing only, which brings its own
    #[arg(value_name = "WHICH", default_values = ["kafka-channel", "admission"])]
    which: Vec<crds::Part>,
}

/// Every option can also be given by the environment variable that its help names; the option wins.
#[derive(Debug, Args)]
struct DirectoryArgs {
    /// Folder with the *.yaml, *.yml and *.json files of the objects, many documents a file [env: MILLRACE_OBJECTS_DIR]
    #[arg(long, value_name = "DIR")]
    objects: Option<PathBuf>,
    /// Folder for contract/, config/, features/, observability/ and status.json; made if needed [env: MILLRACE_STATE_DIR]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Bootstrap servers, separated by commas; win over those in kafka-channel-config [env: MILLRACE_KAFKA]
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Where the owner of an embedded broker creates topics, instead of Kafka itself [env: MILLRACE_EMBEDDED_BROKER]
    #[arg(long, value_name = "URL")]
    embedded_broker: Option<String>,
    /// Where the ingress is reached: it is probed there, and URLs of channels begin with it [env: MILLRACE_INGRESS_URL]
    #[arg(long, value_name = "URL")]
    ingress_url: Option<String>,
}

/// Everything that the process needs, checked.
struct Wiring {
    folders: Folders,
    settings: Settings,
    prober: Prober,
    embedded: Option<EmbeddedTopics>,
}

/// Runs the process. `args` begins with the program's name. Blocks until a signal or a failed start.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match parse(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is no failure; a terminal that is gone cannot be told about it.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli.command.unwrap_or(Command::Kubernetes) {
        Command::Directory(args) => startup::run("millrace-control", || run(args)),
        Command::Kubernetes => startup::run("millrace-control", cluster::run),
        Command::Crds(args) => startup::run("millrace-control", || print_crds(&args)),
    }
}

/// The examples name the program as it was called: `millrace control`, or the stand-alone binary.
fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let called =
        args.first().and_then(|name| Path::new(name).file_name()).map_or(PROGRAM.into(), OsStr::to_string_lossy);
    let examples = EXAMPLES.replace(PROGRAM, &called);
    let command = Cli::command().after_help(examples.clone());
    let command = command.mut_subcommand("directory", |directory| directory.after_help(examples));
    Cli::from_arg_matches(&command.try_get_matches_from(args)?)
}

fn print_crds(args: &CrdsArgs) -> Result<(), Problems> {
    let mut stdout = std::io::stdout().lock();
    for part in &args.which {
        stdout.write_all(crds::yaml(*part)?.as_bytes())?;
    }
    stdout.flush()?;
    Ok(())
}

fn run(args: DirectoryArgs) -> Result<(), Problems> {
    let env = ControlEnv::read(&ProcessEnv)?;
    logging::init(&env.log, "control");
    let wiring = wire(args, &env)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(serve(wiring, &env));
    // A Kafka client that waits for its cluster must not hold up the end of the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Checks flags and environment; reports every problem, not just the first.
fn wire(args: DirectoryArgs, env: &ControlEnv) -> Result<Wiring, Problems> {
    let mut problems = Problems::new();
    let objects = required(args.objects.or(env.objects.clone()), "--objects", "MILLRACE_OBJECTS_DIR", &mut problems);
    let state = required(args.state.or(env.state.clone()), "--state", "MILLRACE_STATE_DIR", &mut problems);
    let ingress_text = args.ingress_url.or(env.ingress_url.clone());
    let ingress = required(ingress_text, "--ingress-url", "MILLRACE_INGRESS_URL", &mut problems)
        .and_then(|text| url(&text, "--ingress-url", &mut problems));
    let embedded_text = args.embedded_broker.or(env.embedded_broker.clone());
    let broker = embedded_text.and_then(|text| url(&text, "--embedded-broker", &mut problems));
    let servers = args.kafka.or(env.kafka.clone()).map(|text| split_servers(&text));
    if servers.as_ref().is_some_and(Vec::is_empty) {
        problems.add("--kafka (MILLRACE_KAFKA) names no server");
    }
    if let (Some(objects), Some(state)) = (&objects, &state)
        && objects.canonicalize().is_ok_and(|objects| state.canonicalize().is_ok_and(|state| objects == state))
    {
        problems.add("--objects and --state are the same folder: results would be read as objects");
    }
    let prober = ingress.clone().and_then(|ingress| problems.check(Prober::new(ingress)));
    let embedded = broker.and_then(|broker| problems.check(EmbeddedTopics::new(broker)));
    let (Some(objects), Some(state), Some(ingress), Some(prober)) = (objects, state, ingress, prober) else {
        return Err(problems);
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let settings = Settings {
        bootstrap_servers: servers,
        embedded_broker: embedded.is_some(),
        addressing: Addressing::Ingress { url: ingress.as_str().trim_end_matches('/').to_owned() },
        general_config: env.channel.general_config_map.clone(),
        data_plane_config: env.channel.data_plane_config_map.clone(),
        system_namespace: env.channel.system_namespace.clone(),
        default_backoff: env.channel.default_backoff_delay,
        contract_place: "Contract file contract/data".to_owned(),
        cluster: None,
    };
    Ok(Wiring { folders: Folders { objects, state }, settings, prober, embedded })
}

fn required<T>(value: Option<T>, flag: &str, variable: &str, problems: &mut Problems) -> Option<T> {
    if value.is_none() {
        problems.add(format_args!("{flag} (or the variable {variable}) is required"));
    }
    value
}

/// An absolute http or https URL.
fn url(text: &str, flag: &str, problems: &mut Problems) -> Option<Url> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
        Ok(_) | Err(_) => {
            problems.add(format_args!("{flag}: {text:?} is not an absolute http or https URL"));
            None
        }
    }
}

async fn serve(wiring: Wiring, env: &ControlEnv) -> Result<(), Problems> {
    let mut signals = Signals::register()?;
    let drain = Drain::new(env.admin.drain);
    let readiness = Readiness::new();
    let metrics = Metrics::new();
    let own_metrics = ControlMetrics::register(&metrics)?;
    serve_admin(env, &drain, metrics, &readiness).await?;
    let token = drain.token();
    let Wiring { folders, settings, prober, embedded } = wiring;
    let shell = async {
        match embedded {
            Some(topics) => shell(folders, settings, topics, prober, own_metrics, token).await,
            None => shell(folders, settings, AdminTopics, prober, own_metrics, token).await,
        }
    };
    readiness.set(true);
    let ended = tokio::select! {
        result = shell => result.map_err(Problems::from),
        signal = signals.next() => {
            info!(signal, "Stopping");
            Ok(())
        }
    };
    // Nothing is in flight that must be finished: every write is atomic, and Kafka is asked again at the next start.
    drain.finish().await;
    ended
}

/// Starts the admin server if there is an address for it.
async fn serve_admin(env: &ControlEnv, drain: &Drain, metrics: Metrics, readiness: &Readiness) -> Result<(), Problems> {
    let Some(address) = &env.admin.address else { return Ok(()) };
    let listener = admin::bind(address).await?;
    let admin = Admin { metrics, readiness: readiness.clone(), routes: axum::Router::new() };
    let token = drain.token();
    drain.tracker().spawn(async move {
        if let Err(error) = admin::serve(listener, admin, admin::METRICS_PATH, token).await {
            error!(error = startup::with_causes(&error), "Admin server failed");
        }
    });
    Ok(())
}

async fn shell<T: Topics>(
    folders: Folders,
    settings: Settings,
    topics: T,
    prober: Prober,
    metrics: ControlMetrics,
    token: tokio_util::sync::CancellationToken,
) -> Result<(), DirectoryError> {
    directory::run(folders, settings, topics, prober, metrics, token).await
}
