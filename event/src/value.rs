//! The value of an extension and its text form.
//!
//! Headers hold only text, so an extension read from a binary event is always a [`Value::String`]; the other kinds come
//! from JSON and from the dispatcher, which adds numbers of its own.
//! Source: CloudEvents 1.0.2, "type system" (integers have 32 bits; longer ones exist only for Kafka offsets).

use std::borrow::Cow;
use std::fmt;

/// An extension's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Any text, also a URI, a time stamp or base64.
    String(Cow<'a, str>),
    /// `true` or `false` in text.
    Boolean(bool),
    /// The integer of CloudEvents.
    Integer(i32),
    /// Beyond what CloudEvents knows: a number in headers, a string in JSON.
    Long(i64),
}

impl Value<'_> {
    /// The form that headers, filters and record keys use. Allocates only for numbers.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Value::String(text) => Cow::Borrowed(text),
            Value::Boolean(value) => Cow::Borrowed(boolean_text(*value)),
            Value::Integer(value) => Cow::Owned(value.to_string()),
            Value::Long(value) => Cow::Owned(value.to_string()),
        }
    }

    /// Calls `with` with the text form; allocates for no kind of value.
    pub fn with_text<R>(&self, with: impl FnOnce(&str) -> R) -> R {
        match self {
            Value::String(text) => with(text),
            Value::Boolean(value) => with(boolean_text(*value)),
            Value::Integer(value) => with(itoa::Buffer::new().format(*value)),
            Value::Long(value) => with(itoa::Buffer::new().format(*value)),
        }
    }

    /// The same value, borrowed from this one.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::String(text) => Value::String(Cow::Borrowed(text)),
            Value::Boolean(value) => Value::Boolean(*value),
            Value::Integer(value) => Value::Integer(*value),
            Value::Long(value) => Value::Long(*value),
        }
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Value::Boolean(value) => Value::Boolean(value),
            Value::Integer(value) => Value::Integer(value),
            Value::Long(value) => Value::Long(value),
        }
    }
}

fn boolean_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| formatter.pad(text))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::String(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::String(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Value::String(text)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Boolean(value)
    }
}

impl From<i32> for Value<'_> {
    fn from(value: i32) -> Self {
        Value::Integer(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Long(value)
    }
}
