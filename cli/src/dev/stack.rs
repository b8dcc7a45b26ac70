//! Everything on one machine: the broker in this process; control, ingress and dispatcher as its children.
//!
//! Hands out what happens while they run and ends all of it in order. What `dev` and `demo` have in common is here and
//! in `startup`; what a person sees is the `Screen`'s.

mod startup;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::broker::{BrokerError, EmbeddedBroker};
use super::broker_api::BrokerApi;
use super::children::Role;
use super::forward::Forward;
use super::lines::Line;
use super::ports::{self, PortError};
use super::screen::Screen;
use super::signals::Signals;
use super::state::{StateError, StateFolder};
use super::status::{self, Status};
use super::supervisor::{Said, Supervisor};

/// Lines of children waiting to be shown. When it is full the children wait; see `supervisor`.
const WAITING_LINES: usize = 1024;
const TICK: Duration = Duration::from_millis(100);
/// A status that is not yet what the user wants is shown after this time without a change.
const STATUS_STANDS_STILL: Duration = Duration::from_millis(400);
/// The embedded broker is asked this often whether it has dropped records.
const DROPS_ASKED_EVERY: Duration = Duration::from_secs(5);
/// How many partitions it is asked about at a time; with more, in no particular order.
const PARTITIONS_ASKED: usize = 64;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StackError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("cannot open a port for the embedded broker's topics")]
    BrokerApi(#[source] std::io::Error),
    #[error("cannot find this program's own file, which is started again for each role")]
    Program(#[source] std::io::Error),
    #[error("{role} ended while it was starting ({how}); its messages above say why")]
    Ended { role: &'static str, how: String },
    #[error("{role} was not ready after {} s{}", waited.as_secs(), startup::still_missing(missing))]
    TooSlow { role: &'static str, waited: Duration, missing: Vec<PathBuf> },
    #[error("stopped before everything had started")]
    Interrupted,
}

pub(crate) struct StackSettings {
    pub(crate) objects: PathBuf,
    /// Absent: a temporary folder.
    pub(crate) state: Option<PathBuf>,
    /// Of the ingress; 0 takes any free port.
    pub(crate) port: u16,
    pub(crate) broker: BrokerChoice,
}

pub(crate) enum BrokerChoice {
    /// On a port of its own choice, or on this one; 0 is any free one.
    Embedded { port: Option<u16> },
    /// HOST:PORT of a real Kafka.
    Kafka(String),
}

/// What happened next.
pub(crate) enum Happening {
    /// Shown already.
    Said(Said),
    /// A tenth of a second has passed. Control's status has been read, and shown if it is new.
    Tick,
}

pub(crate) struct Stack {
    supervisor: Supervisor,
    said: mpsc::Receiver<Said>,
    ticks: Interval,
    heard: Heard,
    last_status: Option<Status>,
    /// When it changed; absent once it has been shown.
    status_changed: Option<Instant>,
    broker: Option<Broker>,
    drops_asked: Instant,
    state: StateFolder,
    ingress_url: String,
}

/// What the children have said about themselves so far.
#[derive(Default)]
struct Heard {
    ready: Vec<Role>,
    /// Egresses that own partitions, or did once.
    assigned: BTreeSet<String>,
}

/// The embedded broker with what belongs to it.
struct Broker {
    embedded: Arc<EmbeddedBroker>,
    api: BrokerApi,
    forward: Option<Forward>,
    stop: CancellationToken,
}

impl Stack {
    /// Starts everything and returns when the data planes are ready. On failure everything is ended again.
    ///
    /// # Errors
    /// When a part cannot start; the message says what to do.
    pub(crate) async fn start(
        settings: StackSettings,
        screen: &mut Screen,
        signals: &mut Signals,
    ) -> Result<Self, StackError> {
        let state = StateFolder::prepare(settings.state.as_deref())?;
        let port = ports::free(settings.port, "--port")?;
        let program = std::env::current_exe().map_err(StackError::Program)?;
        let (broker, kafka) = startup::broker(&settings.broker, screen).await?;

        let (said_by_children, said) = mpsc::channel(WAITING_LINES);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stack = Self {
            supervisor: Supervisor::new(program, said_by_children),
            said,
            ticks,
            heard: Heard::default(),
            last_status: None,
            status_changed: None,
            broker,
            drops_asked: Instant::now(),
            state,
            ingress_url: format!("http://127.0.0.1:{port}"),
        };
        let roles = startup::Roles { objects: settings.objects, kafka, ingress_port: port };
        match startup::roles(&mut stack, roles, screen, signals).await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop(screen, signals).await;
                Err(error)
            }
        }
    }

    /// What control said last about the objects.
    pub(crate) fn status(&self) -> Option<&Status> {
        self.last_status.as_ref()
    }

    /// How many subscriptions the dispatcher reads records for.
    pub(crate) fn assigned(&self) -> usize {
        self.heard.assigned.len()
    }

    /// Waits for what happens next and shows it. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self, screen: &mut Screen) -> Happening {
        tokio::select! {
            // The supervisor holds a sender as long as we live, so `None` cannot come.
            Some(said) = self.said.recv() => {
                self.hear(&said, screen);
                Happening::Said(said)
            }
            _ = self.ticks.tick() => self.tick(screen),
        }
    }

    fn hear(&mut self, said: &Said, screen: &mut Screen) {
        screen.said(said, Instant::now());
        match said {
            Said::Line(role, Line::Ready) => self.heard.ready.push(*role),
            Said::Line(_, Line::Assigned { egress }) => {
                self.heard.assigned.insert(egress.clone());
            }
            Said::Line(
                _,
                Line::Admin { .. } | Line::Step(_) | Line::Refused(_) | Line::Trouble(_) | Line::Text(_) | Line::Quiet,
            ) => {}
            // What was said before the end is no longer true.
            Said::Exited(exit) => self.heard.ready.retain(|role| *role != exit.role),
        }
    }

    fn tick(&mut self, screen: &mut Screen) -> Happening {
        let now = Instant::now();
        screen.tick(now);
        if now.saturating_duration_since(self.drops_asked) >= DROPS_ASKED_EVERY {
            self.drops_asked = now;
            self.tell_drops(screen);
        }
        self.look_at_status(now, screen);
        Happening::Tick
    }

    /// Shows a status once it stands still: on the way to ready, objects pass through states nobody needs to see.
    fn look_at_status(&mut self, now: Instant, screen: &mut Screen) {
        // A small file, ten times a second: simpler than watching it, and a person sees no difference.
        if let Some(status) = status::read(&self.state.status())
            && self.last_status.as_ref() != Some(&status)
        {
            self.last_status = Some(status);
            self.status_changed = Some(now);
        }
        let (Some(status), Some(changed)) = (&self.last_status, self.status_changed) else { return };
        let is_final = status.is_ready() && status.problems.is_empty();
        if is_final || now.saturating_duration_since(changed) >= STATUS_STANDS_STILL {
            screen.status(status);
            self.status_changed = None;
        }
    }

    fn tell_drops(&self, screen: &mut Screen) {
        let Some(broker) = &self.broker else { return };
        let Some(watched) = screen.retention().map(|retention| retention.watched()) else { return };
        for (topic, partition) in watched.into_iter().take(PARTITIONS_ASKED) {
            let Ok(number) = i32::try_from(partition) else { continue };
            // The answer comes from a thread of this process, within a millisecond.
            let oldest = tokio::task::block_in_place(|| broker.embedded.oldest_offset(&topic, number));
            let alarm = oldest.and_then(|oldest| screen.retention()?.oldest(&topic, partition, oldest));
            if let Some(alarm) = alarm {
                screen.warning("broker", &alarm);
            }
        }
    }

    /// Ends the children in order, then the broker, then removes a temporary state folder. Bounded by the drains of the
    /// children; another signal kills at once what is still there.
    pub(crate) async fn stop(mut self, screen: &mut Screen, signals: &mut Signals) {
        let kill = self.supervisor.kill_token();
        let mut stopping = std::pin::pin!(self.supervisor.stop());
        loop {
            // Reading goes on: a child that cannot write its last lines cannot end.
            tokio::select! {
                () = &mut stopping => break,
                Some(said) = self.said.recv() => screen.said(&said, Instant::now()),
                _ = self.ticks.tick() => screen.tick(Instant::now()),
                () = signals.next() => kill.cancel(),
            }
        }
        while let Ok(said) = self.said.try_recv() {
            screen.said(&said, Instant::now());
        }
        if let Some(broker) = self.broker.take() {
            broker.end().await;
        }
    }
}

impl Broker {
    async fn end(self) {
        self.stop.cancel();
        self.api.ended().await;
        if let Some(forward) = self.forward {
            forward.ended().await;
        }
        // librdkafka blocks while it ends. Should the task panic, the broker has ended all the same.
        drop(tokio::task::spawn_blocking(move || drop(self.embedded)).await);
    }
}
