//! Stores records in Kafka for the dispatcher: replies in the resource's topic, undelivered records in theirs.
//!
//! One producer for all egresses with the same brokers. Waiting never blocks a thread, neither for the acknowledgement nor
//! for room in a full queue.
//! Source: dispatcher spec 4.4 and 9.3; design section 5, Kafka client rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use millrace_event::{Event, kafka_binding};
use millrace_runtime::metrics::kafka_producer::{ProducerFamilies, ProducerSeries, STATISTICS_MILLIS};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use crate::delivery::request::Trace;
use crate::record::Record;

mod client;
pub(crate) mod tokens;

use client::Client;
use tokens::TokenContext;

/// How often a record that waits for room looks for it.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

/// How long a question to the broker about a topic may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A producer and what is needed to create topics on the same brokers. It connects at the first record, because most
/// egresses never store one.
pub(crate) struct RecordProducer {
    config: ClientConfig,
    context: TokenContext,
    producer: OnceLock<FutureProducer<Client>>,
    /// Where it shows itself once it is used, and as which one.
    measured: Option<(ProducerFamilies, u64)>,
    series: OnceLock<ProducerSeries>,
    /// How long a record may wait for room in the producer's queue: `max.block.ms`.
    room_wait: Duration,
    /// Held while the producer is made, so that only one is.
    making: Mutex<()>,
    /// Topics that are known to exist.
    topics: Mutex<BTreeSet<String>>,
    /// Held by whoever asks for a topic; the topic of the last failure, when it was, and what.
    ensuring: tokio::sync::Mutex<Option<(String, Instant, StoreError)>>,
}

impl std::fmt::Debug for RecordProducer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The configuration may hold credentials.
        formatter.write_str("RecordProducer")
    }
}

/// Why a record is not stored.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    #[error("topic cannot be created: {0}")]
    NotCreated(RDKafkaErrorCode),
    #[error("producer was closed")]
    Closed,
}

impl StoreError {
    /// The user may not write there, or may not create the topic.
    pub(crate) fn is_authorization(&self) -> bool {
        matches!(
            self.code(),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed)
        )
    }

    /// The topic, or the producer's own `max.request.size`, takes no record of this size.
    pub(crate) fn is_too_large(&self) -> bool {
        self.code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
    }

    fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Self::Kafka(error) => error.rdkafka_error_code(),
            Self::NotCreated(code) => Some(*code),
            Self::Closed => None,
        }
    }
}

impl RecordProducer {
    /// A producer with these librdkafka settings, which are checked at the first record. While its queue is full a record
    /// waits for `room_wait`.
    pub(crate) fn new(client: &BTreeMap<String, String>, context: TokenContext, room_wait: Duration) -> Self {
        let mut config = ClientConfig::new();
        for (key, value) in client {
            config.set(key, value);
        }
        let (making, topics, ensuring) = (Mutex::default(), Mutex::default(), tokio::sync::Mutex::default());
        let (producer, series) = (OnceLock::new(), OnceLock::new());
        Self { config, context, producer, measured: None, series, room_wait, making, topics, ensuring }
    }

    /// It shows itself as the producer with this number.
    pub(crate) fn measured(self, measured: Option<(ProducerFamilies, u64)>) -> Self {
        Self { measured, ..self }
    }

    fn producer(&self) -> Result<&FutureProducer<Client>, KafkaError> {
        if let Some(producer) = self.producer.get() {
            return Ok(producer);
        }
        let _only_one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        match self.producer.get() {
            Some(producer) => Ok(producer),
            None => {
                let series = self.measured.as_ref().map(|(families, number)| families.producer(*number));
                if let Some(series) = &series {
                    self.series.get_or_init(|| series.clone());
                }
                let mut config = self.config.clone();
                config.set("statistics.interval.ms", series.as_ref().map_or("0", |_| STATISTICS_MILLIS));
                let producer = config.create_with_context(Client { tokens: self.context.clone(), series })?;
                Ok(self.producer.get_or_init(|| producer))
            }
        }
    }

    /// Stores an event in binary mode, keyed by its `partitionkey`, and waits for the acknowledgement.
    ///
    /// # Errors
    ///
    /// When the broker does not acknowledge in time or refuses, or the queue stays full.
    pub(crate) async fn store_event(&self, topic: &str, event: &Event<'_>, trace: Trace<'_>) -> Result<(), StoreError> {
        let mut headers = RecordHeaders(Some(OwnedHeaders::new()));
        for (name, value) in
            [("traceparent", trace.traceparent), ("tracestate", trace.tracestate), ("baggage", trace.baggage)]
        {
            if let Some(value) = value {
                kafka_binding::RecordHeaders::add(&mut headers, name, value);
            }
        }
        kafka_binding::write_binary(event, &mut headers);
        let key = kafka_binding::key(event);
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).headers(headers.0.unwrap_or_default());
        record.key = key.as_deref();
        record.payload = kafka_binding::payload(event);
        self.store(record).await
    }

    /// Stores a record as it was read, with more headers behind its own.
    ///
    /// # Errors
    ///
    /// As [`RecordProducer::store_event`].
    pub(crate) async fn store_copy(
        &self,
        topic: &str,
        original: &Record,
        more: &[(&str, String)],
    ) -> Result<(), StoreError> {
        let mut headers = OwnedHeaders::new();
        for (key, value) in original.headers() {
            headers = headers.insert(Header { key, value });
        }
        for (key, value) in more {
            headers = headers.insert(Header { key, value: Some(value.as_bytes()) });
        }
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).headers(headers);
        record.key = original.key();
        record.payload = original.value();
        record.timestamp = original.timestamp_ms;
        self.store(record).await
    }

    async fn store(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<(), StoreError> {
        let (producer, deadline) = (self.producer()?, Instant::now() + self.room_wait);
        let mut next = record;
        let delivery = loop {
            next = match producer.send_result(next) {
                Ok(delivery) => break delivery,
                Err((error, record)) if is_full(&error) && Instant::now() < deadline => record,
                Err((error, _record)) => return Err(StoreError::Kafka(error)),
            };
            tokio::time::sleep(ROOM_PAUSE).await;
        };
        match delivery.await {
            Ok(Ok(_delivered)) => Ok(()),
            Ok(Err((error, _message))) => {
                if let Some(series) = self.series.get() {
                    series.failed();
                }
                Err(StoreError::Kafka(error))
            }
            Err(_cancelled) => Err(StoreError::Closed),
        }
    }

    /// Makes sure that `topic` exists, with as many partitions as `like`. One asks, and all who wait meanwhile share what
    /// comes of it, so that many events that fail at once leave threads to others.
    ///
    /// # Errors
    ///
    /// When the broker does not answer or does not allow it.
    pub(crate) async fn ensure_topic(self: &Arc<Self>, topic: &str, like: &str) -> Result<(), StoreError> {
        if self.has(topic) {
            return Ok(());
        }
        let asked = Instant::now();
        let mut failed = self.ensuring.lock().await;
        if self.has(topic) {
            return Ok(());
        }
        if let Some((_, _, error)) = failed.as_ref().filter(|(name, at, _)| name == topic && *at >= asked) {
            return Err(error.clone());
        }
        let ensured = {
            let (producer, topic, like) = (Arc::clone(self), topic.to_owned(), like.to_owned());
            tokio::task::spawn_blocking(move || producer.create_unless_there(&topic, &like)).await
        };
        let ensured = ensured.unwrap_or(Err(StoreError::Closed));
        match &ensured {
            Ok(()) => {
                self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
            }
            Err(error) => *failed = Some((topic.to_owned(), Instant::now(), error.clone())),
        }
        ensured
    }

    fn has(&self, topic: &str) -> bool {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).contains(topic)
    }

    /// Blocks: not for a runtime thread.
    fn create_unless_there(&self, topic: &str, like: &str) -> Result<(), StoreError> {
        let client = self.producer()?.client();
        let known = client.fetch_metadata(Some(topic), ADMIN_TIMEOUT)?;
        let exists = known.topics().iter().any(|found| found.name() == topic && found.error().is_none());
        if exists {
            return Ok(());
        }
        let metadata = client.fetch_metadata(Some(like), ADMIN_TIMEOUT)?;
        let partitions =
            metadata.topics().iter().find(|found| found.name() == like).map_or(1, |t| t.partitions().len());
        let admin = tokens::admin(&self.config, &self.context)?;
        let new = NewTopic::new(topic, i32::try_from(partitions.max(1)).unwrap_or(1), TopicReplication::Fixed(-1));
        let options = AdminOptions::new().operation_timeout(Some(ADMIN_TIMEOUT)).request_timeout(Some(ADMIN_TIMEOUT));
        let runtime = tokio::runtime::Handle::current();
        for result in runtime.block_on(admin.create_topics([&new], &options))? {
            created(&result)?;
        }
        Ok(())
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

/// Somebody else may have been quicker.
fn created(result: &TopicResult) -> Result<(), StoreError> {
    match result {
        Ok(_created) => Ok(()),
        Err((_topic, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
        Err((_topic, code)) => Err(StoreError::NotCreated(*code)),
    }
}

/// Taken out and put back for each header, because adding one consumes the list.
struct RecordHeaders(Option<OwnedHeaders>);

impl kafka_binding::RecordHeaders for RecordHeaders {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.0 = self.0.take().map(|headers| headers.insert(Header { key: name, value: Some(value) }));
    }
}

#[cfg(test)]
mod tests;
