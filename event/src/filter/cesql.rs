//! CloudEvents SQL: expressions over the attributes of one event, compiled once and then evaluated per event.
//!
//! Evaluation is total: it always ends, never panics and always has a value, also after an error. As a filter, an
//! expression with an error does not match. Attributes are borrowed from the event; only functions that make a new text,
//! and integers where a text is wanted, allocate.
//! Sources: CloudEvents SQL 1.0.0 (the section numbers in this folder are its), its test kit, and for the grammar its lexer
//! and parser as both SDKs have them. Our readings, each pinned by a test:
//! - AND, OR and XOR bind equally and to the right, as in both SDKs: `a AND b OR c` is `a AND (b OR c)`. Operands are still
//!   evaluated from left to right.
//! - An error in an operand makes the operator's value the zero value of its type (section 3.2 says so of missing
//!   attributes, the test kit of the rest).
//! - Integers wrap around as in both SDKs, except in `ABS`, where section 3.5.2 asks for an error.
//! - `%` and `_` match every character, and characters are Unicode's (section 3.1), not UTF-16 units.
//! - A result that is no boolean is cast to one, because Knative's filters are: `1` and `'TRUE'` match, `0` and `'x'` do
//!   not. Section 1.2 would refuse them all.
//! - `time` is the text that headers carry, RFC 3339 with seconds.

use std::sync::Arc;

pub use self::correlation::{ReplySecrets, SecretData};
pub use self::error::{EvaluationError, ParseError, Problem};
use self::tree::Node;
pub use self::value::Value;
use crate::event::Event;

mod attribute;
mod correlation;
mod error;
mod evaluate;
mod function;
mod parse;
mod pattern;
mod text;
mod token;
mod tree;
mod value;

/// Longest expression. Longer ones are refused when they are compiled.
pub const MAX_EXPRESSION_BYTES: usize = 64 * 1024;

/// How deep operators, functions and parentheses may stand in one another: evaluation recurses that deep. A chain of
/// AND, OR and XOR counts once, however long it is.
pub const MAX_DEPTH: usize = 64;

/// Longest text that an expression may make out of others, in bytes. Beyond it, `CONCAT` and `CONCAT_WS` err: a short
/// expression could otherwise ask for gigabytes.
pub const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// A compiled expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    root: Node,
}

/// What came of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation<'e> {
    /// The result; after an error, the best there is.
    pub value: Value<'e>,
    /// The first error. What stands behind it is not evaluated.
    pub error: Option<EvaluationError>,
}

impl Expression {
    /// Compiles an expression. With `secrets`, it may use `KN_VERIFY_CORRELATION_ID`; without, that function does not
    /// exist.
    ///
    /// # Errors
    /// If the text is no expression, is too long or too deep; says where. A function that does not exist is no such error
    /// (section 3.5): it is one of evaluation.
    pub fn compile(text: &str, secrets: Option<&Arc<dyn ReplySecrets>>) -> Result<Self, ParseError> {
        parse::parse(text, secrets).map(|root| Self { root })
    }

    /// The value for one event.
    pub fn evaluate<'e>(&'e self, event: &'e Event<'_>) -> Evaluation<'e> {
        match self.root.evaluate(event) {
            Ok(value) => Evaluation { value, error: None },
            Err(failure) => {
                let value = failure.value.unwrap_or_else(|| self.root.kind().zero());
                Evaluation { value, error: Some(failure.error) }
            }
        }
    }

    /// Whether the event passes.
    pub fn matches(&self, event: &Event<'_>) -> bool {
        self.root.evaluate(event).is_ok_and(|value| value.to_boolean().unwrap_or(false))
    }
}

#[cfg(test)]
mod tests;
