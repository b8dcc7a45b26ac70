//! The exact shape of the contract file.
//!
//! Nothing is checked here beyond the rules of protobuf-JSON: that is [`super::parse()`]'s job. Absent and empty are the
//! same for texts, lists and numbers; `Option` marks the fields where they differ. `control` fills these structs and
//! hands them to [`super::write`].
//!
//! Source: `contract.proto` of eventing-kafka-broker.

mod enums;
mod index;
mod json;
mod numbers;

use std::collections::BTreeMap;

pub use enums::{BackoffPolicy, ContentMode, DeliveryOrder, KeyType, Protocol, SecretField};
pub use index::{Index, Shard};
pub(super) use json::Value;

use super::error::ParseError;

json::messages! {
    /// The whole file.
    Contract {
        /// Changes with every change of the content.
        "generation" => generation: u64,
        /// Channels, brokers, sinks and sources.
        "resources" => resources: Vec<Resource>,
        /// PEM texts.
        "trustBundles" => trust_bundles: Vec<String>,
    }
    /// One channel, broker, sink or source.
    Resource oneof["absentAuth" absent_auth, "authSecret" auth_secret, "multiAuthSecret" multi_auth_secret] {
        /// Identity of the resource.
        "uid" => uid: String,
        /// The first one is written to.
        "topics" => topics: Vec<String>,
        /// Comma-separated.
        "bootstrapServers" => bootstrap_servers: String,
        /// Set: events are accepted.
        "ingress" => ingress: Option<Ingress>,
        /// For egresses without one of their own.
        "egressConfig" => egress_config: Option<EgressConfig>,
        /// Subscriptions, triggers or sources.
        "egresses" => egresses: Vec<Egress>,
        /// No authentication, said explicitly.
        "absentAuth" => absent_auth: Option<Empty>,
        /// One Secret.
        "authSecret" => auth_secret: Option<Reference>,
        /// Several Secrets.
        "multiAuthSecret" => multi_auth_secret: Option<MultiSecretReference>,
        /// Extensions set on outgoing events.
        "cloudEventOverrides" => cloud_event_overrides: Option<CloudEventOverrides>,
        /// The object behind the resource.
        "reference" => reference: Option<Reference>,
        /// Switches.
        "featureFlags" => feature_flags: Option<FeatureFlags>,
    }
    /// How events come in.
    Ingress {
        /// Layout of records.
        "contentMode" => content_mode: ContentMode,
        /// Request path.
        "path" => path: String,
        /// Host header.
        "host" => host: String,
        /// Required audience of tokens.
        "audience" => audience: String,
        /// Who may send what.
        "eventPolicies" => event_policies: Vec<EventPolicy>,
    }
    /// Who may send which events.
    EventPolicy {
        /// Alternatives.
        "tokenMatchers" => token_matchers: Vec<TokenMatcher>,
        /// All must pass.
        "filters" => filters: Vec<DialectedFilter>,
    }
    /// A condition on claims.
    TokenMatcher oneof["exact" exact, "prefix" prefix] {
        /// Equal claims.
        "exact" => exact: Option<Attributes>,
        /// Claims that begin alike.
        "prefix" => prefix: Option<Attributes>,
    }
    /// Names and values; the body of the exact, prefix and suffix dialects and of token matchers.
    Attributes {
        /// Name to value.
        "attributes" => attributes: BTreeMap<String, String>,
    }
    /// A condition on events.
    DialectedFilter oneof[
        "exact" exact, "prefix" prefix, "suffix" suffix, "all" all, "any" any, "not" not, "cesql" cesql
    ] {
        /// Equal attributes.
        "exact" => exact: Option<Attributes>,
        /// Attributes that begin alike.
        "prefix" => prefix: Option<Attributes>,
        /// Attributes that end alike.
        "suffix" => suffix: Option<Attributes>,
        /// Conjunction.
        "all" => all: Option<Filters>,
        /// Disjunction.
        "any" => any: Option<Filters>,
        /// Negation.
        "not" => not: Option<Not>,
        /// Expression.
        "cesql" => cesql: Option<CeSql>,
    }
    /// Body of `all` and `any`.
    Filters {
        /// Inner filters.
        "filters" => filters: Vec<DialectedFilter>,
    }
    /// Body of `not`.
    Not {
        /// Inner filter.
        "filter" => filter: Option<Box<DialectedFilter>>,
    }
    /// Body of `cesql`.
    CeSql {
        /// CloudEvents SQL.
        "expression" => expression: String,
    }
    /// A subscription, trigger or source.
    Egress oneof[
        "replyUrl" reply_url, "replyToOriginalTopic" reply_to_original_topic, "discardReply" discard_reply
    ] {
        /// Kafka group.
        "consumerGroup" => consumer_group: String,
        /// Subscriber's URL.
        "destination" => destination: String,
        /// PEM.
        "destinationCACerts" => destination_ca_certs: String,
        /// Audience of tokens for it.
        "destinationAudience" => destination_audience: String,
        /// Replies are sent there.
        "replyUrl" => reply_url: Option<String>,
        /// Replies are written to the topic.
        "replyToOriginalTopic" => reply_to_original_topic: Option<Empty>,
        /// Replies are dropped.
        "discardReply" => discard_reply: Option<Empty>,
        /// PEM.
        "replyUrlCACerts" => reply_url_ca_certs: String,
        /// Audience of tokens for it.
        "replyUrlAudience" => reply_url_audience: String,
        /// Old attribute filter, used when there is no `dialected_filter`.
        "filter" => filter: Option<Attributes>,
        /// All must pass.
        "dialectedFilter" => dialected_filter: Vec<DialectedFilter>,
        /// Identity of the egress.
        "uid" => uid: String,
        /// Replaces the resource's as a whole.
        "egressConfig" => egress_config: Option<EgressConfig>,
        /// Order of delivery.
        "deliveryOrder" => delivery_order: DeliveryOrder,
        /// Keys of plain records.
        "keyType" => key_type: KeyType,
        /// The object behind the egress.
        "reference" => reference: Option<Reference>,
        /// Share of the work.
        "vReplicas" => v_replicas: i32,
        /// Switches.
        "featureFlags" => feature_flags: Option<EgressFeatureFlags>,
        /// Identity for tokens.
        "oidcServiceAccountName" => oidc_service_account_name: String,
    }
    /// Delivery settings. Times in milliseconds.
    EgressConfig {
        /// URL of the dead letter sink.
        "deadLetter" => dead_letter: String,
        /// PEM.
        "deadLetterCACerts" => dead_letter_ca_certs: String,
        /// Audience of tokens for it.
        "deadLetterAudience" => dead_letter_audience: String,
        /// Format asked for; nothing sets or uses it today.
        "format" => format: String,
        /// Attempts after the first.
        "retry" => retry: u32,
        /// Growth of pauses.
        "backoffPolicy" => backoff_policy: BackoffPolicy,
        /// Base of pauses.
        "backoffDelay" => backoff_delay: u64,
        /// Limit of one attempt; 0 is unset.
        "timeout" => timeout: u64,
    }
    /// Several Secrets and what to take out of them.
    MultiSecretReference {
        /// How brokers are spoken to.
        "protocol" => protocol: Protocol,
        /// The Secrets.
        "references" => references: Vec<SecretReference>,
    }
    /// One Secret.
    SecretReference {
        /// Which.
        "reference" => reference: Option<Reference>,
        /// What to take out of it.
        "keyFieldReferences" => key_field_references: Vec<KeyFieldReference>,
    }
    /// One key of a Secret.
    KeyFieldReference {
        /// Key in the Secret's data.
        "secretKey" => secret_key: String,
        /// Meaning of the value.
        "field" => field: SecretField,
    }
    /// A Kubernetes object.
    Reference {
        /// `metadata.uid`.
        "uuid" => uuid: String,
        /// `metadata.namespace`.
        "namespace" => namespace: String,
        /// `metadata.name`.
        "name" => name: String,
        /// `metadata.resourceVersion`.
        "version" => version: String,
        /// Kind.
        "kind" => kind: String,
        /// API group and version.
        "groupVersion" => group_version: String,
    }
    /// Extensions set on outgoing events.
    CloudEventOverrides {
        /// Name to value.
        "extensions" => extensions: BTreeMap<String, String>,
    }
    /// Switches of a resource.
    FeatureFlags {
        /// Whether `EventType` objects are created.
        "enableEventTypeAutocreate" => enable_event_type_autocreate: bool,
    }
    /// Switches of an egress.
    EgressFeatureFlags {
        /// Limits the rate of ordered egresses.
        "enableRateLimiter" => enable_rate_limiter: bool,
        /// Adds meters of ordered egresses.
        "enableOrderedExecutorMetrics" => enable_ordered_executor_metrics: bool,
    }
    /// Nothing; being there is the message.
    Empty {}
}

/// Reads a file without judging its entries.
///
/// # Errors
/// [`ParseError::Empty`] for a file with nothing but white space in it, [`ParseError::Json`] when the text is not the
/// protobuf-JSON form of a contract.
pub fn from_json(bytes: &[u8]) -> Result<Contract, ParseError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ParseError::Empty);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Contract::read(&mut deserializer)
        .and_then(|contract| deserializer.end().map(|()| contract))
        .map_err(|error| json_error(&error))
}

fn json_error(error: &serde_json::Error) -> ParseError {
    let text = error.to_string();
    // serde_json appends the position, which has fields of its own.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let (field, message) = json::field_and_message(text);
    ParseError::Json {
        line: error.line().max(1),
        // 0 is before the first byte.
        column: error.column().max(1),
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
