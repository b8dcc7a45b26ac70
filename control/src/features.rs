//! The feature flags that change what `control` does.
//!
//! Pure: reads the ConfigMaps `config-features` and `config-kafka-features` out of the index. The data plane reads its
//! own copy of the former.
//! Source: control-plane spec 4.3 and 4.5.

use crate::api::core::ConfigMap;
use crate::api::{Identity, Kind, Problem};
use crate::index::{Entry, Index};
use crate::template::{DEFAULT_CHANNEL_TOPIC, TemplateError, TopicTemplate};

/// Name of core Eventing's feature map.
pub const FEATURES: &str = "config-features";
/// Name of the Kafka components' feature map.
pub const KAFKA_FEATURES: &str = "config-kafka-features";

/// Who may send to a channel for which no policy applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorization {
    /// Everybody with a valid token.
    AllowAll,
    /// Service accounts of the channel's namespace.
    AllowSameNamespace,
    /// Nobody.
    DenyAll,
}

impl Authorization {
    /// As it stands in the ConfigMap.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowAll => "allow-all",
            Self::AllowSameNamespace => "allow-same-namespace",
            Self::DenyAll => "deny-all",
        }
    }
}

/// Which of http and https addresses channels have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// http alone.
    Disabled,
    /// Both, http first.
    Permissive,
    /// https alone.
    Strict,
}

/// What is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// `delivery.timeout` may be used.
    pub delivery_timeout: bool,
    /// `delivery.retryAfterMax` may be used.
    pub delivery_retry_after: bool,
    /// The data plane creates `EventType` objects.
    pub event_type_auto_create: bool,
    /// Ingress asks for tokens.
    pub oidc: bool,
    /// Applies with `oidc` only.
    pub authorization: Authorization,
    /// Which addresses channels have.
    pub transport: Transport,
    /// Ordered egresses are limited in rate.
    pub rate_limiter: bool,
    /// Ordered egresses have extra meters.
    pub ordered_executor_metrics: bool,
    /// How topics are named, or why the user's template cannot be used.
    pub channel_topic: Result<TopicTemplate, TemplateError>,
}

/// Reads both maps; values that mean nothing are reported and the default stays.
#[must_use]
pub fn read(index: &Index, problems: &mut Vec<Problem>) -> Flags {
    let mut core = Reader { entry: index.config_maps.get(FEATURES), problems };
    let delivery_timeout = core.switch(&["delivery-timeout"], true);
    let delivery_retry_after = core.switch(&["delivery-retryafter"], false);
    let event_type_auto_create = core.switch(&["eventtype-auto-create"], false);
    let oidc = core.switch(&["authentication-oidc"], false);
    let authorization = match core.text("default-authorization-mode").map(str::to_lowercase).as_deref() {
        None | Some("allow-same-namespace") => Authorization::AllowSameNamespace,
        Some("allow-all") => Authorization::AllowAll,
        Some("deny-all") => Authorization::DenyAll,
        Some(other) => {
            let message = format!("{other:?} is unknown; allow-same-namespace applies");
            core.report("default-authorization-mode", message);
            Authorization::AllowSameNamespace
        }
    };
    let transport = match core.text("transport-encryption").map(str::to_lowercase).as_deref() {
        None | Some("disabled" | "") => Transport::Disabled,
        Some("permissive") => Transport::Permissive,
        Some("strict") => Transport::Strict,
        Some(other) => {
            core.report("transport-encryption", format!("{other:?} is unknown; disabled applies"));
            Transport::Disabled
        }
    };
    let mut kafka = Reader { entry: index.config_maps.get(KAFKA_FEATURES), problems: core.problems };
    let rate_limiter = kafka.switch(&["dispatcher-rate-limiter", "dispatcher.rate-limiter"], false);
    let ordered_executor_metrics =
        kafka.switch(&["dispatcher-ordered-executor-metrics", "dispatcher.ordered-executor-metrics"], false);
    let channel_topic = kafka.topic_template();
    Flags {
        delivery_timeout,
        delivery_retry_after,
        event_type_auto_create,
        oidc,
        authorization,
        transport,
        rate_limiter,
        ordered_executor_metrics,
        channel_topic,
    }
}

struct Reader<'a> {
    entry: Option<&'a Entry<ConfigMap>>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        self.entry?.object.text(key).map(str::trim)
    }

    /// The first key that is there decides: the dashed name comes before its older dotted one.
    fn switch(&mut self, keys: &[&str], default: bool) -> bool {
        let Some((key, value)) = keys.iter().find_map(|key| Some((*key, self.text(key)?))) else { return default };
        match value.to_lowercase().as_str() {
            "enabled" => true,
            "disabled" => false,
            // Knative's third word; it switches nothing on, and leaves on what is on by default.
            "allowed" => default,
            _ => {
                self.report(key, format!("{value:?} is neither enabled nor disabled; the default applies"));
                default
            }
        }
    }

    fn topic_template(&mut self) -> Result<TopicTemplate, TemplateError> {
        let keys = ["channels-topic-template", "channels.topic.template"];
        let found = keys.iter().find_map(|key| Some((*key, self.text(key)?)));
        let (key, text) = found.unwrap_or(("", DEFAULT_CHANNEL_TOPIC));
        let parsed = TopicTemplate::parse(text);
        if let Err(error) = &parsed {
            self.report(key, format!("{error}; channels that have a topic keep it, new ones get none"));
        }
        parsed
    }

    fn report(&mut self, key: &str, message: String) {
        let Some(entry) = self.entry else { return };
        let meta = &entry.object.meta;
        let identity = Identity { kind: Kind::ConfigMap, namespace: meta.namespace.clone(), name: meta.name.clone() };
        self.problems.push(Problem::with_field(&entry.source, &identity, &format!("data.{key}"), message));
    }
}
