//! EventPolicies of a channel: which apply, and what the contract says about them.
//!
//! Pure. A policy that Knative has not resolved yet contributes nothing, so that a channel with only such policies falls
//! back to the default mode, as upstream's does. Source: control-plane spec 2.3 (step 11) and 2.8.

use millrace_config::contract::wire;
use serde_json::Value;

use crate::api::meta::Meta;
use crate::api::policy::{EventPolicy, Requirement, Selector, Target};
use crate::features::{Authorization, Flags};

const GROUP: &str = "messaging.knative.dev";
const KIND: &str = "KafkaChannel";

/// The policies that apply to a channel, in the order of their names.
#[must_use]
pub fn applicable<'a>(policies: &'a [EventPolicy], channel: &Meta) -> Vec<&'a EventPolicy> {
    let applies = |policy: &&EventPolicy| {
        let to = &policy.spec.to;
        policy.metadata.namespace == channel.namespace && (to.is_empty() || to.iter().any(|to| points_at(to, channel)))
    };
    let mut found: Vec<&EventPolicy> = policies.iter().filter(applies).collect();
    found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    found
}

fn points_at(target: &Target, channel: &Meta) -> bool {
    let by_name = target
        .reference
        .as_ref()
        .is_some_and(|reference| reference.name == channel.name && is_channel(&reference.api_version, &reference.kind));
    let selects = |selector: &Selector| {
        is_channel(&selector.api_version, &selector.kind)
            && selector.match_labels.iter().all(|(key, value)| channel.labels.get(key) == Some(value))
            && selector.match_expressions.iter().all(|requirement| holds(requirement, channel))
    };
    by_name || target.selector.as_ref().is_some_and(selects)
}

fn is_channel(api_version: &str, kind: &str) -> bool {
    kind == KIND && api_version.split('/').next() == Some(GROUP)
}

fn holds(requirement: &Requirement, channel: &Meta) -> bool {
    let value = channel.labels.get(&requirement.key);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| requirement.values.contains(value)),
        "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // The API server's validation lets nothing else through.
        _ => false,
    }
}

/// What the contract says: nothing without OIDC, the ready policies, else the default mode.
#[must_use]
pub fn of_channel(policies: &[EventPolicy], channel: &Meta, flags: &Flags) -> Vec<wire::EventPolicy> {
    if !flags.oidc {
        return Vec::new();
    }
    let applicable = applicable(policies, channel);
    let ready: Vec<wire::EventPolicy> =
        applicable.iter().filter(|policy| policy.is_ready()).map(|policy| in_contract(policy)).collect();
    if ready.is_empty() { default_policies(flags.authorization, &channel.namespace) } else { ready }
}

fn in_contract(policy: &EventPolicy) -> wire::EventPolicy {
    let matcher = |subject: &String| match subject.strip_suffix('*') {
        Some(prefix) => wire::TokenMatcher { prefix: Some(subject_is(prefix)), ..wire::TokenMatcher::default() },
        None => wire::TokenMatcher { exact: Some(subject_is(subject)), ..wire::TokenMatcher::default() },
    };
    wire::EventPolicy {
        token_matchers: policy.status.from.iter().map(matcher).collect(),
        filters: policy.spec.filters.iter().map(filter).collect(),
    }
}

fn subject_is(subject: &str) -> wire::Attributes {
    wire::Attributes { attributes: [("sub".to_owned(), subject.to_owned())].into() }
}

/// What applies to a channel with OIDC and without a ready EventPolicy.
fn default_policies(mode: Authorization, namespace: &str) -> Vec<wire::EventPolicy> {
    let prefix = match mode {
        Authorization::DenyAll => return Vec::new(),
        Authorization::AllowAll => String::new(),
        Authorization::AllowSameNamespace => format!("system:serviceaccount:{namespace}:"),
    };
    let matcher = wire::TokenMatcher { prefix: Some(subject_is(&prefix)), ..wire::TokenMatcher::default() };
    vec![wire::EventPolicy { token_matchers: vec![matcher], ..wire::EventPolicy::default() }]
}

/// One dialect is that dialect; several in one filter must all hold, in upstream's order.
fn filter(spec: &Value) -> wire::DialectedFilter {
    let mut dialects: Vec<wire::DialectedFilter> = ["all", "any", "not", "exact", "prefix", "suffix", "cesql"]
        .into_iter()
        .filter_map(|name| dialect(spec, name))
        .collect();
    if dialects.len() == 1 {
        return dialects.remove(0);
    }
    wire::DialectedFilter { all: Some(wire::Filters { filters: dialects }), ..wire::DialectedFilter::default() }
}

fn dialect(spec: &Value, name: &str) -> Option<wire::DialectedFilter> {
    let value = spec.get(name).filter(|value| !value.is_null())?;
    let mut found = wire::DialectedFilter::default();
    let attributes = || {
        let texts = value.as_object().into_iter().flatten();
        let texts = texts.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        wire::Attributes { attributes: texts.collect() }
    };
    let filters = || wire::Filters { filters: value.as_array().into_iter().flatten().map(filter).collect() };
    let is_empty = match value {
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    };
    if is_empty {
        return None;
    }
    match name {
        "all" => found.all = Some(filters()),
        "any" => found.any = Some(filters()),
        "not" => found.not = Some(wire::Not { filter: Some(Box::new(filter(value))) }),
        "exact" => found.exact = Some(attributes()),
        "prefix" => found.prefix = Some(attributes()),
        "suffix" => found.suffix = Some(attributes()),
        "cesql" => found.cesql = Some(wire::CeSql { expression: value.as_str().unwrap_or_default().to_owned() }),
        _ => return None,
    }
    Some(found)
}

#[cfg(test)]
mod tests;
