//! `millrace demo`: shows an event's life without any set-up.
//!
//! Writes a channel and three subscriptions into a temporary folder, runs the same [`Stack`] as `millrace dev` on it,
//! receives what is delivered, and sends events by itself. Whether everything arrived is judged by what the subscriber
//! really received, never by what the logs say.

mod expect;
mod objects;
mod sender;
mod subscriber;
mod words;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use reqwest::Url;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::dev::lines::{Line, Step};
use crate::dev::ports;
use crate::dev::screen::{Audience, Screen};
use crate::dev::signals::Signals;
use crate::dev::stack::{BrokerChoice, Happening, Stack, StackError, StackSettings};
use crate::dev::status::Status;
use crate::dev::supervisor::Said;
use crate::post::PostError;
use expect::{Expectation, Sent};
use objects::Objects;
use sender::Sender;
use subscriber::Subscriber;

const EXAMPLES: &str = "\
Examples:
  millrace demo               send three events, then wait for yours
  millrace demo --count 10    send ten and end; status 0 if all arrived
  millrace demo --port 8090   take events on another port

Everything runs on this machine: the embedded broker in this process (in memory, it keeps nothing), control, ingress \
and dispatcher as its children, as they would run in a cluster. Ctrl-C ends it and leaves nothing behind.";

/// The usual port; the demo takes any free one if it is taken and nobody asked for it.
const USUAL_PORT: u16 = 8080;
const EVENTS_UNLESS_ASKED: u32 = 3;
/// Up to this many events are sent one after the other, each to its end, so that the table reads well.
const ONE_BY_ONE: u32 = 20;
/// Of more events no more than 20 a second, so that a person can follow them.
const PACE: Duration = Duration::from_millis(50);
/// Everything must be ready to take the first event within this time.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Not waited for longer, because events arrive all the same.
const READING_WITHIN: Duration = Duration::from_secs(10);
/// From the first event to the last arrival: this, and [`EACH_MORE`] for each event.
const ARRIVED_WITHIN: Duration = Duration::from_secs(20);
const EACH_MORE: Duration = Duration::from_millis(300);
/// One event's steps are waited for this long before the next is sent.
const ONE_EVENT_WITHIN: Duration = Duration::from_secs(5);

/// Shows what happens to events: accepted, stored, delivered, retried, dead-lettered; no set-up needed
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Send N events and end: status 0 if every one arrived everywhere, else 1 and what is missing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: Option<u32>,
    /// Port that takes events; 0 for any free one [default: 8080, or a free one if it is taken]
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("cannot write the demo's objects into a temporary folder")]
    Objects(#[source] std::io::Error),
    #[error("cannot open a port for the demo's subscriber")]
    Subscriber(#[source] std::io::Error),
    #[error("cannot handle signals")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error("cannot send events")]
    Post(#[from] PostError),
    #[error("the channel was not ready for events within {} s; what is shown above says why", READY_WITHIN.as_secs())]
    NotReady,
    #[error("control says that the channel's URL is {found:?}, which is none")]
    ChannelUrl { found: String },
}

/// Runs until everything has arrived, or without a count until a signal comes.
///
/// # Errors
/// When something cannot start. Missing events are no error here but the exit status 1.
pub(crate) async fn run(args: DemoArgs, console: Console) -> Result<ExitCode, DemoError> {
    let mut signals = Signals::new().map_err(DemoError::Signals)?;
    let stop_subscriber = CancellationToken::new();
    let subscriber = Subscriber::start(stop_subscriber.clone()).await.map_err(DemoError::Subscriber)?;
    let objects = Objects::write(&subscriber.url()).map_err(DemoError::Objects)?;
    let port = args.port.unwrap_or_else(|| ports::free(USUAL_PORT, "--port").unwrap_or(0));
    let settings = StackSettings {
        objects: objects.folder().to_owned(),
        state: None,
        port,
        broker: BrokerChoice::Embedded { port: None },
    };
    words::introduction(&console);
    let mut screen = Screen::new(console, Audience::Spectator, objects.folder(), true);
    let stack = match Box::pin(Stack::start(settings, &mut screen, &mut signals)).await {
        Ok(stack) => stack,
        Err(StackError::Interrupted) => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error.into()),
    };
    let mut demo = Demo { stack, screen, signals, subscriber, last_event: String::new(), settled: 0 };
    let outcome = Box::pin(demo.show(args.count)).await;
    let Demo { stack, mut screen, mut signals, subscriber, .. } = demo;
    screen.stopping();
    Box::pin(stack.stop(&mut screen, &mut signals)).await;
    stop_subscriber.cancel();
    subscriber.ended().await;
    outcome
}

struct Demo {
    stack: Stack,
    screen: Screen,
    signals: Signals,
    subscriber: Subscriber,
    last_event: String,
    /// Subscriptions that are done with the last event.
    settled: usize,
}

/// Why a wait has ended.
#[derive(Debug, PartialEq, Eq)]
enum Waited {
    Done,
    TooLong,
    Interrupted,
}

impl Demo {
    async fn show(&mut self, count: Option<u32>) -> Result<ExitCode, DemoError> {
        // Ctrl-C ends the demo well, but a count that was not reached is not.
        let interrupted = || if count.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        match self.until_channel_is_ready().await {
            Waited::Done => {}
            Waited::TooLong => return Err(DemoError::NotReady),
            Waited::Interrupted => return Ok(interrupted()),
        }
        let url = self.channel_url()?;
        let mut sender = Sender::new(url.clone())?;
        match self.until_route_is_there(&sender).await {
            Waited::Done => {}
            Waited::TooLong => return Err(DemoError::NotReady),
            Waited::Interrupted => return Ok(interrupted()),
        }
        let number = count.unwrap_or(EVENTS_UNLESS_ASKED);
        let mut expectation = Expectation::default();
        let waited = self.send_events(&mut sender, number, &mut expectation).await;
        if waited == Waited::Interrupted && count.is_none() {
            return Ok(interrupted());
        }
        let missing = expectation.missing(&self.subscriber.memory().lock());
        words::result(self.screen.console(), expectation.len(), &missing);
        if count.is_some() {
            let is_complete = missing.is_empty() && waited == Waited::Done;
            return Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        words::invitation(self.screen.console(), url.as_str());
        while self.wait(Duration::from_secs(3600), |_, _| false).await != Waited::Interrupted {}
        Ok(ExitCode::SUCCESS)
    }

    fn channel_url(&self) -> Result<Url, DemoError> {
        let channel = self.stack.status().and_then(|status| status.channel(objects::CHANNEL));
        let found = channel.map(|channel| channel.url.clone()).unwrap_or_default();
        found.parse().map_err(|_| DemoError::ChannelUrl { found })
    }

    /// Channel and subscriptions are ready; and the dispatcher reads for each subscription, since from then on deliveries
    /// take milliseconds, which is what the demo wants to show. Without the latter events only arrive later.
    async fn until_channel_is_ready(&mut self) -> Waited {
        match self.wait(READY_WITHIN, |demo, _| demo.stack.status().is_some_and(Status::is_ready)).await {
            Waited::Done => {}
            other @ (Waited::TooLong | Waited::Interrupted) => return other,
        }
        match self.wait(READING_WITHIN, |demo, _| demo.stack.assigned() >= objects::SUBSCRIPTIONS).await {
            Waited::Done | Waited::TooLong => Waited::Done,
            Waited::Interrupted => Waited::Interrupted,
        }
    }

    /// The ingress reads the contract by itself; its answer to the probe of the control plane says when it has.
    async fn until_route_is_there(&mut self, sender: &Sender) -> Waited {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if sender.is_route_there().await {
                return Waited::Done;
            }
            if self.wait(Duration::from_millis(50), |_, _| false).await == Waited::Interrupted {
                return Waited::Interrupted;
            }
        }
        Waited::TooLong
    }

    /// Sends the events and waits until everything has arrived.
    async fn send_events(&mut self, sender: &mut Sender, number: u32, expectation: &mut Expectation) -> Waited {
        let deadline = Instant::now() + ARRIVED_WITHIN + EACH_MORE * number;
        for _ in 0..number {
            let event = sender.next_event();
            expectation.add(&event);
            self.last_event.clone_from(&event.id);
            self.settled = 0;
            self.screen.expect_answer(&event.id, Instant::now());
            if self.send(sender, &event).await == Waited::Interrupted {
                return Waited::Interrupted;
            }
            let waited =
                if number <= ONE_BY_ONE { self.until_settled().await } else { self.wait(PACE, |_, _| false).await };
            if waited == Waited::Interrupted {
                return Waited::Interrupted;
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let memory = self.subscriber.memory();
        let has_arrived = |_: &Self, happening: &Happening| match happening {
            // Ten times a second is often enough for a look at everything.
            Happening::Tick => expectation.missing(&memory.lock()).is_empty(),
            Happening::Said(_) => false,
        };
        self.wait(left, has_arrived).await
    }

    /// Sends one event while what happens is shown: children that cannot write cannot answer.
    async fn send(&mut self, sender: &Sender, event: &Sent) -> Waited {
        let mut sending = std::pin::pin!(sender.send(event));
        let answer = loop {
            tokio::select! {
                () = self.signals.next() => return Waited::Interrupted,
                answer = &mut sending => break answer,
                happening = self.stack.next(&mut self.screen) => self.note(&happening),
            }
        };
        match answer {
            Ok(accepted) => self.screen.accepted(&accepted, Instant::now()),
            // It will be reported as missing, with everything else that is.
            Err(error) => self.screen.warning("send", &format!("{}: {error}", event.id)),
        }
        Waited::Done
    }

    /// Waits until all subscriptions have settled the last event, so that its rows stand together.
    async fn until_settled(&mut self) -> Waited {
        self.wait(ONE_EVENT_WITHIN, |demo, _| demo.settled >= objects::SUBSCRIPTIONS).await
    }

    /// Counts the subscriptions that have settled the last event.
    fn note(&mut self, happening: &Happening) {
        if let Happening::Said(Said::Line(_, Line::Step(Step::Finished(finished)))) = happening
            && finished.event_id == self.last_event
        {
            self.settled += 1;
        }
    }

    /// Shows what happens until `is_enough` says so, the time is over, or a signal comes.
    async fn wait(&mut self, at_most: Duration, mut is_enough: impl FnMut(&Self, &Happening) -> bool) -> Waited {
        let deadline = Instant::now() + at_most;
        loop {
            if Instant::now() >= deadline {
                return Waited::TooLong;
            }
            tokio::select! {
                () = self.signals.next() => return Waited::Interrupted,
                happening = self.stack.next(&mut self.screen) => {
                    self.note(&happening);
                    if is_enough(self, &happening) {
                        return Waited::Done;
                    }
                }
            }
        }
    }
}
