//! Brings Kafka's answer for one record back to the request that waits for it.
//!
//! librdkafka carries one opaque value with each record. Here it is a boxed slot with a one-shot channel in it; a slab of
//! reusable slots would fit behind `Slot::open` and `Receipt::wait` without touching anything else.

use std::time::{Duration, Instant};

use millrace_runtime::throttle::Throttle;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

use super::admission::Admission;
use super::contact::Contact;

/// Where Kafka stored a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What travels with a record through librdkafka.
#[derive(Debug)]
pub(super) struct Slot {
    answer: oneshot::Sender<Result<Delivered, KafkaError>>,
    // Held until Kafka has answered, also when the client that sent the event has gone.
    admission: Admission,
}

/// The waiting end of a slot.
#[derive(Debug)]
pub(super) struct Receipt(oneshot::Receiver<Result<Delivered, KafkaError>>);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The time is over; the record may still be stored later.
    TimedOut,
    /// The producer was dropped with the record in its queue.
    Dropped,
}

impl Slot {
    pub(super) fn open(admission: Admission) -> (Box<Self>, Receipt) {
        let (answer, receipt) = oneshot::channel();
        (Box::new(Self { answer, admission }), Receipt(receipt))
    }
}

impl Receipt {
    /// Waits for Kafka's answer, at most for `limit`. Dropping the future gives up the answer, not the record.
    /// After `TimedOut` it may be called again.
    pub(super) async fn wait(&mut self, limit: Duration) -> Result<Result<Delivered, KafkaError>, NoAnswer> {
        match tokio::time::timeout(limit, &mut self.0).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(NoAnswer::Dropped),
            Err(_) => Err(NoAnswer::TimedOut),
        }
    }
}

/// How often one kind of trouble is logged while it lasts; librdkafka reports it several times a second.
const REPEAT: Duration = Duration::from_secs(30);

/// What librdkafka calls back, on the producer's own polling thread. Nothing here may block.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) bootstrap_servers: String,
    pub(super) contact: Contact,
    troubles: Throttle<Option<RDKafkaErrorCode>>,
}

impl Context {
    pub(super) fn new(bootstrap_servers: &str) -> Self {
        let troubles = Throttle::new(REPEAT);
        Self { bootstrap_servers: bootstrap_servers.to_owned(), contact: Contact::default(), troubles }
    }
}

// librdkafka retries by itself, and each event that fails has its own answer: what it calls errors are warnings here.
impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let bootstrap = &self.bootstrap_servers;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(target: "librdkafka", bootstrap, facility, "{message}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                warn!(target: "librdkafka", bootstrap, facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                info!(target: "librdkafka", bootstrap, facility, "{message}");
            }
            RDKafkaLogLevel::Debug => debug!(target: "librdkafka", bootstrap, facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if code(&error) == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.contact.lost();
        }
        if self.troubles.is_news(code(&error), Instant::now()) {
            warn!(bootstrap = self.bootstrap_servers, %error, reason, "Kafka client reports a problem");
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Slot>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Box<Slot>) {
        let answer = match result {
            Ok(record) => {
                if self.contact.reached(self.contact.look()) {
                    info!(bootstrap = self.bootstrap_servers, "Kafka brokers are back, events are accepted");
                }
                Ok(Delivered { partition: record.partition(), offset: record.offset() })
            }
            Err((error, _)) => Err(error.clone()),
        };
        let Slot { answer: waiting, admission } = *slot;
        // The place is free before the request goes on, so that a client's next event finds it.
        drop(admission);
        // Nobody waits any more when the client went away or its time was over; the record is stored all the same.
        drop(waiting.send(answer));
    }
}

/// What librdkafka's error says about one record.
pub(super) fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    error.rdkafka_error_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lasting_trouble_is_logged_once_in_a_while_for_each_kind() {
        let context = Context::new("localhost:1");
        let (down, transport) =
            (Some(RDKafkaErrorCode::AllBrokersDown), Some(RDKafkaErrorCode::BrokerTransportFailure));
        let start = Instant::now();
        assert!(context.troubles.is_news(down, start));
        assert!(context.troubles.is_news(transport, start));
        assert!(!context.troubles.is_news(down, start + REPEAT / 2));
        assert!(context.troubles.is_news(down, start + REPEAT));
    }
}
