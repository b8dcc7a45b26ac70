//! Splits an expression into words, numbers, texts and signs.
//!
//! Source: the lexer of CloudEvents SQL 1.0.0. A sign directly before a digit belongs to the number, so `4 -1` is two
//! numbers. In texts only the escaped quotation mark of the same kind is unescaped; a doubled one stays as it is.

use super::error::{ParseError, Problem};
use super::tree::{Comparison, Logic, Math};
use crate::error::excerpt;

/// A piece of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Logic(Logic),
    Not,
    Like,
    Exists,
    In,
    Boolean(bool),
    /// With or without a sign.
    Integer(i32),
    /// Its content.
    Text(String),
    /// Letters and digits.
    Name(String),
    /// Letters and underscores, at least one.
    FunctionName(String),
    Open,
    Close,
    Comma,
    /// A minus may also stand before an operand.
    Math(Math),
    Compare(Comparison),
    /// `=`, or negated.
    Equal {
        negated: bool,
    },
}

/// A token and where it stands.
#[derive(Debug)]
pub(super) struct Placed<'t> {
    pub(super) token: Token,
    /// As written.
    pub(super) text: &'t str,
    /// What is left of the expression from here on, in bytes.
    pub(super) remaining: usize,
}

/// What is not split yet.
struct Scanner<'t> {
    whole: &'t str,
    rest: &'t str,
}

/// Splits `text`.
///
/// # Errors
/// At the first thing that is no token.
pub(super) fn split(text: &str) -> Result<Vec<Placed<'_>>, ParseError> {
    let mut scanner = Scanner { whole: text, rest: text };
    let mut tokens = Vec::new();
    loop {
        scanner.rest = scanner.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = scanner.rest.chars().next() else { return Ok(tokens) };
        let remaining = scanner.rest.len();
        let (token, text) = scanner.token(first)?;
        tokens.push(Placed { token, text, remaining });
    }
}

/// The place of what stands `remaining` bytes before the end.
pub(super) fn error_at(whole: &str, remaining: usize, problem: Problem) -> ParseError {
    let before = whole.len().saturating_sub(remaining);
    ParseError { position: whole.char_indices().take_while(|(index, _)| *index < before).count() + 1, problem }
}

impl<'t> Scanner<'t> {
    fn token(&mut self, first: char) -> Result<(Token, &'t str), ParseError> {
        if first.is_ascii_alphanumeric() || first == '_' {
            return self.word();
        }
        if matches!(first, '\'' | '"') {
            return self.text(first);
        }
        let second = self.rest.chars().nth(1);
        if matches!(first, '+' | '-') && second.is_some_and(|second| second.is_ascii_digit()) {
            let digits = self.rest.chars().skip(1).take_while(char::is_ascii_digit).count();
            let text = self.take(1 + digits);
            return self.integer(text);
        }
        let (token, length) = match (first, second) {
            ('!', Some('=')) | ('<', Some('>')) => (Token::Equal { negated: true }, 2),
            ('<', Some('=')) => (Token::Compare(Comparison::LessOrEqual), 2),
            ('>', Some('=')) => (Token::Compare(Comparison::GreaterOrEqual), 2),
            ('<', _) => (Token::Compare(Comparison::Less), 1),
            ('>', _) => (Token::Compare(Comparison::Greater), 1),
            ('=', _) => (Token::Equal { negated: false }, 1),
            ('(', _) => (Token::Open, 1),
            (')', _) => (Token::Close, 1),
            (',', _) => (Token::Comma, 1),
            ('*', _) => (Token::Math(Math::Multiply), 1),
            ('/', _) => (Token::Math(Math::Divide), 1),
            ('%', _) => (Token::Math(Math::Remainder), 1),
            ('+', _) => (Token::Math(Math::Add), 1),
            ('-', _) => (Token::Math(Math::Subtract), 1),
            (found, _) => return Err(self.error(Problem::Character { found })),
        };
        Ok((token, self.take(length)))
    }

    fn word(&mut self) -> Result<(Token, &'t str), ParseError> {
        let length = self.rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let text = self.rest.get(..length).unwrap_or_default();
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let text = self.take(length);
            return self.integer(text);
        }
        let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
        if text.contains('_') && (has_digit || text.starts_with('_')) {
            return Err(self.error(Problem::Name { found: excerpt(text) }));
        }
        let keyword = KEYWORDS.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(text));
        let token = match keyword {
            Some((_, token)) => token.clone(),
            None if text.contains('_') => Token::FunctionName(text.to_owned()),
            None => Token::Name(text.to_owned()),
        };
        Ok((token, self.take(length)))
    }

    fn integer(&self, text: &'t str) -> Result<(Token, &'t str), ParseError> {
        match text.parse() {
            Ok(value) => Ok((Token::Integer(value), text)),
            Err(_) => {
                let problem = Problem::IntegerRange { found: excerpt(text) };
                Err(error_at(self.whole, self.rest.len() + text.len(), problem))
            }
        }
    }

    fn text(&mut self, quote: char) -> Result<(Token, &'t str), ParseError> {
        let mut content = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, escaped)) if escaped == quote => content.push(quote),
                    Some((_, other)) => content.extend(['\\', other]),
                    None => break,
                },
                _ if character != quote => content.push(character),
                _ if characters.next_if(|(_, next)| *next == quote).is_some() => content.extend([quote, quote]),
                // A quotation mark has one byte.
                _ => return Ok((Token::Text(content), self.take(index + 1))),
            }
        }
        Err(self.error(Problem::OpenText { quote }))
    }

    /// Takes so many bytes, which end at the end of a character.
    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn error(&self, problem: Problem) -> ParseError {
        error_at(self.whole, self.rest.len(), problem)
    }
}

/// In any case.
const KEYWORDS: [(&str, Token); 9] = [
    ("AND", Token::Logic(Logic::And)),
    ("OR", Token::Logic(Logic::Or)),
    ("XOR", Token::Logic(Logic::Xor)),
    ("NOT", Token::Not),
    ("LIKE", Token::Like),
    ("EXISTS", Token::Exists),
    ("IN", Token::In),
    ("TRUE", Token::Boolean(true)),
    ("FALSE", Token::Boolean(false)),
];
