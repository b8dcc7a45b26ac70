//! One producer for all egresses with the same brokers, credentials and settings.
//!
//! Keeps weak references: a producer lives as long as a pipeline uses it. Locked when pipelines are built, never on an
//! event's path.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use millrace_config::contract::credentials::Credentials;
use millrace_config::properties::kafka::ProducerSettings;

use super::topic::RecordProducer;

/// The producers in use, by everything librdkafka is told. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Producers(Arc<Mutex<HashMap<Client, Weak<RecordProducer>>>>);

type Client = BTreeMap<String, String>;

impl fmt::Debug for Producers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings may hold credentials.
        f.write_str("Producers")
    }
}

impl Producers {
    /// The producer in use, or a new one, which connects at its first record.
    pub(crate) fn get(
        &self,
        bootstrap_servers: &str,
        credentials: &Credentials,
        settings: &ProducerSettings,
    ) -> Arc<RecordProducer> {
        let client = settings.client_for(bootstrap_servers, credentials);
        let mut producers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = producers.get(&client).and_then(Weak::upgrade) {
            return producer;
        }
        producers.retain(|_, producer| producer.strong_count() > 0);
        let producer = Arc::new(RecordProducer::new(&client, settings.max_block));
        producers.insert(client, Arc::downgrade(&producer));
        producer
    }
}

#[cfg(test)]
mod tests {
    //! Who shares a producer.

    use millrace_config::properties::{Properties, kafka};

    use super::*;

    #[test]
    fn equal_brokers_credentials_and_settings_share_a_producer_while_it_is_used() {
        let producers = Producers::default();
        let settings = kafka::producer(&Properties::new()).unwrap();
        let plain = Credentials::plaintext();
        let secret = [("protocol", "SSL"), ("user.skip", "true")].map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec()));
        let tls = Credentials::from_secret(&secret.into_iter().collect()).unwrap();
        let first = producers.get("a:1", &plain, &settings);
        assert!(Arc::ptr_eq(&first, &producers.get("a:1", &plain, &settings)));
        assert!(!Arc::ptr_eq(&first, &producers.get("b:1", &plain, &settings)));
        assert!(!Arc::ptr_eq(&first, &producers.get("a:1", &tls, &settings)));
        drop(first);
        producers.get("c:1", &plain, &settings);
        assert_eq!(producers.0.lock().unwrap().len(), 1, "those that nobody uses are forgotten");
    }
}
