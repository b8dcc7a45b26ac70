//! The text format of Java's `.properties` files, whole.
//!
//! Two steps, as in Java: natural lines become logical lines (comments and blank lines go, a backslash at the end joins
//! the next line), then a logical line is cut into key and value and its escapes are replaced. The bytes are UTF-8.
//!
//! Source: the documentation of `java.util.Properties.load` and the behaviour of JDK 17 where it says nothing.

use std::iter::Peekable;
use std::str::Chars;

use super::Properties;

/// The text is not in the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// Bytes that are no UTF-8.
    #[error("line {line}: not UTF-8")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
    },
    /// `\u` without four hexadecimal digits, or one half of a surrogate pair.
    #[error("line {line}: malformed \\u escape")]
    Escape {
        /// Where the logical line begins, counted from 1.
        line: usize,
    },
}

/// Reads a whole file. The last value of a key wins.
///
/// # Errors
/// When the bytes are not UTF-8 or a `\u` escape is malformed.
pub fn parse(bytes: &[u8]) -> Result<Properties, PropertiesError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        PropertiesError::NotUtf8 { line: 1 + count_lines(&String::from_utf8_lossy(valid)) }
    })?;
    let mut properties = Properties::new();
    let mut lines = Lines { chars: text.chars().peekable(), line: 1 };
    while let Some((line, logical)) = lines.next_logical() {
        let (key, value) = split(&logical);
        let unescaped = |text| unescape(text).ok_or(PropertiesError::Escape { line });
        properties.set(unescaped(key)?, unescaped(value)?);
    }
    Ok(properties)
}

/// Writes keys and values so that [`parse`] gives them back.
pub fn write(properties: &Properties) -> String {
    let mut text = String::new();
    for (key, value) in properties.iter() {
        escape(key, true, &mut text);
        text.push('=');
        escape(value, false, &mut text);
        text.push('\n');
    }
    text
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\u{c}')
}

fn is_line_end(char: char) -> bool {
    matches!(char, '\n' | '\r')
}

fn count_lines(text: &str) -> usize {
    let mut lines = Lines { chars: text.chars().peekable(), line: 0 };
    while lines.advance().is_some() {}
    lines.line
}

struct Lines<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl Lines<'_> {
    /// The next character, with CR LF taken as one line end.
    fn advance(&mut self) -> Option<char> {
        let char = self.chars.next()?;
        if char == '\r' {
            self.chars.next_if_eq(&'\n');
        }
        if is_line_end(char) {
            self.line += 1;
        }
        Some(char)
    }

    /// The next logical line that is neither blank nor a comment, with the number of the line it begins in.
    fn next_logical(&mut self) -> Option<(usize, String)> {
        let mut logical = String::new();
        let mut begin = self.line;
        // True at the beginning of each natural line: its leading blanks do not count.
        let mut skip_blanks = true;
        let mut continued = false;
        let mut after_backslash = false;
        loop {
            let line = self.line;
            let Some(char) = self.advance() else {
                if after_backslash {
                    logical.pop();
                }
                return (!logical.is_empty()).then_some((begin, logical));
            };
            if skip_blanks {
                // A blank line is skipped, unless a backslash asked for it: then it ends the logical line.
                if is_blank(char) || (!continued && is_line_end(char)) {
                    continue;
                }
                skip_blanks = false;
                continued = false;
            }
            if logical.is_empty() {
                begin = line;
                if matches!(char, '#' | '!') {
                    self.skip_comment();
                    skip_blanks = true;
                    continue;
                }
            }
            if !is_line_end(char) {
                logical.push(char);
                after_backslash = char == '\\' && !after_backslash;
            } else if logical.is_empty() {
                skip_blanks = true;
            } else if after_backslash {
                logical.pop();
                skip_blanks = true;
                continued = true;
                after_backslash = false;
            } else {
                return Some((begin, logical));
            }
        }
    }

    /// A backslash at the end of a comment means nothing.
    fn skip_comment(&mut self) {
        while self.advance().is_some_and(|char| !is_line_end(char)) {}
    }
}

/// Cuts at the first `=`, `:` or blank that no backslash protects; blanks around the separator belong to neither side.
fn split(logical: &str) -> (&str, &str) {
    let mut after_backslash = false;
    let end = logical.char_indices().find(|(_, char)| {
        let found = !after_backslash && (matches!(char, '=' | ':') || is_blank(*char));
        after_backslash = *char == '\\' && !after_backslash;
        found
    });
    let Some((key, rest)) = end.and_then(|(index, _)| logical.split_at_checked(index)) else { return (logical, "") };
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

/// Replaces escapes. Nothing if a `\u` escape is malformed.
fn unescape(text: &str) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            result.push(char);
            continue;
        }
        match chars.next() {
            Some('t') => result.push('\t'),
            Some('r') => result.push('\r'),
            Some('n') => result.push('\n'),
            Some('f') => result.push('\u{c}'),
            Some('u') => result.push(unicode(&mut chars)?),
            // Any other character stands for itself.
            Some(other) => result.push(other),
            None => {}
        }
    }
    Some(result)
}

/// The character of a `\uXXXX` escape, or of two that form a surrogate pair.
fn unicode(chars: &mut Chars<'_>) -> Option<char> {
    let first = hex_unit(chars)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first.into());
    }
    if chars.next() != Some('\\') || chars.next() != Some('u') {
        return None;
    }
    char::decode_utf16([first, hex_unit(chars)?]).next()?.ok()
}

fn hex_unit(chars: &mut Chars<'_>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = chars.next()?.to_digit(16)?;
        unit = unit * 16 + u16::try_from(digit).ok()?;
    }
    Some(unit)
}

fn escape(text: &str, is_key: bool, result: &mut String) {
    for (index, char) in text.chars().enumerate() {
        match char {
            '\t' => result.push_str("\\t"),
            '\r' => result.push_str("\\r"),
            '\n' => result.push_str("\\n"),
            '\u{c}' => result.push_str("\\f"),
            '\\' => result.push_str("\\\\"),
            ' ' | '=' | ':' | '#' | '!' if is_key || index == 0 => {
                result.push('\\');
                result.push(char);
            }
            other => result.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
