//! Filters and event policies as the contract gives them; `event` compiles and evaluates them.
//!
//! Source: CloudEvents Subscriptions API dialects, Knative `EventPolicy`.

use std::collections::BTreeMap;

use super::wire;

/// A condition on an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterSpec {
    /// Each attribute must equal its value. An empty value stands for any value.
    Exact(BTreeMap<String, String>),
    /// Each attribute must begin with its value.
    Prefix(BTreeMap<String, String>),
    /// Each attribute must end with its value.
    Suffix(BTreeMap<String, String>),
    /// Every inner filter must pass; true if there are none.
    All(Vec<FilterSpec>),
    /// One inner filter must pass; false if there are none.
    Any(Vec<FilterSpec>),
    /// The inner filter must not pass.
    Not(Box<FilterSpec>),
    /// A CloudEvents SQL expression, not yet checked for syntax.
    CeSql(String),
    /// A filter of no dialect, or of one this version does not know: lets everything through.
    Pass,
}

impl From<wire::DialectedFilter> for FilterSpec {
    fn from(wire: wire::DialectedFilter) -> Self {
        // At most one member is set: reading a contract refuses files in which two are.
        if let Some(exact) = wire.exact {
            Self::Exact(exact.attributes)
        } else if let Some(prefix) = wire.prefix {
            Self::Prefix(prefix.attributes)
        } else if let Some(suffix) = wire.suffix {
            Self::Suffix(suffix.attributes)
        } else if let Some(all) = wire.all {
            Self::All(list(all.filters))
        } else if let Some(any) = wire.any {
            Self::Any(list(any.filters))
        } else if let Some(not) = wire.not {
            Self::Not(Box::new(not.filter.map_or(Self::Pass, |inner| Self::from(*inner))))
        } else if let Some(cesql) = wire.cesql {
            Self::CeSql(cesql.expression)
        } else {
            Self::Pass
        }
    }
}

/// Converts a list of filters; every one of them must pass.
pub(super) fn list(wire: Vec<wire::DialectedFilter>) -> Vec<FilterSpec> {
    wire.into_iter().map(FilterSpec::from).collect()
}

/// Who may send which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventPolicy {
    /// One must match the token's claims; with none, nobody matches.
    pub token_matchers: Vec<TokenMatcher>,
    /// All must let the event pass; with none, every event passes.
    pub filters: Vec<FilterSpec>,
}

/// A condition on the claims of a token. Every attribute must match; with none, every token matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenMatcher {
    /// The claim has this value.
    Exact(BTreeMap<String, String>),
    /// The claim has a value with this beginning; an empty text matches any value.
    Prefix(BTreeMap<String, String>),
}

impl From<wire::EventPolicy> for EventPolicy {
    fn from(wire: wire::EventPolicy) -> Self {
        Self {
            // A matcher of a kind we do not know must not open the door, so it is left out: matchers are alternatives.
            token_matchers: wire.token_matchers.into_iter().filter_map(token_matcher).collect(),
            filters: list(wire.filters),
        }
    }
}

fn token_matcher(wire: wire::TokenMatcher) -> Option<TokenMatcher> {
    let exact = wire.exact.map(|exact| TokenMatcher::Exact(exact.attributes));
    exact.or_else(|| wire.prefix.map(|prefix| TokenMatcher::Prefix(prefix.attributes)))
}
