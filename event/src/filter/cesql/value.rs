//! The three types of the language, and the casts between them.
//!
//! Source: CloudEvents SQL 1.0.0, sections 3.1 and 3.7.

use std::borrow::Cow;

use super::error::EvaluationError;

/// A value of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'e> {
    /// `true` or `false`.
    Boolean(bool),
    /// 32 bits, signed.
    Integer(i32),
    /// A text.
    String(Cow<'e, str>),
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Integer,
    String,
}

impl Kind {
    /// What an operator of this type gives after an error.
    pub(super) fn zero<'e>(self) -> Value<'e> {
        match self {
            Kind::Boolean => Value::Boolean(false),
            Kind::Integer => Value::Integer(0),
            Kind::String => Value::String(Cow::Borrowed("")),
        }
    }
}

impl<'e> Value<'e> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Value::Boolean(_) => Kind::Boolean,
            Value::Integer(_) => Kind::Integer,
            Value::String(_) => Kind::String,
        }
    }

    /// Integers other than 0 are true; texts must be `true` or `false`, in any case.
    pub(super) fn to_boolean(&self) -> Result<bool, EvaluationError> {
        match self {
            Value::Boolean(value) => Ok(*value),
            Value::Integer(value) => Ok(*value != 0),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Value::String(_) => Err(EvaluationError::Cast),
        }
    }

    /// Texts must be decimal, with or without a sign, in 32 bits.
    pub(super) fn to_integer(&self) -> Result<i32, EvaluationError> {
        match self {
            Value::Boolean(value) => Ok(i32::from(*value)),
            Value::Integer(value) => Ok(*value),
            Value::String(text) => text.parse().map_err(|_no_number| EvaluationError::Cast),
        }
    }

    /// Every value has a text; only an integer's is allocated.
    pub(super) fn into_text(self) -> Cow<'e, str> {
        match self {
            Value::Boolean(true) => Cow::Borrowed("true"),
            Value::Boolean(false) => Cow::Borrowed("false"),
            Value::Integer(value) => Cow::Owned(value.to_string()),
            Value::String(text) => text,
        }
    }

    /// Calls `with` with the text, without allocating.
    pub(super) fn with_text<R>(&self, with: impl FnOnce(&str) -> R) -> R {
        match self {
            Value::Boolean(true) => with("true"),
            Value::Boolean(false) => with("false"),
            Value::Integer(value) => with(itoa::Buffer::new().format(*value)),
            Value::String(text) => with(text),
        }
    }

    /// Whether this value, cast to the type of `other`, equals it.
    pub(super) fn equals_as(&self, other: &Value<'_>) -> Result<bool, EvaluationError> {
        match other {
            Value::Boolean(other) => self.to_boolean().map(|value| value == *other),
            Value::Integer(other) => self.to_integer().map(|value| value == *other),
            Value::String(other) => Ok(self.with_text(|text| text == other)),
        }
    }

    pub(super) fn can_be(&self, kind: Kind) -> bool {
        match kind {
            Kind::Boolean => self.to_boolean().is_ok(),
            Kind::Integer => self.to_integer().is_ok(),
            Kind::String => true,
        }
    }
}
