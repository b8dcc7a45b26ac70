//! One producer for all targets with the same brokers, credentials, content mode and settings.
//!
//! Owned by the reconciler alone, so it needs no lock. It keeps weak references: a producer lives exactly as long as a
//! target uses it, and closes itself (see `Producer`) when the last one goes.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use millrace_config::contract::ContentMode;
use millrace_config::contract::credentials::{Credentials, TokenSource};
use millrace_runtime::drain::Drain;
use millrace_runtime::kafka_tokens::KafkaTokens;
use millrace_runtime::metrics::kafka_producer::ProducerFamilies;

use super::{Client, ClientError, Producer, Settings};

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

    /// The producer for `key`: the one in use, or a new one made from `settings`. Blocks for a few milliseconds, does
    /// not wait for a broker.
    ///
    /// # Errors
    ///
    /// When librdkafka refuses the settings.
    pub(crate) fn get(&mut self, key: &Key, settings: &Settings) -> Result<Arc<Producer>, ClientError> {
        if let Some(producer) = self.producers.get(key).and_then(Weak::upgrade) {
            return Ok(producer);
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
