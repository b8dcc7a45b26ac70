//! What can be wrong with an expression and with its evaluation.
//!
//! Source: CloudEvents SQL 1.0.0, section 3.3.

use super::{MAX_DEPTH, MAX_EXPRESSION_BYTES};

/// Why a text is no expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub struct ParseError {
    /// In characters, the first is 1. One more than the text has, if something is missing at its end.
    pub position: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// See [`MAX_EXPRESSION_BYTES`].
    #[error("the expression is longer than {MAX_EXPRESSION_BYTES} bytes")]
    TooLong,
    /// See [`MAX_DEPTH`].
    #[error("operators and parentheses are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A character that no part of an expression begins with.
    #[error("{found:?} has no meaning here")]
    Character {
        /// The character.
        found: char,
    },
    /// A string literal without its end.
    #[error("the text that begins here has no closing {quote}")]
    OpenText {
        /// The quotation mark that is missing.
        quote: char,
    },
    /// An integer beyond 32 bits.
    #[error("{found} does not fit into 32 bits")]
    IntegerRange {
        /// The literal, shortened.
        found: String,
    },
    /// A word with an underscore and digits.
    #[error("{found:?} is no name: attributes have letters and digits, functions letters and underscores")]
    Name {
        /// The word, shortened.
        found: String,
    },
    /// Something else is needed here.
    #[error("expected {expected}, found {found:?}")]
    Unexpected {
        /// What would have been right.
        expected: &'static str,
        /// What is there, shortened.
        found: String,
    },
    /// `4 -1` is a number and another number, because a sign directly before a digit is part of the literal.
    #[error("{found:?} is a number of its own: to add or subtract, put a blank after the sign")]
    SignedNumber {
        /// The number with its sign, shortened.
        found: String,
    },
    /// The text ends too early.
    #[error("expected {expected}, but the expression ends")]
    End {
        /// What would have been right.
        expected: &'static str,
    },
}

/// What went wrong in an evaluation. The event does not match then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A division by zero, or an absolute value beyond 32 bits.
    #[error("division by zero, or a result beyond 32 bits")]
    Math,
    /// A text that is no number or no boolean was used as one.
    #[error("a value has not the type that is needed")]
    Cast,
    /// The event has no such attribute.
    #[error("the event lacks an attribute")]
    MissingAttribute,
    /// No function has this name and this number of arguments.
    #[error("there is no such function with so many arguments")]
    MissingFunction,
    /// A function cannot work with its arguments.
    #[error("an argument of a function is out of range")]
    FunctionEvaluation,
}
