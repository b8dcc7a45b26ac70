//! Posts many events over a few kept connections and says what became of each.
//!
//! Closed loop: a connection sends its next event after the answer to the last. A connection that breaks is opened again
//! for the next event; an event is never sent twice, so that an id without an answer is visible as such.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::contract::Channel;
use crate::event::TestEvent;
use crate::raw_http::RawClient;

/// The events that were sent and what was answered; `None` is no answer.
pub type Outcomes = Vec<(String, Option<u16>)>;

/// A running load; goes on until it is stopped or has sent its last event.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    outcomes: Arc<Mutex<Outcomes>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts so many connections that post at most so many events named `PREFIX-N`.
    #[must_use]
    pub fn start(address: SocketAddr, channel: &Channel, prefix: &str, connections: usize, events: usize) -> Self {
        let mut load =
            Self { stop: Arc::default(), sent: Arc::default(), outcomes: Arc::default(), threads: Vec::new() };
        for _ in 0..connections {
            let (stop, sent, outcomes) = (Arc::clone(&load.stop), Arc::clone(&load.sent), Arc::clone(&load.outcomes));
            let (host, path, prefix) = (channel.host(), channel.path(), prefix.to_owned());
            load.threads.push(thread::spawn(move || {
                let mut client = None;
                while !stop.load(Ordering::Relaxed) {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        break;
                    }
                    let id = format!("{prefix}-{number}");
                    let status = post(&mut client, address, &host, &path, &id);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((id, status));
                }
            }));
        }
        load
    }

    /// How many events have been answered or have failed so far.
    #[must_use]
    pub fn done(&self) -> usize {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sends no more and gives all outcomes.
    #[must_use]
    pub fn stop(self) -> Outcomes {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Waits for the last event and gives all outcomes.
    ///
    /// # Panics
    /// When a connection's thread did.
    #[must_use]
    pub fn finish(self) -> Outcomes {
        for thread in self.threads {
            thread.join().expect("a load thread does not panic");
        }
        std::mem::take(&mut *self.outcomes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The ids that were accepted.
#[must_use]
pub fn accepted(outcomes: &Outcomes) -> Vec<String> {
    outcomes.iter().filter(|(_, status)| *status == Some(202)).map(|(id, _)| id.clone()).collect()
}

fn post(client: &mut Option<RawClient>, address: SocketAddr, host: &str, path: &str, id: &str) -> Option<u16> {
    let mut connection = client.take().or_else(|| RawClient::connect(address).ok())?;
    let answer = connection.post(host, path, &TestEvent::new(id)).ok()?;
    if answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
        *client = Some(connection);
    }
    Some(answer.status)
}
