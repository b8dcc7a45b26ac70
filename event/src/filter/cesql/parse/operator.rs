//! Operators between two operands, but for AND, OR and XOR: how tight they bind and what they make.
//!
//! Source: CloudEvents SQL 1.0.0, section 3.6.

use crate::filter::cesql::token::Token;
use crate::filter::cesql::tree::{Comparison, Math, Node};

/// How tight binary operators bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Comparison,
    Sum,
    Product,
}

impl Level {
    pub(super) fn tighter(self) -> Option<Self> {
        match self {
            Level::Comparison => Some(Level::Sum),
            Level::Sum => Some(Level::Product),
            Level::Product => None,
        }
    }
}

/// What an operator between two operands makes of them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operator {
    Math(Math),
    Compare(Comparison),
    Equal { negated: bool },
}

/// What a token does between two operands, and how tight it binds; `None` if it does not stand there.
pub(super) fn operator(token: &Token) -> Option<(Level, Operator)> {
    match token {
        Token::Math(math) => {
            let level = match math {
                Math::Multiply | Math::Divide | Math::Remainder => Level::Product,
                Math::Add | Math::Subtract => Level::Sum,
            };
            Some((level, Operator::Math(*math)))
        }
        Token::Compare(comparison) => Some((Level::Comparison, Operator::Compare(*comparison))),
        Token::Equal { negated } => Some((Level::Comparison, Operator::Equal { negated: *negated })),
        Token::Logic(_) | Token::Not | Token::Like | Token::Exists | Token::In => None,
        Token::Boolean(_) | Token::Integer(_) | Token::Text(_) | Token::Name(_) | Token::FunctionName(_) => None,
        Token::Open | Token::Close | Token::Comma => None,
    }
}

impl Operator {
    pub(super) fn join(self, left: Node, right: Node) -> Node {
        let (left, right) = (Box::new(left), Box::new(right));
        match self {
            Operator::Math(operator) => Node::Math { operator, left, right },
            Operator::Compare(operator) => Node::Compare { operator, left, right },
            Operator::Equal { negated } => Node::Equal { left, right, negated },
        }
    }
}
