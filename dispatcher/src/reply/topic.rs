//! Stores records in Kafka for the dispatcher: replies in the resource's topic, undelivered records in theirs.
//!
//! One producer for all egresses with the same brokers. Waiting for the acknowledgement never blocks a thread, and a
//! full queue is an error at once.
//! Source: dispatcher spec 4.4 and 9.3; design section 5, Kafka client rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use millrace_event::{Event, kafka_binding};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use crate::delivery::request::Trace;
use crate::record::Record;

/// How long a question to the broker about a topic may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A producer and what is needed to create topics on the same brokers. It connects at the first record, because most
/// egresses never store one.
pub(crate) struct RecordProducer {
    config: ClientConfig,
    producer: OnceLock<FutureProducer>,
    /// Held while the producer is made, so that only one is.
    making: Mutex<()>,
    /// Topics that are known to exist.
    topics: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for RecordProducer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The configuration may hold credentials.
        formatter.write_str("RecordProducer")
    }
}

/// Why a record is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    #[error("producer was closed")]
    Closed,
}

impl StoreError {
    /// The user may not write there, or may not create the topic.
    pub(crate) fn is_authorization(&self) -> bool {
        match self {
            Self::Kafka(error) => matches!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed)
            ),
            Self::Closed => false,
        }
    }
}

impl RecordProducer {
    /// A producer with these librdkafka settings, which are checked at the first record.
    pub(crate) fn new(client: &BTreeMap<String, String>) -> Self {
        let mut config = ClientConfig::new();
        for (key, value) in client {
            config.set(key, value);
        }
        Self { config, producer: OnceLock::new(), making: Mutex::default(), topics: Mutex::default() }
    }

    fn producer(&self) -> Result<&FutureProducer, KafkaError> {
        if let Some(producer) = self.producer.get() {
            return Ok(producer);
        }
        let _only_one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        match self.producer.get() {
            Some(producer) => Ok(producer),
            None => {
                let producer = self.config.create()?;
                Ok(self.producer.get_or_init(|| producer))
            }
        }
    }

    /// Stores an event in binary mode, keyed by its `partitionkey`, and waits for the acknowledgement.
    ///
    /// # Errors
    ///
    /// When the broker does not acknowledge in time or refuses, or the queue is full.
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
        let delivery = self.producer()?.send_result(record).map_err(|(error, _record)| StoreError::Kafka(error))?;
        match delivery.await {
            Ok(Ok(_delivered)) => Ok(()),
            Ok(Err((error, _message))) => Err(StoreError::Kafka(error)),
            Err(_cancelled) => Err(StoreError::Closed),
        }
    }

    /// Makes sure that `topic` exists, with as many partitions as `like`. Blocks: not for a runtime thread.
    ///
    /// # Errors
    ///
    /// When the broker does not answer or does not allow it.
    pub(crate) fn ensure_topic(&self, topic: &str, like: &str) -> Result<(), StoreError> {
        if self.topics.lock().unwrap_or_else(PoisonError::into_inner).contains(topic) {
            return Ok(());
        }
        self.create_unless_there(topic, like)?;
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        Ok(())
    }

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
        let admin: AdminClient<DefaultClientContext> = self.config.create()?;
        let new = NewTopic::new(topic, i32::try_from(partitions.max(1)).unwrap_or(1), TopicReplication::Fixed(-1));
        let options = AdminOptions::new().operation_timeout(Some(ADMIN_TIMEOUT)).request_timeout(Some(ADMIN_TIMEOUT));
        let runtime = tokio::runtime::Handle::current();
        for result in runtime.block_on(admin.create_topics([&new], &options))? {
            match result {
                Ok(_created) => {}
                Err((_topic, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_topic, code)) => return Err(StoreError::Kafka(KafkaError::AdminOp(code))),
            }
        }
        Ok(())
    }
}

/// Taken out and put back for each header, because adding one consumes the list.
struct RecordHeaders(Option<OwnedHeaders>);

impl kafka_binding::RecordHeaders for RecordHeaders {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.0 = self.0.take().map(|headers| headers.insert(Header { key: name, value: Some(value) }));
    }
}
