//! One producer for all egresses with the same brokers, credentials and settings.
//!
//! Keeps weak references: a producer lives as long as a pipeline uses it. Locked when pipelines are built, never on an
//! event's path.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use millrace_config::contract::credentials::{Credentials, CredentialsError, TokenSource};
use millrace_config::properties::kafka::ProducerSettings;
use millrace_runtime::kafka_tokens::KafkaTokens;
use millrace_runtime::metrics::kafka_producer::ProducerFamilies;

use super::topic::RecordProducer;
use super::topic::tokens::TokenContext;

/// The producers in use, by everything librdkafka is told. Clones share them.
#[derive(Clone)]
pub(crate) struct Producers {
    in_use: Arc<Mutex<HashMap<Client, Weak<RecordProducer>>>>,
    tokens: KafkaTokens,
    /// Absent when nobody wants metrics of clients.
    families: Option<ProducerFamilies>,
    /// Producers made so far.
    made: Arc<AtomicU64>,
}

type Client = (BTreeMap<String, String>, Option<TokenSource>);

impl fmt::Debug for Producers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings may hold credentials.
        f.write_str("Producers")
    }
}

impl Producers {
    /// None is in use yet; those that need tokens get them from `tokens`.
    pub(crate) fn new(tokens: KafkaTokens) -> Self {
        Self { in_use: Arc::default(), tokens, families: None, made: Arc::default() }
    }

    /// Each shows itself in `families` once it is used.
    pub(crate) fn measured(self, families: Option<ProducerFamilies>) -> Self {
        Self { families, ..self }
    }

    /// The producer in use, or a new one, which connects at its first record.
    ///
    /// # Errors
    ///
    /// When the credentials need tokens and nothing gives any.
    pub(crate) fn get(
        &self,
        bootstrap_servers: &str,
        credentials: &Credentials,
        settings: &ProducerSettings,
    ) -> Result<Arc<RecordProducer>, CredentialsError> {
        let source = credentials.token_source(settings.tokens.as_ref())?;
        let client = (settings.client_for(bootstrap_servers, credentials), source);
        let mut producers = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = producers.get(&client).and_then(Weak::upgrade) {
            return Ok(producer);
        }
        producers.retain(|_, producer| producer.strong_count() > 0);
        let context = TokenContext(client.1.as_ref().map(|source| self.tokens.keeper(source)));
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let measured = self.families.clone().map(|families| (families, number));
        let producer = Arc::new(RecordProducer::new(&client.0, context, settings.max_block).measured(measured));
        producers.insert(client, Arc::downgrade(&producer));
        Ok(producer)
    }
}

#[cfg(test)]
mod tests {
    //! Who shares a producer.

    use millrace_config::properties::{Properties, kafka};

    use super::*;

    #[test]
    fn equal_brokers_credentials_and_settings_share_a_producer_while_it_is_used() {
        let drain = millrace_runtime::drain::Drain::new(std::time::Duration::ZERO);
        let producers = Producers::new(KafkaTokens::new(millrace_config::env::AwsEnv::default(), drain));
        let settings = kafka::producer(&Properties::new()).unwrap();
        let get = |servers, credentials: &_| producers.get(servers, credentials, &settings).unwrap();
        let plain = Credentials::plaintext();
        let secret = [("protocol", "SSL"), ("user.skip", "true")].map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec()));
        let tls = Credentials::from_secret(&secret.into_iter().collect()).unwrap();
        let first = get("a:1", &plain);
        assert!(Arc::ptr_eq(&first, &get("a:1", &plain)));
        assert!(!Arc::ptr_eq(&first, &get("b:1", &plain)));
        assert!(!Arc::ptr_eq(&first, &get("a:1", &tls)));
        drop(first);
        get("c:1", &plain);
        assert_eq!(producers.in_use.lock().unwrap().len(), 1, "those that nobody uses are forgotten");
    }
}
