//! Hands records to Kafka and waits for its answer. The only part of ingress that knows the Kafka client.
//!
//! `ThreadedProducer` with our own context: `FutureProducer` sleeps in steps of 100 ms when its queue is full, here a
//! full queue is an answer.
//!
//! While no broker can be reached, events are not held for as long as a record may wait. Until anything got through, or
//! after all brokers were reported down, an event is answered after `max.block.ms` at most, as with the peer; once brokers
//! stayed away for some seconds, further events are refused at once (`contact`, `recovery`). Records that are in the queue
//! stay there for their `delivery.timeout.ms` in any case. Source: spec ingress 2, design section 5.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_config::contract::ContentMode;
use millrace_config::contract::credentials::Credentials;
use millrace_config::properties::kafka::ProducerSettings;
use millrace_event::kafka_binding::{self, RecordHeaders};
use millrace_event::{Event, EventError};
use millrace_runtime::drain::Drain;
use millrace_runtime::kafka_tokens::Keeper;
use millrace_runtime::metrics::kafka_producer::{ProducerSeries, STATISTICS_MILLIS};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tracing::{info, warn};

pub(crate) mod admission;
pub(crate) mod contact;
mod delivery;
mod headers;
pub(crate) mod pool;
mod recovery;

use admission::{Admission, Budget, Limits, Share};
use contact::{Contact, State};
pub(crate) use delivery::Delivered;
use delivery::{Context, Receipt, Slot, TimedOut};
use headers::HeaderList;
use recovery::Recovery;

/// Bytes under way when the properties do not say: the peer's default `buffer.memory`.
const DEFAULT_QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// How records are produced, from the producer properties.
pub(crate) type Settings = ProducerSettings;

/// A producer that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot create a Kafka producer for {bootstrap_servers}")]
pub(crate) struct ClientError {
    bootstrap_servers: String,
    source: KafkaError,
}

/// A record that Kafka does not have, as far as we know.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProduceError {
    #[error("the record is larger than topic {topic} or this ingress allows")]
    TooLarge { topic: String },
    #[error("too many events for topic {topic} wait for Kafka")]
    QueueFull { topic: String },
    #[error("no Kafka broker for topic {topic} can be reached")]
    NoBroker { topic: String },
    #[error("Kafka did not acknowledge the record for topic {topic} in time; it may be stored all the same")]
    TimedOut { topic: String },
    #[error("topic {topic} does not exist")]
    UnknownTopic { topic: String },
    #[error("Kafka does not allow this ingress to write to topic {topic}")]
    NotAllowed { topic: String },
    #[error("the producer for topic {topic} was closed")]
    Closed { topic: String },
    #[error("Kafka did not take the record for topic {topic}")]
    Client { topic: String, source: KafkaError },
    #[error(transparent)]
    Event(EventError),
}

#[cfg(test)]
impl ProduceError {
    /// Any error of the client's own, for tests that may not know the client.
    pub(crate) fn cancelled(topic: String) -> Self {
        Self::Client { topic, source: KafkaError::Canceled }
    }
}

/// The client, before anybody uses it.
struct Client(Arc<ThreadedProducer<Context>>);

/// A Kafka producer with its bounds. Flushed and closed on a thread of its own when the last target drops it.
pub(crate) struct Producer {
    // Absent only while being dropped.
    client: Option<Client>,
    contact: Contact,
    budget: Arc<Budget>,
    recovery: Recovery,
    made: Instant,
    /// How long a request may wait for its record while brokers are not known to be there: `max.block.ms`.
    patience: Duration,
    /// How long a request may wait for its record.
    deadline: Duration,
    drain: Drain,
}

/// A record on its way, whose answer is still to come.
#[must_use]
pub(crate) struct Begun(Receipt);

/// One event on its way to one topic.
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) content_mode: ContentMode,
    pub(crate) event: &'a Event<'a>,
    /// W3C trace context of the request; written before the event's own headers.
    pub(crate) trace: &'a [(&'static str, Cow<'a, [u8]>)],
}

impl Client {
    fn create(
        bootstrap_servers: &str,
        credentials: &Credentials,
        settings: &Settings,
        series: Option<ProducerSeries>,
        tokens: Option<Arc<Keeper>>,
    ) -> Result<Self, ClientError> {
        let failed = |source| ClientError { bootstrap_servers: bootstrap_servers.to_owned(), source };
        let mut config = ClientConfig::new();
        // Telemetry nobody asked for costs some 370 KiB a client.
        config.set("client.id", "millrace-ingress").set("enable.metrics.push", "false");
        config.set("statistics.interval.ms", series.as_ref().map_or("0", |_| STATISTICS_MILLIS));
        for (key, value) in settings.client_for(bootstrap_servers, credentials) {
            config.set(key, value);
        }
        let client = config.create_with_context(Context::new(bootstrap_servers, series, tokens));
        client.map(|client| Self(Arc::new(client))).map_err(failed)
    }

    fn contact(&self) -> &Contact {
        &self.0.client().context().contact
    }
}

impl Producer {
    fn new(client: Client, settings: &Settings, drain: Drain) -> Self {
        let kbytes = settings.client.get("queue.buffering.max.kbytes").and_then(|kbytes| kbytes.parse::<usize>().ok());
        let limits = Limits {
            records: settings.queue_max,
            bytes: kbytes.map_or(DEFAULT_QUEUE_BYTES, |kbytes| kbytes.saturating_mul(1024)),
        };
        let deadline = settings.deadline.unwrap_or(settings.max_block + settings.delivery_timeout);
        let (contact, patience) = (client.contact().clone(), settings.max_block.min(deadline));
        let (budget, recovery, made) = (Budget::new(limits), Recovery::default(), Instant::now());
        Self { client: Some(client), contact, budget, recovery, made, patience, deadline, drain }
    }

    /// Whether the brokers are there, as far as is known.
    pub(crate) fn contact(&self) -> &Contact {
        &self.contact
    }

    /// A new target's share of the bounds.
    pub(crate) fn share(&self) -> Arc<Share> {
        Share::of(&self.budget)
    }

    /// Puts one record on its way.
    ///
    /// # Errors
    ///
    /// When no broker is there, or when the record cannot be sent at all.
    pub(crate) fn begin(&self, outgoing: &Outgoing<'_>, admission: Admission) -> Result<Begun, ProduceError> {
        self.expect_brokers(outgoing.topic)?;
        self.enqueue(outgoing, admission).map(Begun)
    }

    /// Waits until Kafka has a record. Dropping the future does not take the record back.
    ///
    /// # Errors
    ///
    /// When Kafka does not confirm the record in time; after `TimedOut` it may still be stored.
    pub(crate) async fn finish(&self, Begun(receipt): Begun, topic: &str) -> Result<Delivered, ProduceError> {
        match self.answer(receipt).await {
            Ok(Ok(delivered)) => Ok(delivered),
            Ok(Err(error)) => Err(meaning(error, topic)),
            Err(TimedOut) => Err(ProduceError::TimedOut { topic: topic.to_owned() }),
        }
    }

    /// Errs while events are refused. Costs one atomic load as long as all is well.
    fn expect_brokers(&self, topic: &str) -> Result<(), ProduceError> {
        let state = self.contact.state();
        match (state, &self.client) {
            (State::Doubtful | State::Away, Some(Client(client))) => self.recovery.begin(client, topic),
            (State::Doubtful | State::Away, None) | (State::Unproven | State::Reached, _) => {}
        }
        if state == State::Away { Err(ProduceError::NoBroker { topic: topic.to_owned() }) } else { Ok(()) }
    }

    /// Waits for Kafka's answer: the whole time only if brokers are known to be there when `max.block.ms` is over.
    async fn answer(&self, mut receipt: Receipt) -> Result<Result<Delivered, KafkaError>, TimedOut> {
        match receipt.wait(self.patience).await {
            Err(TimedOut) if self.contact.state() == State::Reached => {
                receipt.wait(self.deadline - self.patience).await
            }
            answer => answer,
        }
    }

    /// Copies the record into librdkafka's queue. Never blocks.
    fn enqueue(&self, outgoing: &Outgoing<'_>, admission: Admission) -> Result<Receipt, ProduceError> {
        let &Outgoing { topic, content_mode, event, trace } = outgoing;
        let Some(Client(client)) = &self.client else {
            return Err(ProduceError::Closed { topic: topic.to_owned() });
        };
        let mut headers = HeaderList::new();
        for (name, value) in trace {
            headers.add(name, value);
        }
        let structured;
        let payload = match content_mode {
            ContentMode::Binary => {
                kafka_binding::write_binary(event, &mut headers);
                kafka_binding::payload(event)
            }
            ContentMode::Structured => {
                structured = kafka_binding::write_structured(event, &mut headers).map_err(ProduceError::Event)?;
                Some(structured.as_slice())
            }
        };
        let key = kafka_binding::key(event);
        let (slot, receipt) = Slot::open(admission);
        let mut record = BaseRecord::with_opaque_to(topic, slot).headers(headers.finish());
        record.payload = payload;
        record.key = key.as_deref();
        client.send(record).map_err(|(error, _)| meaning(error, topic))?;
        Ok(receipt)
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("budget", &self.budget)
            .field("contact", &self.contact)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let Some(Client(client)) = self.client.take() else { return };
        let drain = self.drain.clone();
        let limit = if drain.is_started() { drain.remaining() } else { self.deadline };
        // Not here: flushing and closing block, and the last reference may go on a thread that serves requests. The
        // token makes a drain wait for it.
        let token = drain.tracker().token();
        let close = move || {
            let waiting = client.in_flight_count();
            match client.flush(limit) {
                Ok(()) => info!(records = waiting, "Producer flushed and closed"),
                Err(error) => {
                    let lost = client.in_flight_count();
                    warn!(records = lost, %error, "Producer closed before its records were acknowledged");
                }
            }
            drop(client);
            drop(token);
        };
        let spawned = std::thread::Builder::new().name("producer-close".to_owned()).spawn(close);
        if let Err(error) = spawned {
            warn!(%error, "Producer closed without flushing: no thread for it");
        }
    }
}

/// What a client error means for the event.
fn meaning(error: KafkaError, topic: &str) -> ProduceError {
    let topic = topic.to_owned();
    let Some(code) = delivery::code(&error) else { return ProduceError::Client { topic, source: error } };
    let is = |codes: &[RDKafkaErrorCode]| codes.contains(&code);
    if is(&[RDKafkaErrorCode::MessageSizeTooLarge, RDKafkaErrorCode::InvalidMessageSize]) {
        ProduceError::TooLarge { topic }
    } else if is(&[RDKafkaErrorCode::QueueFull]) {
        ProduceError::QueueFull { topic }
    } else if is(&[RDKafkaErrorCode::MessageTimedOut, RDKafkaErrorCode::RequestTimedOut]) {
        ProduceError::TimedOut { topic }
    } else if is(&[RDKafkaErrorCode::UnknownTopic, RDKafkaErrorCode::UnknownTopicOrPartition]) {
        ProduceError::UnknownTopic { topic }
    } else if is(&[RDKafkaErrorCode::TopicAuthorizationFailed, RDKafkaErrorCode::ClusterAuthorizationFailed]) {
        ProduceError::NotAllowed { topic }
    } else if is(&[RDKafkaErrorCode::PurgeQueue, RDKafkaErrorCode::PurgeInflight]) {
        ProduceError::Closed { topic }
    } else {
        ProduceError::Client { topic, source: error }
    }
}

#[cfg(test)]
mod tests;
