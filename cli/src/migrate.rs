//! `millrace migrate`: what is left to do to move over from Knative's Kafka channel, or to go back; and doing it.
//!
//! `knative` and `consolidated` make plans of what is there, purely; `cluster` carries them out. Without `--apply`
//! nothing is written. Source: control-plane spec 5.

mod cluster;
mod consolidated;
mod contract;
mod knative;
mod plan;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use self::cluster::Cluster;
use self::plan::{Change, Plan, Step, is_stopped};
use self::world::{DEPLOYMENT, Query, Ref, World, is_ours};
use crate::console::{Console, one_line};

const EXAMPLES: &str = "\
Examples:
  millrace migrate                     looks, and says what would be done; writes nothing
  millrace migrate --apply             does it, as far as it can be done now
  millrace migrate --apply --finish    also removes what traffic may have needed until now
  millrace migrate --back              says what would be taken back
  millrace migrate --back --apply      takes it back

The cluster is the one of your kubeconfig. Every change is recorded in the ConfigMap millrace-migration first. \
What to apply with kubectl before and after is in deploy/README.md. \
The exit status is 0 when nothing is left to do, 1 when something is.";

/// How often the cluster is looked at while something has to happen first.
const PAUSE: Duration = Duration::from_secs(2);

/// Moves a cluster over from Knative's Kafka channel, or back
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MigrateArgs {
    /// Write the changes; without this they are only shown
    #[arg(long)]
    apply: bool,
    /// Take back what an earlier run changed
    #[arg(long, conflicts_with = "finish")]
    back: bool,
    /// Also remove the consolidated channel's dispatcher and settings, once traffic has moved
    #[arg(long)]
    finish: bool,
    /// Seconds to wait for pods and leases on the way
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
    /// Where Knative and Millrace are
    #[arg(long, default_value = "knative-eventing")]
    namespace: String,
    /// Of the cluster's DNS
    #[arg(long, default_value = "cluster.local")]
    cluster_domain: String,
}

/// Why a run ended early. Running again goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrateError {
    #[error("cannot talk to the cluster")]
    Kube(#[from] kube::Error),
    #[error("not a path of the API server")]
    Path(#[from] http::Error),
    #[error("ConfigMap millrace-migration: the entry {key} is not one of ours")]
    Journal { key: String },
}

pub(crate) async fn run(args: MigrateArgs, console: Console) -> Result<ExitCode, MigrateError> {
    let cluster = Cluster::connect(&args.namespace).await?;
    if args.back { back(&args, &cluster, &console).await } else { forth(&args, &cluster, &console).await }
}

async fn forth(args: &MigrateArgs, cluster: &Cluster, console: &Console) -> Result<ExitCode, MigrateError> {
    let deadline = Instant::now() + Duration::from_secs(args.wait);
    let mut told = Vec::new();
    loop {
        let plan = next(args, cluster).await?;
        if plan.is_done() || !args.apply {
            report(&plan, args, console);
            return Ok(if plan.is_done() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        for step in &plan.steps {
            console.line(&shown(step, console));
            cluster.take(step).await?;
        }
        if plan.steps.is_empty() {
            if Instant::now() >= deadline {
                report(&plan, args, console);
                return Ok(ExitCode::FAILURE);
            }
            if told != plan.waits {
                plan.waits.iter().for_each(|wait| console.line(&console.paint().faint(&format!("waiting for {wait}"))));
                told = plan.waits;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Both predecessors: a cluster can have left-overs of the older one beside the newer.
async fn next(args: &MigrateArgs, cluster: &Cluster) -> Result<Plan, MigrateError> {
    let mut queries: Vec<Query> = knative::queries(&args.namespace);
    queries.extend(consolidated::queries(&args.namespace));
    let world = cluster.read(&queries).await?;
    let mut plan = consolidated::plan(&world, &args.namespace, &args.cluster_domain, args.finish);
    let newer = knative::plan(&world, &args.namespace);
    plan.steps.extend(newer.steps);
    plan.waits.extend(newer.waits);
    plan.notes.extend(newer.notes);
    Ok(plan)
}

fn report(plan: &Plan, args: &MigrateArgs, console: &Console) {
    for step in &plan.steps {
        console.line(&shown(step, console));
    }
    for wait in &plan.waits {
        console.line(&console.paint().odd(&one_line(&format!("needs {wait}"))));
    }
    for note in &plan.notes {
        console.line(&one_line(&format!("note: {note}")));
    }
    let summary = if plan.is_done() {
        console.paint().good("Nothing is left to do.")
    } else if args.apply {
        console.paint().bad("Not everything could be done; run again when what is needed is there.")
    } else {
        console.paint().odd("Nothing was changed. With --apply this is done.")
    };
    console.line(&summary);
}

fn shown(step: &Step, console: &Console) -> String {
    let verb = match &step.change {
        Change::Merge(patch) => format!("change {} {}", step.object, one_line(&patch.to_string())),
        Change::Delete => format!("delete {}", step.object),
    };
    let back = if step.undo.is_some() { "" } else { " (not taken back by --back)" };
    format!("{} {}{}", console.paint().name(&one_line(&verb)), one_line(step.why), console.paint().faint(back))
}

async fn back(args: &MigrateArgs, cluster: &Cluster, console: &Console) -> Result<ExitCode, MigrateError> {
    let deadline = Instant::now() + Duration::from_secs(args.wait);
    let names = ["kafka-controller", "millrace-control", "kafka-channel-dispatcher"];
    let ours = names.map(|name| Ref::new(DEPLOYMENT, &args.namespace, name));
    if let Err(reason) = contract(args, cluster).await? {
        return Ok(stuck(&reason, console));
    }
    loop {
        let world = cluster.read(&ours.clone().map(Query::One)).await?;
        let plan = remove_ours(&world, &ours);
        for step in &plan.steps {
            let verb = if step.change == Change::Delete { "delete" } else { "stop" };
            console.line(&console.paint().name(&one_line(&format!("{verb} {}", step.object))));
            if args.apply {
                cluster.take(step).await?;
            }
        }
        if !args.apply || plan.is_done() {
            break;
        }
        if Instant::now() >= deadline {
            report(&plan, args, console);
            return Ok(ExitCode::FAILURE);
        }
        if plan.steps.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    // Nobody writes it any more.
    let contract = match contract(args, cluster).await? {
        Ok(contract) => contract,
        Err(reason) => return Ok(stuck(&reason, console)),
    };
    for step in contract.steps {
        let verb = if step.change == Change::Delete { "delete" } else { "change" };
        let verb = console.paint().name(&one_line(&format!("{verb} {}", step.object)));
        console.line(&format!("{verb} {}", one_line(step.why)));
        if args.apply {
            cluster.take(&step).await?;
        }
    }
    let journal = cluster.journal().await?;
    for entry in &journal {
        console.line(&format!(
            "{} as it was before",
            console.paint().name(&format!("restore {}", one_line(&entry.object)))
        ));
        if args.apply {
            cluster.take_back(entry).await?;
        }
    }
    let next = "Now apply Knative's release again: eventing-kafka-controller.yaml and eventing-kafka-channel.yaml.";
    let unchanged = "Nothing was changed. With --apply this is done.";
    console.line(&if args.apply { console.paint().good(next) } else { console.paint().odd(unchanged) });
    Ok(if args.apply || journal.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn stuck(reason: &str, console: &Console) -> ExitCode {
    console.line(&console.paint().bad(&one_line(&format!("This cluster cannot go back: {reason}"))));
    ExitCode::FAILURE
}

/// What becomes of a contract in several ConfigMaps, or why Knative's data plane could not read it.
async fn contract(args: &MigrateArgs, cluster: &Cluster) -> Result<Result<Plan, String>, MigrateError> {
    let world = cluster.read(&contract::queries(&args.namespace)).await?;
    Ok(contract::plan(&world, &args.namespace))
}

/// Two kinds of dispatchers must not be in one group, nor two controllers at work. They are deleted when their pods have
/// gone: what Knative's release says of Deployments leaves the number of pods as it is, which would be 0.
fn remove_ours(world: &World, ours: &[Ref]) -> Plan {
    let mut plan = Plan::default();
    for object in ours.iter().filter(|object| world.get(object).is_some_and(is_ours)) {
        if is_stopped(world, object) {
            plan.delete_for_good(world, object, "makes room for Knative's");
        } else {
            plan.stop(world, object, "makes room for Knative's");
            plan.wait(format!("{object} to have no pods"));
        }
    }
    // What becomes of ours is no change of what was there before.
    plan.steps.iter_mut().for_each(|step| step.undo = None);
    plan
}
