//! The functions of the language, and the one that Knative adds.
//!
//! Arguments are evaluated from left to right and cast to the types that the function takes.
//! Source: CloudEvents SQL 1.0.0, section 3.5; the casting functions are those of the SDKs and of the test kit.

use std::borrow::Cow;
use std::sync::Arc;

use super::MAX_TEXT_BYTES;
use super::correlation::{self, ReplyId, ReplySecrets, Secrets};
use super::error::EvaluationError;
use super::evaluate::{Evaluated, Failure};
use super::text::{after, first, narrow};
use super::tree::Node;
use super::value::{Kind, Value};
use crate::event::Event;

/// A function with a known number of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function {
    Int,
    Bool,
    String,
    IsInt,
    IsBool,
    Abs,
    Length,
    Concat,
    ConcatWs,
    Lower,
    Upper,
    Trim,
    Left,
    Right,
    /// With or without a length.
    Substring,
    VerifyCorrelationId(Secrets),
}

impl Function {
    /// The function of that name, in any case, which takes so many arguments.
    pub(super) fn named(name: &str, arguments: usize, secrets: Option<&Arc<dyn ReplySecrets>>) -> Option<Self> {
        let function = match (name.to_ascii_uppercase().as_str(), arguments) {
            ("INT", 1) => Function::Int,
            ("BOOL", 1) => Function::Bool,
            ("STRING", 1) => Function::String,
            ("IS_INT", 1) => Function::IsInt,
            ("IS_BOOL", 1) => Function::IsBool,
            ("ABS", 1) => Function::Abs,
            ("LENGTH", 1) => Function::Length,
            ("CONCAT", _) => Function::Concat,
            ("CONCAT_WS", 1..) => Function::ConcatWs,
            ("LOWER", 1) => Function::Lower,
            ("UPPER", 1) => Function::Upper,
            ("TRIM", 1) => Function::Trim,
            ("LEFT", 2) => Function::Left,
            ("RIGHT", 2) => Function::Right,
            ("SUBSTRING", 2 | 3) => Function::Substring,
            (correlation::FUNCTION, 6) => Function::VerifyCorrelationId(Secrets(Arc::clone(secrets?))),
            _ => return None,
        };
        Some(function)
    }

    /// The type of its value.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Function::Int | Function::Abs | Function::Length => Kind::Integer,
            Function::Bool | Function::IsInt | Function::IsBool | Function::VerifyCorrelationId(_) => Kind::Boolean,
            Function::String
            | Function::Concat
            | Function::ConcatWs
            | Function::Lower
            | Function::Upper
            | Function::Trim
            | Function::Left
            | Function::Right
            | Function::Substring => Kind::String,
        }
    }

    /// Its value for the arguments, which are as many as it was looked up with.
    pub(super) fn call<'e>(&'e self, arguments: &'e [Node], event: &'e Event<'_>) -> Evaluated<'e> {
        let arguments = Arguments { nodes: arguments, event };
        let text = match self {
            Function::Int => return Ok(Value::Integer(arguments.integer(0)?)),
            Function::Bool => return Ok(Value::Boolean(arguments.value(0)?.to_boolean()?)),
            Function::IsInt => return Ok(Value::Boolean(arguments.value(0)?.can_be(Kind::Integer))),
            Function::IsBool => return Ok(Value::Boolean(arguments.value(0)?.can_be(Kind::Boolean))),
            Function::Abs => return absolute(arguments.integer(0)?),
            Function::Length => return Ok(Value::Integer(arguments.value(0)?.with_text(length))),
            Function::VerifyCorrelationId(secrets) => {
                return Ok(Value::Boolean(arguments.reply_id()?.is_genuine(secrets)));
            }
            Function::String => arguments.text(0)?,
            Function::Concat => arguments.concat("", 0)?,
            Function::ConcatWs => arguments.concat(&arguments.text(0)?, 1)?,
            Function::Lower => lower(arguments.text(0)?),
            Function::Upper => upper(arguments.text(0)?),
            Function::Trim => narrow(arguments.text(0)?, str::trim),
            Function::Left => arguments.left()?,
            Function::Right => arguments.right()?,
            Function::Substring => arguments.substring()?,
        };
        Ok(Value::String(text))
    }
}

/// The arguments of one call.
#[derive(Clone, Copy)]
struct Arguments<'e, 'a> {
    nodes: &'e [Node],
    event: &'e Event<'a>,
}

type Text<'e> = Result<Cow<'e, str>, Failure<'e>>;

impl<'e> Arguments<'e, '_> {
    fn value(&self, index: usize) -> Evaluated<'e> {
        self.nodes.get(index).expect("a function is found by its number of arguments").operand(self.event)
    }

    fn text(&self, index: usize) -> Text<'e> {
        self.value(index).map(Value::into_text)
    }

    fn integer(&self, index: usize) -> Result<i32, Failure<'e>> {
        Ok(self.value(index)?.to_integer()?)
    }

    /// The texts from the argument `from` on.
    fn concat(&self, delimiter: &str, from: usize) -> Text<'e> {
        if self.nodes.len() == from + 1 {
            return self.text(from);
        }
        let mut whole = String::new();
        for index in from..self.nodes.len() {
            let delimiter = if index == from { "" } else { delimiter };
            let text = self.text(index)?;
            if whole.len() + delimiter.len() + text.len() > MAX_TEXT_BYTES {
                return Err(EvaluationError::FunctionEvaluation.into());
            }
            whole.push_str(delimiter);
            whole.push_str(&text);
        }
        Ok(Cow::Owned(whole))
    }

    fn left(&self) -> Text<'e> {
        let text = self.text(0)?;
        match usize::try_from(self.integer(1)?) {
            Ok(count) => Ok(narrow(text, |text| first(text, count))),
            Err(_) => Err(out_of_range(text)),
        }
    }

    fn right(&self) -> Text<'e> {
        let text = self.text(0)?;
        match usize::try_from(self.integer(1)?) {
            Ok(count) => Ok(narrow(text, |text| after(text, text.chars().count().saturating_sub(count)))),
            Err(_) => Err(out_of_range(text)),
        }
    }

    fn substring(&self) -> Text<'e> {
        let text = self.text(0)?;
        let position = self.integer(1)?;
        let taken = match self.nodes.len() {
            2 => usize::MAX,
            _ => usize::try_from(self.integer(2)?).map_err(|_negative| EvaluationError::FunctionEvaluation)?,
        };
        if position == 0 {
            return Ok(Cow::Borrowed(""));
        }
        let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
        let from_end = text.chars().count().checked_sub(distance).ok_or(EvaluationError::FunctionEvaluation)?;
        let skipped = if position < 0 { from_end } else { distance - 1 };
        Ok(narrow(text, |text| first(after(text, skipped), taken)))
    }

    fn reply_id(&self) -> Result<ReplyId<'e>, Failure<'e>> {
        Ok(ReplyId {
            text: self.text(0)?,
            name: self.text(1)?,
            namespace: self.text(2)?,
            secret: self.text(3)?,
            pod_index: self.integer(4)?,
            replicas: self.integer(5)?,
        })
    }
}

fn out_of_range(text: Cow<'_, str>) -> Failure<'_> {
    Failure { error: EvaluationError::FunctionEvaluation, value: Some(Value::String(text)) }
}

fn absolute<'e>(value: i32) -> Evaluated<'e> {
    match value.checked_abs() {
        Some(value) => Ok(Value::Integer(value)),
        None => Err(Failure { error: EvaluationError::Math, value: Some(Value::Integer(i32::MAX)) }),
    }
}

fn length(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or(i32::MAX)
}

fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return text;
    }
    Cow::Owned(text.to_lowercase())
}

fn upper(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_lowercase()) {
        return text;
    }
    Cow::Owned(text.to_uppercase())
}
