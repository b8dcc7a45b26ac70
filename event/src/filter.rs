//! Decides whether an event passes the filters of a subscription or of an event policy.
//!
//! Filters are compiled once, when the contract is read, and then only compare. An attribute that is absent matches
//! nothing, in every dialect; an expected text that is empty matches everything, absent attributes too.
//! Sources: Knative Eventing, "trigger and subscription filters"; the Java data plane's attribute filters. Ours where it
//! differs: a prefix or suffix filter on a missing `subject` or `datacontenttype` does not match (there it fails the
//! delivery). The dialect `cesql` is in [`cesql`].

use std::borrow::Cow;
use std::sync::Arc;

use millrace_config::contract::FilterSpec;

use self::cesql::{Expression, ParseError, ReplySecrets};
use crate::error::excerpt;
use crate::event::Event;
use crate::time;

pub mod cesql;

/// Why a filter cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No CloudEvents SQL.
    #[error("CESQL expression {expression:?}: {reason}")]
    CeSql {
        /// The expression, shortened.
        expression: String,
        /// What is wrong with it, and where.
        reason: ParseError,
    },
}

/// A compiled list of filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// Every entry must match.
    Attributes(Comparison, Vec<(Attribute, String)>),
    CeSql(Expression),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Exact,
    Prefix,
    Suffix,
}

/// What an entry looks at, found out once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Attribute {
    Time,
    /// A required attribute, an optional one or an extension.
    Named(String),
}

/// Compiles filters that must all pass. None at all pass everything.
///
/// # Errors
/// If any filter, at any depth, is a CESQL expression that cannot be parsed.
pub fn compile(filters: &[FilterSpec]) -> Result<Filter, FilterError> {
    compile_list(filters, None)
}

/// As [`compile`], for the dispatcher: CESQL expressions may call `KN_VERIFY_CORRELATION_ID`, which looks for its keys in
/// `secrets`.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(filters: &[FilterSpec], secrets: &Arc<dyn ReplySecrets>) -> Result<Filter, FilterError> {
    compile_list(filters, Some(secrets))
}

type Secrets<'s> = Option<&'s Arc<dyn ReplySecrets>>;

fn compile_list(filters: &[FilterSpec], secrets: Secrets<'_>) -> Result<Filter, FilterError> {
    match filters {
        [only] => compile_one(only, secrets).map(Filter),
        _ => compile_all(filters, secrets).map(|nodes| Filter(Node::All(nodes))),
    }
}

fn compile_all(filters: &[FilterSpec], secrets: Secrets<'_>) -> Result<Vec<Node>, FilterError> {
    filters.iter().map(|filter| compile_one(filter, secrets)).collect()
}

fn compile_one(filter: &FilterSpec, secrets: Secrets<'_>) -> Result<Node, FilterError> {
    Ok(match filter {
        FilterSpec::Exact(entries) => attributes(Comparison::Exact, entries),
        FilterSpec::Prefix(entries) => attributes(Comparison::Prefix, entries),
        FilterSpec::Suffix(entries) => attributes(Comparison::Suffix, entries),
        FilterSpec::All(filters) => Node::All(compile_all(filters, secrets)?),
        FilterSpec::Any(filters) => Node::Any(compile_all(filters, secrets)?),
        FilterSpec::Not(filter) => Node::Not(Box::new(compile_one(filter, secrets)?)),
        FilterSpec::CeSql(expression) => match Expression::compile(expression, secrets) {
            Ok(compiled) => Node::CeSql(compiled),
            Err(reason) => return Err(FilterError::CeSql { expression: excerpt(expression), reason }),
        },
        FilterSpec::Pass => Node::All(Vec::new()),
    })
}

fn attributes<'a>(comparison: Comparison, entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> Node {
    let compiled = entries.into_iter().filter(|(_, expected)| !expected.is_empty()).map(|(name, expected)| {
        let attribute = if name == "time" { Attribute::Time } else { Attribute::Named(name.clone()) };
        (attribute, expected.clone())
    });
    Node::Attributes(comparison, compiled.collect())
}

impl Filter {
    /// Whether the event passes. Attribute filters allocate only for a `time` that is not a whole second in UTC, CESQL
    /// only in functions that make a new text.
    pub fn matches(&self, event: &Event<'_>) -> bool {
        self.0.matches(event)
    }
}

impl Node {
    fn matches(&self, event: &Event<'_>) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|node| node.matches(event)),
            Node::Any(nodes) => nodes.iter().any(|node| node.matches(event)),
            Node::Not(node) => !node.matches(event),
            Node::Attributes(comparison, entries) => {
                entries.iter().all(|(attribute, expected)| attribute.matches(*comparison, expected, event))
            }
            Node::CeSql(expression) => expression.matches(event),
        }
    }
}

impl Attribute {
    fn matches(&self, comparison: Comparison, expected: &str, event: &Event<'_>) -> bool {
        let compare = |actual: &str| match comparison {
            Comparison::Exact => actual == expected,
            Comparison::Prefix => actual.starts_with(expected),
            Comparison::Suffix => actual.ends_with(expected),
        };
        match self {
            Attribute::Time => event.time.as_deref().is_some_and(|text| {
                // A time that is none can only come from a field set by hand; it is compared as it stands.
                compare(&time::to_instant(text).unwrap_or(Cow::Borrowed(text)))
            }),
            Attribute::Named(name) => event.attribute(name).is_some_and(|value| value.with_text(compare)),
        }
    }
}

#[cfg(test)]
mod tests;
