//! What an egress is made of: its part of the contract, the settings, and what all egresses share.
//!
//! Compares versions and builds what is started. Starts nothing and waits for nothing.
//! Source: dispatcher spec 1.4 ("what counts as changed"), 9.1 and 10.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_config::contract::credentials::{Credentials, CredentialsError};
use millrace_config::contract::{DeliveryOrder, Egress, Resource};
use millrace_runtime::event_types::EventTypes;
use millrace_runtime::kafka_tokens::{KafkaTokens, Keeper};
use millrace_runtime::secrets::Secrets;

use crate::metrics::DispatcherMetrics;
use crate::metrics::kafka::STATISTICS_SECONDS;
use crate::pipeline::{Links, Pipeline, PipelineError, PipelineSettings};
use crate::reply::producers::Producers;
use crate::reply_keys::ReplyKeys;
use crate::sender::token::Tokens;
use crate::settings::Settings;
use crate::window::Order;

/// Kafka's default for the time after which a member that does not poll is thought dead. Ours polls every second,
/// whatever its subscriber does, so neither delivery settings nor `max.poll.records` have to do with it (design row 2).
const POLL_INTERVAL: Duration = Duration::from_secs(300);

/// What all egresses share. Clones share it too.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) secrets: Secrets,
    pub(crate) kafka_tokens: KafkaTokens,
    pub(crate) producers: Producers,
    pub(crate) tokens: Tokens,
    pub(crate) reply_keys: ReplyKeys,
    pub(crate) event_types: EventTypes,
    pub(crate) metrics: DispatcherMetrics,
}

/// Why a spec cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpecError {
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Everything an egress is started with.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) resource: Arc<Resource>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) trust_bundles: Arc<[String]>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) common: Common,
    /// When the contract was applied: credentials read before that may be out of date.
    pub(crate) asked: Instant,
}

impl Spec {
    /// Whether nothing at all differs.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.same_consumer(other)
            && self.egress == other.egress
            && self.resource.overrides == other.resource.overrides
            && self.resource.reference == other.resource.reference
            && self.resource.auto_create_event_types == other.resource.auto_create_event_types
            && self.trust_bundles == other.trust_bundles
            && Arc::ptr_eq(&self.settings, &other.settings)
    }

    /// Whether a running consumer can stay as it is.
    pub(crate) fn same_consumer(&self, other: &Self) -> bool {
        self.resource.topics == other.resource.topics
            && self.resource.bootstrap_servers == other.resource.bootstrap_servers
            && self.resource.auth == other.resource.auth
            && self.egress.consumer_group == other.egress.consumer_group
            && self.egress.order == other.egress.order
            && self.settings.pipeline.consumer == other.settings.pipeline.consumer
    }

    /// Whether credentials of `other`, which works, are those of this one: the contract says which version it means.
    pub(crate) fn same_credentials(&self, other: &Self) -> bool {
        self.resource.auth == other.resource.auth && self.resource.auth.is_pinned()
    }

    pub(crate) fn pipeline(&self, credentials: &Credentials) -> Result<Pipeline, SpecError> {
        let settings: &PipelineSettings = &self.settings.pipeline;
        let Common { producers, tokens, reply_keys, event_types, metrics, .. } = &self.common;
        let links = Links {
            producer: producers.get(&self.resource.bootstrap_servers, credentials, &self.settings.producer)?,
            tokens: tokens.clone(),
            reply_keys: reply_keys.clone(),
            event_types: event_types.clone(),
            metrics: metrics.egress(&self.egress),
        };
        Ok(Pipeline::build(&self.resource, &self.egress, &self.trust_bundles, settings, links)?)
    }

    pub(crate) fn order(&self) -> Order {
        match self.egress.order {
            DeliveryOrder::Ordered if self.settings.pipeline.consumer.ordered_by_key => Order::Key,
            DeliveryOrder::Ordered => Order::Partition,
            DeliveryOrder::Unordered => Order::Unordered,
        }
    }

    /// The interval is not raised to what a slow subscriber may need, as the peer does: the consumer always polls.
    pub(crate) fn client(&self, credentials: &Credentials) -> BTreeMap<String, String> {
        let (servers, group) = (&self.resource.bootstrap_servers, &self.egress.consumer_group);
        let settings = &self.settings.pipeline.consumer;
        let mut client = settings.client_for(servers, credentials, group, POLL_INTERVAL);
        client.insert("statistics.interval.ms".to_owned(), (STATISTICS_SECONDS * 1000).to_string());
        client
    }

    /// What keeps the consumer's tokens fresh, if these credentials need any. Consumer and reply producer use the same
    /// credentials, with the security settings of their own files.
    pub(crate) fn tokens(&self, credentials: &Credentials) -> Result<Option<Arc<Keeper>>, CredentialsError> {
        let source = credentials.token_source(self.settings.pipeline.consumer.tokens.as_ref())?;
        Ok(source.map(|source| self.common.kafka_tokens.keeper(&source)))
    }
}
