//! Walks the tree for one event.
//!
//! An error in an operand ends the evaluation: the operators around it have no better value than zero, so nothing behind
//! it could change the result. That is also what section 4.1 recommends for filters.
//! Source: CloudEvents SQL 1.0.0, sections 3.2 to 3.7.

use super::error::EvaluationError;
use super::tree::{Comparison, Logic, Math, Node};
use super::value::Value;
use crate::event::Event;

/// What is known after an error.
#[derive(Debug)]
pub(super) struct Failure<'e> {
    pub(super) error: EvaluationError,
    /// What the operator or function that failed would return itself, if that is not its zero value.
    pub(super) value: Option<Value<'e>>,
}

impl From<EvaluationError> for Failure<'_> {
    fn from(error: EvaluationError) -> Self {
        Self { error, value: None }
    }
}

pub(super) type Evaluated<'e> = Result<Value<'e>, Failure<'e>>;

impl Node {
    /// The value, or the first error.
    pub(super) fn evaluate<'e>(&'e self, event: &'e Event<'_>) -> Evaluated<'e> {
        match self {
            Node::Literal(value) => Ok(borrowed(value)),
            Node::Attribute(attribute) => attribute.value(event).ok_or(EvaluationError::MissingAttribute.into()),
            Node::Exists(attribute) => Ok(Value::Boolean(attribute.exists(event))),
            Node::Not(operand) => Ok(Value::Boolean(!operand.operand(event)?.to_boolean()?)),
            Node::Negate(operand) => Ok(Value::Integer(operand.operand(event)?.to_integer()?.wrapping_neg())),
            Node::Like { operand, pattern, negated } => {
                let matches = operand.operand(event)?.with_text(|text| pattern.matches(text));
                Ok(Value::Boolean(matches != *negated))
            }
            Node::In { operand, set, negated } => Ok(Value::Boolean(is_in(operand, set, event)? != *negated)),
            Node::Math { operator, left, right } => {
                let left = left.operand(event)?;
                let right = right.operand(event)?;
                Ok(Value::Integer(operator.apply(left.to_integer()?, right.to_integer()?)?))
            }
            Node::Compare { operator, left, right } => {
                let left = left.operand(event)?;
                let right = right.operand(event)?;
                Ok(Value::Boolean(operator.apply(left.to_integer()?, right.to_integer()?)))
            }
            Node::Equal { left, right, negated } => {
                let left = left.operand(event)?;
                let right = right.operand(event)?;
                Ok(Value::Boolean(left.equals_as(&right)? != *negated))
            }
            Node::Logic { steps, last } => logic(steps, last, event).map(Value::Boolean),
            Node::Call { function, arguments } => function.call(arguments, event),
            Node::Unknown => Err(EvaluationError::MissingFunction.into()),
        }
    }

    /// As [`Self::evaluate`], for an operator around this one: in an error, the value is not this one's any more.
    pub(super) fn operand<'e>(&'e self, event: &'e Event<'_>) -> Evaluated<'e> {
        self.evaluate(event).map_err(|failure| Failure { error: failure.error, value: None })
    }
}

fn borrowed<'e>(value: &'e Value<'static>) -> Value<'e> {
    match value {
        Value::Boolean(value) => Value::Boolean(*value),
        Value::Integer(value) => Value::Integer(*value),
        Value::String(text) => Value::String(std::borrow::Cow::Borrowed(text)),
    }
}

/// Elements are cast to the type of the operand, and looked at from left to right until one is equal.
fn is_in<'e>(operand: &'e Node, set: &'e [Node], event: &'e Event<'_>) -> Result<bool, Failure<'e>> {
    let value = operand.operand(event)?;
    for element in set {
        if element.operand(event)?.equals_as(&value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Binding to the right makes this a walk: whenever a left operand decides, it decides for all that is behind it. What
/// a XOR before it has to turn around is remembered.
fn logic<'e>(steps: &'e [(Node, Logic)], last: &'e Node, event: &'e Event<'_>) -> Result<bool, Failure<'e>> {
    let mut inverted = false;
    for (operand, operator) in steps {
        let value = operand.operand(event)?.to_boolean()?;
        match (operator, value) {
            (Logic::And, false) | (Logic::Or, true) => return Ok(value != inverted),
            (Logic::And, true) | (Logic::Or, false) => {}
            (Logic::Xor, value) => inverted ^= value,
        }
    }
    Ok(last.operand(event)?.to_boolean()? != inverted)
}

impl Math {
    fn apply(self, left: i32, right: i32) -> Result<i32, EvaluationError> {
        match (self, right) {
            (Math::Divide | Math::Remainder, 0) => Err(EvaluationError::Math),
            (Math::Multiply, _) => Ok(left.wrapping_mul(right)),
            (Math::Divide, _) => Ok(left.wrapping_div(right)),
            (Math::Remainder, _) => Ok(left.wrapping_rem(right)),
            (Math::Add, _) => Ok(left.wrapping_add(right)),
            (Math::Subtract, _) => Ok(left.wrapping_sub(right)),
        }
    }
}

impl Comparison {
    fn apply(self, left: i32, right: i32) -> bool {
        match self {
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
        }
    }
}
