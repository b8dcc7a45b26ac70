//! Event policies: whose events of which kind a target takes.
//!
//! Pure. Compiled once, when the contract is read. Source: spec ingress 5.4 and 5.5, `EventPolicy` of Knative.

use millrace_config::contract::{EventPolicy, TokenMatcher};
use millrace_event::Event;
use millrace_event::filter::{self, Filter, FilterError};

use super::claims::Claims;

/// One policy, ready to decide.
#[derive(Debug)]
pub(super) struct Policy {
    matchers: Vec<TokenMatcher>,
    filter: Filter,
}

impl Policy {
    /// # Errors
    ///
    /// When a filter is not understood.
    pub(super) fn compile(policy: &EventPolicy) -> Result<Self, FilterError> {
        Ok(Self { matchers: policy.token_matchers.clone(), filter: filter::compile(&policy.filters)? })
    }

    /// Whether any matcher recognises the sender. A policy without matchers names nobody.
    pub(super) fn names(&self, claims: &Claims) -> bool {
        self.matchers.iter().any(|matcher| matches(matcher, claims))
    }

    /// Whether the event passes the filters.
    pub(super) fn passes(&self, event: &Event<'_>) -> bool {
        self.filter.matches(event)
    }
}

/// Every attribute must be among the claims; a matcher without any recognises everybody.
fn matches(matcher: &TokenMatcher, claims: &Claims) -> bool {
    let (attributes, compare): (_, fn(&str, &str) -> bool) = match matcher {
        TokenMatcher::Exact(attributes) => (attributes, |value, expected| value == expected),
        // An empty prefix is the beginning of every value, but not of an absent claim.
        TokenMatcher::Prefix(attributes) => (attributes, |value, expected| value.starts_with(expected)),
    };
    attributes.iter().all(|(name, expected)| {
        claims.get(name).is_some_and(|values| values.iter().any(|value| compare(value, expected)))
    })
}

#[cfg(test)]
mod tests;
