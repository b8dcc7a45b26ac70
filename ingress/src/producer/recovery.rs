//! Finds out when a producer that lost all brokers has one again.
//!
//! librdkafka reconnects by itself, but only somebody who asks for something learns of it. Records would do, if any were
//! accepted; so while they are refused, a thread asks for metadata. It begins with the first event after the report, not
//! with the report: brokers that came back in a quiet night are found by that event, and nothing is refused for it.
//! At most one thread a producer; it ends with the trouble, or with the producer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rdkafka::producer::{Producer as _, ThreadedProducer};
use tracing::{info, warn};

use super::contact::State;
use super::delivery::Context;

/// How long brokers may be away before events are refused: longer than a lost connection, shorter than a sender's
/// patience.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// How long one question waits for a broker.
const QUESTION: Duration = Duration::from_secs(1);

/// Between two questions, because some fail at once.
const PAUSE: Duration = Duration::from_millis(250);

/// The one place for a thread.
#[derive(Debug, Default)]
pub(super) struct Recovery(Arc<AtomicBool>);

/// A thread's hold of that place, given back also when it panics.
struct Place(Arc<AtomicBool>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Recovery {
    /// Makes sure that somebody asks. `topic` is one that events are for: no other may be asked for without creating it.
    /// Does not block.
    pub(super) fn begin(&self, client: &Arc<ThreadedProducer<Context>>, topic: &str) {
        if self.0.swap(true, Ordering::AcqRel) {
            return;
        }
        let place = Place(Arc::clone(&self.0));
        let (client, topic) = (Arc::downgrade(client), topic.to_owned());
        let ask = move || {
            ask(&client, &topic);
            drop(place);
        };
        if let Err(error) = std::thread::Builder::new().name("producer-recovery".to_owned()).spawn(ask) {
            // The next event tries again; until then events wait, as they do while brokers are only in doubt.
            warn!(%error, "No thread to ask for brokers");
        }
    }
}

/// Asks until something got through. Blocks.
fn ask(client: &Weak<ThreadedProducer<Context>>, topic: &str) {
    let begun = Instant::now();
    loop {
        let Some(client) = client.upgrade() else { return };
        let Context { contact, bootstrap_servers: bootstrap, .. } = &**client.client().context();
        // Before the question: an answer says nothing about brokers lost after it.
        let seen = contact.look();
        if matches!(seen.state(), State::Unproven | State::Reached) {
            return;
        }
        match client.client().fetch_metadata(Some(topic), QUESTION) {
            Ok(_) if contact.reached(seen) => info!(bootstrap, "Kafka brokers are back, events are accepted"),
            Ok(_) => {}
            Err(error) if begun.elapsed() >= GRACE && contact.gone() => {
                warn!(bootstrap, %error, "No Kafka broker can be reached, events are refused until one is back");
            }
            Err(_) => {}
        }
        // Not held while waiting: the producer must be able to go.
        drop(client);
        std::thread::sleep(PAUSE);
    }
}
