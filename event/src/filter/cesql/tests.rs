//! Expressions and what they give.

use super::{EvaluationError, Expression, Value};
use crate::Event;

mod bounds;
mod kit;
mod semantics;
mod syntax;

/// An event with nothing but what `set` names: attributes, or extensions.
fn event_with(set: &[(&str, Value<'static>)]) -> Event<'static> {
    let mut event = Event::new("id", "/source", "type").unwrap();
    for (name, value) in set.iter().cloned() {
        match (name, value) {
            ("id", value) => event.id = value.into_text(),
            ("source", value) => event.source = value.into_text(),
            ("type", value) => event.ty = value.into_text(),
            ("subject", value) => event.subject = Some(value.into_text()),
            ("time", value) => event.time = Some(value.into_text()),
            (name, Value::Boolean(value)) => event.extensions.set(name.to_owned(), value).unwrap(),
            (name, Value::Integer(value)) => event.extensions.set(name.to_owned(), value).unwrap(),
            (name, Value::String(value)) => event.extensions.set(name.to_owned(), value).unwrap(),
        }
    }
    event
}

impl From<bool> for Value<'static> {
    fn from(value: bool) -> Self {
        Value::Boolean(value)
    }
}

impl From<i32> for Value<'static> {
    fn from(value: i32) -> Self {
        Value::Integer(value)
    }
}

impl From<&'static str> for Value<'static> {
    fn from(value: &'static str) -> Self {
        Value::String(value.into())
    }
}

#[track_caller]
fn check_for(event: &Event<'_>, expression: &str, value: impl Into<Value<'static>>, error: Option<EvaluationError>) {
    let compiled = Expression::compile(expression, None).unwrap();
    let evaluation = compiled.evaluate(event);
    assert_eq!((evaluation.value, evaluation.error), (value.into(), error), "{expression}");
}

/// An expression without attributes, or with missing ones.
#[track_caller]
fn check(expression: &str, value: impl Into<Value<'static>>) {
    check_for(&event_with(&[]), expression, value, None);
}

#[track_caller]
fn check_error(expression: &str, value: impl Into<Value<'static>>, error: EvaluationError) {
    check_for(&event_with(&[]), expression, value, Some(error));
}
