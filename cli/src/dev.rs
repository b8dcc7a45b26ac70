//! `millrace dev DIR`: the whole on one machine, on the user's own objects.
//!
//! Reads the arguments, starts a [`stack::Stack`] and shows what happens until a signal comes.

mod arguments;
pub(crate) mod broker;
mod broker_api;
mod children;
mod forward;
pub(crate) mod journey;
pub(crate) mod lines;
pub(crate) mod ports;
mod retention;
pub(crate) mod screen;
pub(crate) mod signals;
pub(crate) mod stack;
mod state;
pub(crate) mod status;
pub(crate) mod supervisor;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::console::Console;
use screen::{Audience, Screen};
use signals::Signals;
use stack::{BrokerChoice, Stack, StackError, StackSettings};

const EXAMPLES: &str = "\
Examples:
  millrace dev deploy/examples/hello      your YAML on an embedded broker
  millrace dev . --port 8090              another port for events
  millrace dev . --kafka localhost:9092   a real Kafka instead
  millrace dev . --kafka-port 9092        let other Kafka clients in
  millrace dev . --state state            keep contract and properties

Then, in other terminals:
  millrace display --port 9000
  millrace send http://127.0.0.1:8080/default/orders --data '{\"a\":1}'

DIR holds *.yaml, *.yml and *.json files: KafkaChannel, Subscription and the ConfigMaps of tuning, with exactly the \
fields they have in a cluster, several documents a file if you like. Edit them while it runs.

The embedded broker lives in this process and keeps nothing: when the command ends, its records are gone. Of each \
partition it holds at most 5 MiB or 100,000 records and drops older ones, delivered or not; a warning comes before. \
It has no TLS and no authentication. With --kafka-port other clients may produce to it, and consume in groups of their \
own; they must not join the group of a subscription, which would end this command (the broker inside cannot take it). \
Use --kafka for anything that must last.";

/// Runs everything on this machine on your own channels and subscriptions
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DevArgs {
    /// Folder with the objects
    #[arg(value_name = "DIR")]
    objects: PathBuf,
    /// Port that takes events; 0 for any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Use this Kafka (comma-separated if several) instead of the embedded broker
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "kafka_port", value_parser = arguments::kafka_servers)]
    kafka: Option<String>,
    /// Give the embedded broker this port instead of a random one; 0 for any free one
    #[arg(long, value_name = "N")]
    kafka_port: Option<u16>,
    /// Keep the state (contract, properties, status) in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error(
        "{} is no folder: name one with the YAML of your channels and subscriptions, such as deploy/examples/hello, \
         or run `millrace demo`",
        path.display()
    )]
    NoFolder { path: PathBuf },
    #[error(
        "--state {} is in {}, the folder of your objects: results would stand among them; choose a folder elsewhere",
        state.display(), objects.display()
    )]
    StateAmongObjects { state: PathBuf, objects: PathBuf },
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("cannot handle signals")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Stack(#[from] StackError),
}

/// Runs until a signal comes.
///
/// # Errors
/// When something cannot start.
pub(crate) async fn run(args: DevArgs, console: Console) -> Result<ExitCode, DevError> {
    let objects = folder_of_objects(&args.objects)?;
    if let Some(state) = &args.state {
        keep_apart(state, &objects)?;
    }
    let broker = match args.kafka {
        Some(servers) => BrokerChoice::Kafka(servers),
        None => BrokerChoice::Embedded { port: args.kafka_port },
    };
    let mut screen =
        Screen::new(console, Audience::Developer, &objects, matches!(broker, BrokerChoice::Embedded { .. }));
    let mut signals = Signals::new().map_err(DevError::Signals)?;
    let settings = StackSettings { objects, state: args.state, port: args.port, broker };
    let mut stack = match Box::pin(Stack::start(settings, &mut screen, &mut signals)).await {
        Ok(stack) => stack,
        // The user changed their mind; that is no failure.
        Err(StackError::Interrupted) => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error.into()),
    };
    loop {
        tokio::select! {
            () = signals.next() => break,
            _ = stack.next(&mut screen) => {}
        }
    }
    screen.stopping();
    Box::pin(stack.stop(&mut screen, &mut signals)).await;
    Ok(ExitCode::SUCCESS)
}

fn folder_of_objects(path: &Path) -> Result<PathBuf, DevError> {
    if !path.is_dir() {
        return Err(DevError::NoFolder { path: path.to_owned() });
    }
    path.canonicalize().map_err(|source| DevError::Unreadable { path: path.to_owned(), source })
}

fn keep_apart(state: &Path, objects: &Path) -> Result<(), DevError> {
    let is_within = arguments::is_within(state, objects);
    if is_within.map_err(|source| DevError::Unreadable { path: state.to_owned(), source })? {
        return Err(DevError::StateAmongObjects { state: state.to_owned(), objects: objects.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_among_the_objects_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path().canonicalize().unwrap();
        for state in [objects.clone(), objects.join("state")] {
            let message = keep_apart(&state, &objects).unwrap_err().to_string();
            assert!(message.contains("choose a folder elsewhere"), "{message}");
        }
        assert_eq!(std::fs::read_dir(&objects).unwrap().count(), 0);
        assert!(keep_apart(&objects.with_extension("state"), &objects).is_ok());
    }

    #[test]
    fn a_missing_folder_says_what_to_do() {
        let message = folder_of_objects(Path::new("does/not/exist")).unwrap_err().to_string();
        assert!(message.starts_with("does/not/exist is no folder"), "{message}");
        assert!(message.contains("millrace demo"), "{message}");
    }
}
