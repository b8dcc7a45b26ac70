//! How events leave: one [`Egress`] for each subscription, trigger or source, and its delivery settings.
//!
//! Source: Knative delivery spec as the contract carries it. Units on the wire are milliseconds.

use std::time::Duration;

use super::blank::{is_blank, non_blank};
use super::error::ContractError;
use super::{FilterSpec, Reference, filter, wire};

/// Limit for one attempt when the contract gives none.
pub const DEFAULT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);

/// One subscription, ready to run as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Egress {
    /// Unique over all resources of a contract.
    pub uid: String,
    /// Kafka consumer group, never blank. Processes with the same group share the partitions.
    pub consumer_group: String,
    /// Where events go first.
    pub destination: Target,
    /// What happens to an event in the response.
    pub reply: Reply,
    /// All must pass; with none, every event passes.
    pub filters: Vec<FilterSpec>,
    /// Retries, timeout and dead letter sink.
    pub delivery: Delivery,
    /// Whether records of a partition wait for each other.
    pub order: DeliveryOrder,
    /// How keys of plain records (not CloudEvents) are decoded.
    pub key_type: KeyType,
    /// The object the egress was made from.
    pub reference: Reference,
    /// Share of the work the control plane gave this process; 0 when it does not say.
    pub v_replicas: u32,
    /// Feature flag `enableRateLimiter`.
    pub rate_limiter: bool,
    /// Feature flag `enableOrderedExecutorMetrics`.
    pub executor_metrics: bool,
    /// Service account whose token authenticates deliveries to targets with an audience.
    pub service_account: Option<String>,
}

/// An HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Absolute, http or https, without fragment.
    pub url: http::Uri,
    /// The text in the contract, for the places where it must appear unchanged.
    pub text: String,
    /// PEM certificates that may have signed the endpoint's, besides the trust bundles.
    pub ca_certs: Option<String>,
    /// Present: requests carry a token for this audience.
    pub audience: Option<String>,
}

/// What happens to an event in the response of the subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is dropped.
    Discard,
    /// It is written to the first topic of the resource. Also what an absent strategy means.
    ToTopic,
    /// It is sent on.
    ToUrl(Target),
}

/// How delivery is attempted, and what follows when it fails for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Attempts after the first one.
    pub retries: u32,
    /// How pauses grow.
    pub backoff_policy: BackoffPolicy,
    /// Base of the pauses; zero retries at once.
    pub backoff_delay: Duration,
    /// Limit for one whole attempt, never zero.
    pub attempt_timeout: Duration,
    /// Where events go that could not be delivered.
    pub dead_letter: Option<Target>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            retries: 0,
            backoff_policy: BackoffPolicy::default(),
            backoff_delay: Duration::ZERO,
            attempt_timeout: DEFAULT_ATTEMPT_TIMEOUT,
            dead_letter: None,
        }
    }
}

/// How the pause before retry n follows from the base delay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum BackoffPolicy {
    /// Base times 2 to the power of n.
    #[default]
    Exponential,
    /// Base times n.
    Linear,
}

/// Whether records of a partition wait for each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DeliveryOrder {
    /// A record is sent without waiting for earlier ones.
    #[default]
    Unordered,
    /// A record waits until the one before it in its partition is finished.
    Ordered,
}

/// How the key of a plain record becomes the extension `key`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// UTF-8 text.
    #[default]
    String,
    /// Big-endian 32-bit integer.
    Integer,
    /// Big-endian 32- or 64-bit floating point number.
    Double,
    /// Bytes, written as base64.
    ByteArray,
}

/// Checks one egress. `inherited` is the resource's delivery, used as a whole when the egress has none of its own.
pub(super) fn egress(wire: wire::Egress, inherited: Option<&wire::EgressConfig>) -> Result<Egress, ContractError> {
    if is_blank(&wire.consumer_group) {
        return Err(ContractError::ConsumerGroup);
    }
    let destination = target("destination", wire.destination, wire.destination_ca_certs, wire.destination_audience)?;
    let reply = reply(wire.reply_url, wire.discard_reply, wire.reply_url_ca_certs, wire.reply_url_audience)?;
    let delivery = delivery(wire.egress_config.as_ref().or(inherited))?;
    // Dialects win over the old attribute filter, which a trigger may carry beside them.
    let filters = match wire.filter {
        Some(legacy) if wire.dialected_filter.is_empty() => vec![FilterSpec::Exact(legacy.attributes)],
        Some(_) | None => filter::list(wire.dialected_filter),
    };
    let flags = wire.feature_flags.unwrap_or_default();
    Ok(Egress {
        uid: wire.uid,
        consumer_group: wire.consumer_group,
        destination,
        reply,
        filters,
        delivery,
        order: match wire.delivery_order {
            wire::DeliveryOrder::Unordered => DeliveryOrder::Unordered,
            wire::DeliveryOrder::Ordered => DeliveryOrder::Ordered,
        },
        key_type: match wire.key_type {
            wire::KeyType::String => KeyType::String,
            wire::KeyType::Integer => KeyType::Integer,
            wire::KeyType::Double => KeyType::Double,
            wire::KeyType::ByteArray => KeyType::ByteArray,
        },
        reference: wire.reference.map(Reference::from).unwrap_or_default(),
        // Signed on the wire; less than nothing means as little as nothing.
        v_replicas: u32::try_from(wire.v_replicas).unwrap_or(0),
        rate_limiter: flags.enable_rate_limiter,
        executor_metrics: flags.enable_ordered_executor_metrics,
        service_account: non_blank(wire.oidc_service_account_name),
    })
}

fn reply(
    url: Option<String>,
    discard: Option<wire::Empty>,
    ca_certs: String,
    audience: String,
) -> Result<Reply, ContractError> {
    match (url, discard) {
        (Some(url), _) => Ok(Reply::ToUrl(target("replyUrl", url, ca_certs, audience)?)),
        (None, Some(_)) => Ok(Reply::Discard),
        (None, None) => Ok(Reply::ToTopic),
    }
}

fn delivery(wire: Option<&wire::EgressConfig>) -> Result<Delivery, ContractError> {
    let Some(wire) = wire else { return Ok(Delivery::default()) };
    let dead_letter = match is_blank(&wire.dead_letter) {
        true => None,
        false => Some(target(
            "deadLetter",
            wire.dead_letter.clone(),
            wire.dead_letter_ca_certs.clone(),
            wire.dead_letter_audience.clone(),
        )?),
    };
    Ok(Delivery {
        retries: wire.retry,
        backoff_policy: match wire.backoff_policy {
            wire::BackoffPolicy::Exponential => BackoffPolicy::Exponential,
            wire::BackoffPolicy::Linear => BackoffPolicy::Linear,
        },
        backoff_delay: Duration::from_millis(wire.backoff_delay),
        // 0 means "unset" on the wire.
        attempt_timeout: match wire.timeout {
            0 => DEFAULT_ATTEMPT_TIMEOUT,
            millis => Duration::from_millis(millis),
        },
        dead_letter,
    })
}

fn target(field: &'static str, text: String, ca_certs: String, audience: String) -> Result<Target, ContractError> {
    let url =
        absolute_url(&text).map_err(|reason| ContractError::Url { field, found: without_password(&text), reason })?;
    Ok(Target { url, text, ca_certs: non_blank(ca_certs), audience: non_blank(audience) })
}

/// Reads an absolute http or https URL and drops its fragment, which is never sent.
fn absolute_url(text: &str) -> Result<http::Uri, &'static str> {
    let without_fragment = text.split_once('#').map_or(text, |(before, _)| before);
    let (scheme, rest) = without_fragment.split_once("://").ok_or("it is not absolute")?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err("its scheme is not http or https");
    }
    let url: http::Uri = format!("{scheme}://{rest}").parse().map_err(|_| "it is not a URL")?;
    let authority = url.authority().ok_or("it has no host")?;
    if authority.host().is_empty() {
        return Err("it has no host");
    }
    let host_and_port = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    match host_and_port.strip_prefix(authority.host()).and_then(|port| port.strip_prefix(':')) {
        Some(port) if port.parse::<u16>().is_err() => Err("its port is not a number up to 65535"),
        Some(_) | None => Ok(url),
    }
}

/// URLs are quoted in logs and statuses, so what stands before an `@` in the authority is left out.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((user, _)) => {
            let rest = rest.strip_prefix(user).unwrap_or(rest);
            format!("{scheme}://…{rest}")
        }
        None => text.to_owned(),
    }
}
