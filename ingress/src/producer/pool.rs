//! One producer for all targets with the same brokers, credentials, content mode and settings.
//!
//! Owned by the reconciler alone, so it needs no lock. It keeps weak references: a producer lives exactly as long as a
//! target uses it, and closes itself (see `Producer`) when the last one goes.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use millrace_config::contract::ContentMode;
use millrace_config::contract::credentials::{Credentials, TokenSource};
use millrace_runtime::drain::Drain;
use millrace_runtime::kafka_tokens::KafkaTokens;
use millrace_runtime::metrics::kafka_producer::ProducerFamilies;
use rdkafka::producer::Producer as _;
use tracing::warn;

use super::{Client, ClientError, Producer, Settings};

/// How long even a producer that died is kept: a broker that denies every new one is not asked more often than this.
const LIFE: Duration = Duration::from_secs(5);

/// What two targets must have in common to share a producer.
///
/// Bootstrap lists are compared as text, as the peer does: `a,b` and `b,a` make two producers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) bootstrap_servers: String,
    pub(crate) credentials: Credentials,
    /// Absent when the credentials need no tokens.
    pub(crate) tokens: Option<TokenSource>,
    pub(crate) content_mode: ContentMode,
    /// Counts the versions of the properties file, so that a changed file makes new producers.
    pub(crate) revision: u64,
}

/// The producers in use.
#[derive(Debug)]
pub(crate) struct Pool {
    producers: HashMap<Key, Weak<Producer>>,
    /// Absent when nobody wants metrics of clients.
    families: Option<ProducerFamilies>,
    tokens: KafkaTokens,
    /// Producers made so far.
    made: u64,
    drain: Drain,
}

impl Pool {
    pub(crate) fn new(drain: Drain, families: Option<ProducerFamilies>, tokens: KafkaTokens) -> Self {
        Self { producers: HashMap::new(), families, tokens, made: 0, drain }
    }

    /// The producer for `key`: the one in use unless it is dead, or a new one made from `settings`. Blocks for a few milliseconds, does
    /// not wait for a broker.
    ///
    /// # Errors
    ///
    /// When librdkafka refuses the settings.
    pub(crate) fn get(&mut self, key: &Key, settings: &Settings) -> Result<Arc<Producer>, ClientError> {
        if let Some(producer) = self.producers.get(key).and_then(Weak::upgrade) {
            match producer.fatal_error().filter(|_| producer.is_dead()) {
                Some(error) => warn!(error, "Producer failed for good, it is replaced"),
                None => return Ok(producer),
            }
        }
        self.producers.retain(|_, producer| producer.strong_count() > 0);
        let series = self.families.as_ref().map(|families| families.producer(self.made + 1));
        let tokens = key.tokens.as_ref().map(|source| self.tokens.keeper(source));
        let client = Client::create(&key.bootstrap_servers, &key.credentials, settings, series, tokens)?;
        self.made += 1;
        let producer = Arc::new(Producer::new(client, settings, self.drain.clone()));
        self.producers.insert(key.clone(), Arc::downgrade(&producer));
        Ok(producer)
    }

    /// Producers in use.
    pub(crate) fn len(&self) -> usize {
        self.producers.values().filter(|producer| producer.strong_count() > 0).count()
    }
}

impl Producer {
    /// Whether librdkafka gave it up for good, as it does with an idempotent producer whose id is denied or whose
    /// sequence broke: it refuses every record from then on. Not before it lived for `LIFE`.
    pub(crate) fn is_dead(&self) -> bool {
        self.made.elapsed() >= LIFE && self.fatal_error().is_some()
    }

    fn fatal_error(&self) -> Option<String> {
        let Client(client) = self.client.as_ref()?;
        client.client().fatal_error().map(|(_, reason)| reason)
    }
}
