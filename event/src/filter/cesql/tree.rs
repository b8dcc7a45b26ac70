//! An expression as a tree.
//!
//! Only says what there is; `parse` builds it and `evaluate` walks it.
//! Source: CloudEvents SQL 1.0.0, sections 3.4 and 3.5.

use super::attribute::Attribute;
use super::function::Function;
use super::pattern::Pattern;
use super::value::{Kind, Value};

/// An operator, a function, an attribute or a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Literal(Value<'static>),
    Attribute(Attribute),
    Exists(Attribute),
    Not(Box<Node>),
    Negate(Box<Node>),
    Like {
        operand: Box<Node>,
        pattern: Pattern,
        negated: bool,
    },
    In {
        operand: Box<Node>,
        set: Vec<Node>,
        negated: bool,
    },
    Math {
        operator: Math,
        left: Box<Node>,
        right: Box<Node>,
    },
    Compare {
        operator: Comparison,
        left: Box<Node>,
        right: Box<Node>,
    },
    Equal {
        left: Box<Node>,
        right: Box<Node>,
        negated: bool,
    },
    /// `first op second op … last`, which binds to the right: each operator has everything behind it as right operand.
    Logic {
        steps: Vec<(Node, Logic)>,
        last: Box<Node>,
    },
    Call {
        function: Function,
        arguments: Vec<Node>,
    },
    /// No function has this name and this number of arguments.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Math {
    Multiply,
    Divide,
    Remainder,
    Add,
    Subtract,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
    Xor,
}

impl Node {
    /// The type of the value after an error. Nobody knows that of a missing attribute: then it is a boolean.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Node::Literal(value) => value.kind(),
            Node::Negate(_) | Node::Math { .. } => Kind::Integer,
            Node::Call { function, .. } => function.kind(),
            Node::Attribute(_)
            | Node::Exists(_)
            | Node::Not(_)
            | Node::Like { .. }
            | Node::In { .. }
            | Node::Compare { .. }
            | Node::Equal { .. }
            | Node::Logic { .. }
            | Node::Unknown => Kind::Boolean,
        }
    }
}
