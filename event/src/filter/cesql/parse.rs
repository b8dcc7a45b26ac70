//! From tokens to a tree, by precedence climbing.
//!
//! From tight to loose: functions and parentheses; NOT and minus; LIKE, EXISTS and IN; `* / %`; `+ -`; comparisons; AND, OR
//! and XOR. All bind to the left but the last. So `NOT a = b` is `(NOT a) = b`.
//! Source: CloudEvents SQL 1.0.0, sections 2 and 3.6, and the SDKs' grammar.

use std::borrow::Cow;
use std::sync::Arc;

use self::operator::{Level, operator};
use super::attribute::Attribute;
use super::correlation::ReplySecrets;
use super::error::{ParseError, Problem};
use super::function::Function;
use super::pattern::Pattern;
use super::token::{self, Placed, Token};
use super::tree::{Math, Node};
use super::value::Value;
use super::{MAX_DEPTH, MAX_EXPRESSION_BYTES};
use crate::error::excerpt;

mod operator;

const EXPRESSION: &str = "an attribute, a value, a function or (";
const OPERATOR: &str = "an operator or the end";

/// Parses a whole expression.
pub(super) fn parse(text: &str, secrets: Option<&Arc<dyn ReplySecrets>>) -> Result<Node, ParseError> {
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(token::error_at(text, text.len(), Problem::TooLong));
    }
    let tokens = token::split(text)?;
    let mut parser = Parser { text, tokens: &tokens, depth: 0, secrets };
    let tree = parser.logic()?;
    match parser.tokens.first() {
        None => Ok(tree.node),
        Some(_) => Err(parser.unexpected(OPERATOR)),
    }
}

struct Parser<'t> {
    text: &'t str,
    /// What is not parsed yet.
    tokens: &'t [Placed<'t>],
    /// How many calls of this parser are under way: parentheses and prefixes.
    depth: usize,
    secrets: Option<&'t Arc<dyn ReplySecrets>>,
}

/// A tree, and how many nodes are on its longest way down.
struct Tree {
    node: Node,
    height: usize,
}

impl<'t> Parser<'t> {
    /// The loosest level. A chain becomes one node, so that its length does not count as depth.
    fn logic(&mut self) -> Result<Tree, ParseError> {
        self.enter()?;
        let mut operand = self.binary(Level::Comparison)?;
        let mut steps = Vec::new();
        let mut height = operand.height;
        while let Some(Token::Logic(operator)) = self.peek() {
            self.advance();
            steps.push((operand.node, *operator));
            operand = self.binary(Level::Comparison)?;
            height = height.max(operand.height);
        }
        self.depth -= 1;
        if steps.is_empty() {
            return Ok(operand);
        }
        self.tree(Node::Logic { steps, last: Box::new(operand.node) }, height)
    }

    /// Operators of one level or tighter ones.
    fn binary(&mut self, level: Level) -> Result<Tree, ParseError> {
        let mut left = self.tighter(level)?;
        while let Some((found, operator)) = self.peek().and_then(operator)
            && found == level
        {
            self.advance();
            let right = self.tighter(level)?;
            let height = left.height.max(right.height);
            left = self.tree(operator.join(left.node, right.node), height)?;
        }
        Ok(left)
    }

    fn tighter(&mut self, level: Level) -> Result<Tree, ParseError> {
        match level.tighter() {
            Some(tighter) => self.binary(tighter),
            None => self.postfix(),
        }
    }

    /// LIKE and IN, which stand behind their operand.
    fn postfix(&mut self) -> Result<Tree, ParseError> {
        let mut operand = self.prefix()?;
        loop {
            let negated = self.peek() == Some(&Token::Not);
            if negated {
                self.advance();
            }
            match self.peek() {
                Some(Token::Like) => {
                    self.advance();
                    let pattern = self.pattern()?;
                    let height = operand.height;
                    operand = self.tree(Node::Like { operand: Box::new(operand.node), pattern, negated }, height)?;
                }
                Some(Token::In) => {
                    self.advance();
                    self.expect(&Token::Open, "(")?;
                    let (set, height) = self.list()?;
                    let height = height.max(operand.height);
                    operand = self.tree(Node::In { operand: Box::new(operand.node), set, negated }, height)?;
                }
                Some(_) | None if negated => return Err(self.unexpected("LIKE or IN")),
                Some(_) | None => return Ok(operand),
            }
        }
    }

    fn pattern(&mut self) -> Result<Pattern, ParseError> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let pattern = Pattern::new(text);
                self.advance();
                Ok(pattern)
            }
            Some(_) | None => Err(self.unexpected("a text in quotation marks")),
        }
    }

    /// At least one expression, and the closing parenthesis.
    fn list(&mut self) -> Result<(Vec<Node>, usize), ParseError> {
        let (mut nodes, mut height) = (Vec::new(), 0);
        loop {
            let element = self.logic()?;
            height = height.max(element.height);
            nodes.push(element.node);
            if self.peek() != Some(&Token::Comma) {
                self.expect(&Token::Close, ", or )")?;
                return Ok((nodes, height));
            }
            self.advance();
        }
    }

    fn prefix(&mut self) -> Result<Tree, ParseError> {
        let Some(token) = self.peek() else { return Err(self.unexpected(EXPRESSION)) };
        let node = match token {
            Token::Not => return self.unary(Node::Not),
            Token::Math(Math::Subtract) => return self.unary(Node::Negate),
            Token::Open => {
                self.advance();
                let inner = self.logic()?;
                self.expect(&Token::Close, "an operator or )")?;
                return Ok(inner);
            }
            Token::Exists => {
                self.advance();
                return self.exists();
            }
            Token::FunctionName(name) => return self.call(name),
            Token::Name(name) if self.tokens.get(1).is_some_and(|next| next.token == Token::Open) => {
                return self.call(name);
            }
            Token::Name(name) => Node::Attribute(Attribute::named(name)),
            Token::Boolean(value) => Node::Literal(Value::Boolean(*value)),
            Token::Integer(value) => Node::Literal(Value::Integer(*value)),
            Token::Text(text) => Node::Literal(Value::String(Cow::Owned(text.clone()))),
            Token::Math(Math::Multiply | Math::Divide | Math::Remainder | Math::Add)
            | Token::Compare(_)
            | Token::Equal { .. }
            | Token::Logic(_)
            | Token::Like
            | Token::In
            | Token::Close
            | Token::Comma => return Err(self.unexpected(EXPRESSION)),
        };
        self.advance();
        self.tree(node, 0)
    }

    fn unary(&mut self, make: impl FnOnce(Box<Node>) -> Node) -> Result<Tree, ParseError> {
        self.enter()?;
        self.advance();
        let operand = self.prefix()?;
        self.depth -= 1;
        self.tree(make(Box::new(operand.node)), operand.height)
    }

    fn exists(&mut self) -> Result<Tree, ParseError> {
        let Some(Token::Name(name)) = self.peek() else { return Err(self.unexpected("the name of an attribute")) };
        // Here, and only here, both SDKs take names in any case.
        let node = Node::Exists(Attribute::named(&name.to_ascii_lowercase()));
        self.advance();
        self.tree(node, 0)
    }

    fn call(&mut self, name: &str) -> Result<Tree, ParseError> {
        if name.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err(self.error(Problem::Name { found: excerpt(name) }));
        }
        self.advance();
        self.expect(&Token::Open, "(")?;
        let (arguments, height) = if self.peek() == Some(&Token::Close) {
            self.advance();
            (Vec::new(), 0)
        } else {
            self.list()?
        };
        let node = match Function::named(name, arguments.len(), self.secrets) {
            Some(function) => Node::Call { function, arguments },
            None => Node::Unknown,
        };
        self.tree(node, height)
    }

    fn tree(&self, node: Node, height_below: usize) -> Result<Tree, ParseError> {
        if height_below >= MAX_DEPTH {
            return Err(self.error(Problem::TooDeep));
        }
        Ok(Tree { node, height: height_below + 1 })
    }

    fn enter(&mut self) -> Result<(), ParseError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(Problem::TooDeep));
        }
        self.depth += 1;
        Ok(())
    }

    fn peek(&self) -> Option<&'t Token> {
        self.tokens.first().map(|placed| &placed.token)
    }

    fn advance(&mut self) {
        self.tokens = self.tokens.split_first().map_or(&[], |(_, rest)| rest);
    }

    fn expect(&mut self, token: &Token, expected: &'static str) -> Result<(), ParseError> {
        if self.peek() != Some(token) {
            return Err(self.unexpected(expected));
        }
        self.advance();
        Ok(())
    }

    fn unexpected(&self, expected: &'static str) -> ParseError {
        let Some(placed) = self.tokens.first() else { return self.error(Problem::End { expected }) };
        let found = excerpt(placed.text);
        let is_signed = matches!(placed.token, Token::Integer(_)) && placed.text.starts_with(['+', '-']);
        self.error(if is_signed { Problem::SignedNumber { found } } else { Problem::Unexpected { expected, found } })
    }

    /// At the next token.
    fn error(&self, problem: Problem) -> ParseError {
        token::error_at(self.text, self.tokens.first().map_or(0, |placed| placed.remaining), problem)
    }
}
