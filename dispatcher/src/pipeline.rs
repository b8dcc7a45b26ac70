//! What delivering a record of one egress needs, built once and replaced as a whole.
//!
//! Immutable: partitions take the current pipeline for each record, so a change that does not concern Kafka takes
//! effect with the next record, without touching the consumer (design row 20).

use std::sync::Arc;

use http::HeaderValue;
use millrace_config::contract::{Delivery, DeliveryOrder, Egress, KeyType, Reply, Resource, Target};
use millrace_config::properties::http_client::HttpClientSettings;
use millrace_config::properties::kafka::{ConsumerSettings, RetryLimits, Undelivered};
use millrace_event::filter::cesql::ReplySecrets;
use millrace_event::filter::{self, Filter, FilterError};
use millrace_event::source_record::Origin;
use millrace_event::{Event, EventError, Extensions};
use millrace_runtime::event_types::{EventTypes, Sighting};
use millrace_runtime::throttle::EverySecond;
use tracing::debug;

use crate::delivery::retry::RetryPolicy;
use crate::live::Live;
use crate::metrics::kafka::Statistics;
use crate::metrics::{EgressMetrics, Role};
use crate::pressure::limit::{Bounds, MAX_ALLOWED};
use crate::pressure::rate::Rate;
use crate::pressure::{Pressure, PressureSettings};
use crate::reply::topic::RecordProducer;
use crate::reply_keys::{self, ReplyKeys};
use crate::route::{Route, without_user};
use crate::sender::token::Tokens;
use crate::sender::{self, AnswerBody, ClientError, Sender, TrustedRoots};

/// Everything that `dispatch` needs besides the record.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) egress: Arc<Egress>,
    /// The bootstrap servers, for spans.
    pub(crate) brokers: String,
    pub(crate) filter: Filter,
    /// Where the filter looks for keys of reply ids.
    pub(crate) reply_keys: Arc<reply_keys::View>,
    /// Extensions that are set on every event, in this order, over what it has.
    pub(crate) overrides: Vec<(String, String)>,
    /// How records that are not CloudEvents are converted; `None` discards them.
    pub(crate) source_rules: Option<SourceRules>,
    pub(crate) subscriber: Route,
    /// Where events go that the subscriber does not take.
    pub(crate) dead_letter: Option<Route>,
    pub(crate) reply: ReplyRoute,
    /// Stores replies and what nobody takes.
    pub(crate) producer: Arc<RecordProducer>,
    /// What happens to records that nobody takes.
    pub(crate) undelivered: Undelivered,
    /// Learns the types of replies; `None` when the contract does not ask for it.
    pub(crate) event_types: Option<EventTypes>,
    pub(crate) metrics: EgressMetrics,
    pub(crate) live: Arc<Live>,
}

/// What a pipeline uses of the process around it.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) producer: Arc<RecordProducer>,
    pub(crate) tokens: Tokens,
    pub(crate) reply_keys: ReplyKeys,
    pub(crate) event_types: EventTypes,
    pub(crate) metrics: EgressMetrics,
}

/// How records that are not CloudEvents become events.
#[derive(Debug)]
pub(crate) struct SourceRules {
    pub(crate) origin: Origin,
    pub(crate) key_type: KeyType,
}

/// Where a subscriber's answer goes.
#[derive(Debug)]
pub(crate) enum ReplyRoute {
    Discard,
    ToTopic(String),
    ToUrl(Box<Route>),
}

/// Why an egress cannot deliver anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipelineError {
    #[error("filter is not usable: {0}")]
    Filter(#[from] FilterError),
    #[error("target {target} is not usable: {source}")]
    Target { target: String, source: ClientError },
    #[error("override cannot be set: {0}")]
    Override(#[from] EventError),
}

/// What pipelines are built from besides the contract.
#[derive(Debug, PartialEq)]
pub(crate) struct PipelineSettings {
    pub(crate) consumer: ConsumerSettings,
    pub(crate) client: HttpClientSettings,
}

impl Pipeline {
    /// Builds senders, filter and reply route of one egress.
    ///
    /// # Errors
    ///
    /// Names what of the egress cannot work; nothing is started then.
    pub(crate) fn build(
        resource: &Resource,
        egress: &Arc<Egress>,
        trust_bundles: &[String],
        settings: &PipelineSettings,
        links: Links,
    ) -> Result<Self, PipelineError> {
        let Links { producer, tokens, reply_keys, event_types, metrics } = links;
        let build = RouteBuilder { resource, egress, trust_bundles, settings, metrics: &metrics, tokens: &tokens };
        let ignored = AnswerBody::Ignored;
        let mut answer = AnswerBody::Wanted;
        let reply = match &egress.reply {
            Reply::Discard => {
                answer = ignored;
                ReplyRoute::Discard
            }
            Reply::ToTopic => ReplyRoute::ToTopic(resource.topics.first().cloned().unwrap_or_default()),
            Reply::ToUrl(target) => ReplyRoute::ToUrl(Box::new(build.route(Role::Reply, target, ignored)?)),
        };
        let dead_letter = egress.delivery.dead_letter.as_ref();
        let reply_keys = reply_keys.view();
        let secrets: Arc<dyn ReplySecrets> = Arc::clone(&reply_keys) as _;
        Ok(Self {
            egress: Arc::clone(egress),
            brokers: resource.bootstrap_servers.clone(),
            filter: filter::compile_with(&egress.filters, &secrets)?,
            reply_keys,
            overrides: overrides(resource)?,
            source_rules: source_rules(resource, egress, &settings.consumer),
            subscriber: build.route(Role::Subscriber, &egress.destination, answer)?,
            dead_letter: dead_letter.map(|target| build.route(Role::DeadLetterSink, target, ignored)).transpose()?,
            reply,
            producer,
            undelivered: settings.consumer.undelivered,
            event_types: Some(event_types).filter(|_| resource.auto_create_event_types),
            metrics,
            live: Arc::default(),
        })
    }

    /// Takes in the statistics of the Kafka client, as it writes them.
    pub(crate) fn client_told(&self, statistics: &[u8]) {
        match Statistics::parse(statistics) {
            Ok(statistics) => {
                self.metrics.kafka.set(&statistics);
                self.live.lag_is(statistics.lags());
            }
            Err(error) => debug!(egress = %self.egress.uid, %error, "Statistics of the Kafka client not understood"),
        }
    }

    /// This pipeline with what the one before it has learnt of targets that are the same.
    pub(crate) fn continuing(mut self, before: &Self) -> Self {
        self.live = Arc::clone(&before.live);
        self.subscriber.learn_from(&before.subscriber);
        if let (Some(route), Some(before)) = (&mut self.dead_letter, &before.dead_letter) {
            route.learn_from(before);
        }
        if let (ReplyRoute::ToUrl(route), ReplyRoute::ToUrl(before)) = (&mut self.reply, &before.reply) {
            route.learn_from(before);
        }
        self
    }

    /// An event has become a reply that is where it belongs: its type may be new. Never waits.
    pub(crate) fn learn(&self, event: &Event<'_>) {
        if let Some(event_types) = &self.event_types {
            let schema = event.data_schema.as_deref();
            let sighting = Sighting { reference: &self.egress.reference, ty: &event.ty, source: &event.source, schema };
            event_types.seen(&sighting);
        }
    }
}

struct RouteBuilder<'a> {
    resource: &'a Resource,
    egress: &'a Egress,
    trust_bundles: &'a [String],
    settings: &'a PipelineSettings,
    metrics: &'a EgressMetrics,
    tokens: &'a Tokens,
}

impl RouteBuilder<'_> {
    fn route(&self, role: Role, target: &Target, answer: AnswerBody) -> Result<Route, PipelineError> {
        let account = self.egress.service_account.as_deref();
        let namespace = &self.resource.reference.namespace;
        let authorization = self.tokens.authorization(namespace, account, target.audience.as_deref());
        let bundles = self.trust_bundles.iter().chain(&target.ca_certs).cloned().collect();
        let sender = Sender::new(&target.url, &self.settings.client, &TrustedRoots { bundles })
            .map_err(|source| PipelineError::Target { target: without_user(&target.text), source })?;
        let text = without_user(&target.text);
        let policy = policy(&self.egress.delivery, &self.settings.consumer.retry);
        let pressure = Pressure::new(&text, self.pressure(role), self.metrics.pressure.role(role));
        Ok(Route {
            target: target.url.clone(),
            text,
            sender,
            authorization,
            patience: policy.all_pauses(self.settings.consumer.pressure.breaker_wait_max),
            policy,
            pressure: Arc::new(pressure),
            failures: EverySecond::default(),
            attempt_timeout: self.egress.delivery.attempt_timeout,
            user_agent: user_agent(&self.settings.client),
            namespace: HeaderValue::from_str(&self.egress.reference.namespace).ok(),
            answer,
        })
    }
}

impl RouteBuilder<'_> {
    fn pressure(&self, role: Role) -> PressureSettings {
        let (consumer, client) = (&self.settings.consumer, &self.settings.client);
        let max = u32::try_from(consumer.in_flight_max).unwrap_or(u32::MAX).min(MAX_ALLOWED);
        PressureSettings {
            adaptive: consumer.pressure.adaptive,
            bounds: Bounds { max, wire: u32::try_from(sender::at_a_time(client)).unwrap_or(u32::MAX) },
            rate: (role == Role::Subscriber).then(|| self.rate()).flatten(),
            attempt_timeout: self.egress.delivery.attempt_timeout,
        }
    }

    /// The operator's own limit, or what the flag of the control plane means; the lower of the two.
    fn rate(&self) -> Option<Rate> {
        let consumer = &self.settings.consumer;
        let flagged = self.egress.rate_limiter && self.egress.order == DeliveryOrder::Ordered;
        let records = u32::try_from(consumer.max_poll_records).unwrap_or(u32::MAX);
        let of_flag = flagged.then(|| records.saturating_mul(self.egress.v_replicas.max(1)));
        let per_second = of_flag.into_iter().chain(consumer.pressure.rate_max).min()?;
        Some(Rate { per_second })
    }
}

/// A text that cannot be a header is left out, as if the header were switched off.
fn user_agent(settings: &HttpClientSettings) -> Option<HeaderValue> {
    let own = concat!("Millrace/", env!("CARGO_PKG_VERSION"));
    let text = settings.user_agent.as_deref().unwrap_or(own);
    HeaderValue::from_str(text).ok().filter(|_| settings.user_agent_enabled)
}

fn policy(delivery: &Delivery, limits: &RetryLimits) -> RetryPolicy {
    RetryPolicy {
        retries: delivery.retries,
        backoff_policy: delivery.backoff_policy,
        backoff_delay: delivery.backoff_delay,
        max_delay: limits.max_delay,
        jitter: limits.jitter,
        retry_after_max: limits.retry_after_max,
    }
}

fn overrides(resource: &Resource) -> Result<Vec<(String, String)>, EventError> {
    let mut probe = Extensions::new();
    resource
        .overrides
        .iter()
        .map(|(name, value)| probe.set(name.clone(), "").map(|()| (name.clone(), value.clone())))
        .collect()
}

fn source_rules(resource: &Resource, egress: &Egress, settings: &ConsumerSettings) -> Option<SourceRules> {
    let kind_plural = settings.kind_plural.as_ref().filter(|_| settings.transformer_enabled)?;
    let reference = &resource.reference;
    if reference.namespace.trim().is_empty() || reference.name.trim().is_empty() {
        return None;
    }
    let origin = Origin {
        namespace: reference.namespace.clone(),
        kind_plural: kind_plural.clone(),
        name: reference.name.clone(),
    };
    Some(SourceRules { origin, key_type: egress.key_type })
}
