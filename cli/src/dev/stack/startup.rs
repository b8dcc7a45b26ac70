//! Starts the parts in the order in which they need one another, and waits until each is ready.
//!
//! Broker first, then control, which writes every file that the data planes read; then ingress and dispatcher. A child
//! that ends before it was ready has a mistake to report and is not started again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerChoice, Stack, StackError};
use crate::dev::broker::EmbeddedBroker;
use crate::dev::children::{self, ChildSettings, Role};
use crate::dev::ports::PortError;
use crate::dev::screen::Screen;
use crate::dev::signals::Signals;
use crate::dev::supervisor::Said;
use crate::dev::{broker_api, forward};

/// After this long a start-up is a failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// A part that takes longer than this is spoken of.
const A_MOMENT: Duration = Duration::from_secs(1);
/// Only for a warning: the processes themselves never stop trying.
const KAFKA_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

pub(super) struct Roles {
    pub(super) objects: PathBuf,
    pub(super) kafka: String,
    pub(super) ingress_port: u16,
}

/// Starts the embedded broker, or looks whether the real one is there. Returns the bootstrap servers too.
pub(super) async fn broker(choice: &BrokerChoice, screen: &mut Screen) -> Result<(Option<Broker>, String), StackError> {
    let fixed_port = match choice {
        BrokerChoice::Embedded { port } => *port,
        BrokerChoice::Kafka(servers) => {
            look_for_kafka(servers, screen).await;
            return Ok((None, servers.clone()));
        }
    };
    let started = tokio::task::spawn_blocking(EmbeddedBroker::start).await;
    let embedded = Arc::new(started.expect("starting the broker does not panic")?);
    let stop = CancellationToken::new();
    let api = broker_api::start(Arc::clone(&embedded), stop.clone()).await.map_err(StackError::BrokerApi)?;
    let (forward, port) = match fixed_port {
        None => (None, embedded.address().port()),
        Some(asked) => {
            let opened = forward::start(asked, embedded.address(), stop.clone()).await;
            let forward = opened.map_err(|source| PortError::new(asked, "--kafka-port", source))?;
            embedded.advertise(forward.port())?;
            let port = forward.port();
            (Some(forward), port)
        }
    };
    let address = format!("127.0.0.1:{port}");
    let limits = screen.console().paint().faint("in memory, keeps nothing: the last 5 MiB a partition, until the end");
    screen.started("broker", &format!("{address}  {limits}"));
    if fixed_port.is_some() {
        screen.hint("other clients may produce and use groups of their own, but must not join a subscription's group");
    }
    Ok((Some(Broker { embedded, api, forward, stop }), address))
}

async fn look_for_kafka(servers: &str, screen: &mut Screen) {
    for server in servers.split(',') {
        let connecting = TcpStream::connect(server.trim().to_owned());
        if let Ok(Ok(_)) = tokio::time::timeout(KAFKA_ANSWERS_WITHIN, connecting).await {
            screen.started("kafka", server.trim());
            return;
        }
    }
    let hint =
        format!("nothing answers at {servers}: start it, or leave --kafka away for the embedded broker; trying on");
    screen.warning("kafka", &hint);
}

pub(super) async fn roles(
    stack: &mut Stack,
    roles: Roles,
    screen: &mut Screen,
    signals: &mut Signals,
) -> Result<(), StackError> {
    let shown_objects = roles.objects.display().to_string();
    let settings = ChildSettings {
        objects: roles.objects,
        state: &stack.state,
        kafka: roles.kafka,
        broker_api: stack.broker.as_ref().map(|broker| broker.api.url()),
        ingress_port: roles.ingress_port,
        ingress_url: stack.ingress_url.clone(),
    };
    let (ingress, dispatcher) = (children::ingress(&settings), children::dispatcher(&settings));
    stack.supervisor.start(children::control(&settings));
    until_ready(stack, Role::Control, screen, signals).await?;
    screen.started("control", &format!("reads {shown_objects}"));
    stack.supervisor.start(ingress);
    stack.supervisor.start(dispatcher);
    until_ready(stack, Role::Ingress, screen, signals).await?;
    screen.started("ingress", &stack.ingress_url);
    until_ready(stack, Role::Dispatcher, screen, signals).await?;
    screen.started("dispatcher", "");
    Ok(())
}

/// Reads the children's lines until this role is ready; of control, until the files are there that the others read.
async fn until_ready(
    stack: &mut Stack,
    role: Role,
    screen: &mut Screen,
    signals: &mut Signals,
) -> Result<(), StackError> {
    let (started, mut spoken) = (Instant::now(), A_MOMENT);
    loop {
        let missing = if role == Role::Control { stack.state.missing() } else { Vec::new() };
        if stack.heard.ready.contains(&role) && missing.is_empty() {
            return Ok(());
        }
        let waited = started.elapsed();
        if waited >= PATIENCE {
            return Err(StackError::TooSlow { role: role.name(), waited, missing });
        }
        if waited >= spoken {
            spoken += A_MOMENT * 5;
            screen.waiting(role.name(), &format!("{} s so far{}", waited.as_secs(), still_missing(&missing)));
        }
        tokio::select! {
            () = signals.next() => return Err(StackError::Interrupted),
            Some(said) = stack.said.recv() => {
                stack.hear(&said, screen);
                if let Said::Exited(exit) = said {
                    return Err(StackError::Ended { role: exit.role.name(), how: exit.how });
                }
            }
            _ = stack.ticks.tick() => {}
        }
    }
}

pub(super) fn still_missing(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    if names.is_empty() { String::new() } else { format!("; not yet written: {}", names.join(", ")) }
}
