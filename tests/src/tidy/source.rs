//! Rust source without what rules must not look at: comments, literals and test code.
//!
//! Works on text, not on a syntax tree: rustfmt has been run, and a lexer of a screen is enough for words and braces.

use std::iter::Peekable;
use std::str::CharIndices;

/// Source with comments and literals blanked out; line numbers are those of the file.
#[derive(Debug, Clone)]
pub struct Code {
    text: String,
    /// Which lines (from 0) were removed as test code.
    removed: Vec<bool>,
}

impl Code {
    /// Blanks out comments, strings and character literals.
    #[must_use]
    pub fn of(source: &str) -> Self {
        let text = blank(source);
        let removed = vec![false; source.lines().count()];
        Self { text, removed }
    }

    /// Without every item under `#[cfg(test)]`.
    #[must_use]
    pub fn without_tests(mut self) -> Self {
        const MARK: &str = "#[cfg(test)]";
        let mut from = 0;
        while let Some(start) = self.text.get(from..).and_then(|rest| rest.find(MARK)).map(|found| from + found) {
            let end = end_of_item(&self.text, start + MARK.len());
            let item = self.text.get(start..end).unwrap_or_default();
            let first = self.text.get(..start).unwrap_or_default().matches('\n').count();
            let last = first + item.matches('\n').count();
            for removed in self.removed.iter_mut().take(last + 1).skip(first) {
                *removed = true;
            }
            let blanked: String = item.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }).collect();
            self.text.replace_range(start..end, &blanked);
            from = start;
        }
        self
    }

    /// How many lines are left.
    #[must_use]
    pub fn kept_lines(&self) -> usize {
        self.removed.iter().filter(|removed| !**removed).count()
    }

    /// The lines with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether this identifier occurs.
    #[must_use]
    pub fn mentions(&self, word: &str) -> bool {
        self.lines().any(|(_, line)| has_word(line, word))
    }
}

/// Whether a line contains this identifier as a whole word.
#[must_use]
pub fn has_word(line: &str, word: &str) -> bool {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|found| found == word)
}

/// The end of the item that starts at `from`: its closing brace, or its semicolon if that comes first.
fn end_of_item(text: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (index, letter) in text.char_indices().skip_while(|(index, _)| *index < from) {
        match letter {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && letter == '}' {
                    return index + 1;
                }
            }
            ';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Replaces comments and the insides of literals by spaces; keeps every newline.
fn blank(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut letters = source.char_indices().peekable();
    let mut previous = ' ';
    while let Some((index, letter)) = letters.next() {
        let rest = source.get(index..).unwrap_or_default();
        let identifier = previous.is_alphanumeric() || previous == '_';
        let length = match letter {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' if !identifier || previous == 'b' => raw_string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        previous = letter;
        if length == 0 {
            text.push(letter);
        } else {
            text.extend(rest.chars().take_while_bytes(length).map(|hidden| if hidden == '\n' { '\n' } else { ' ' }));
            skip_to(&mut letters, index + length);
            previous = ' ';
        }
    }
    text
}

fn skip_to(letters: &mut Peekable<CharIndices<'_>>, end: usize) {
    while letters.peek().is_some_and(|(index, _)| *index < end) {
        letters.next();
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (index, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> usize {
    let hashes = rest.chars().skip(1).take_while(|letter| *letter == '#').count();
    if rest.chars().nth(hashes + 1) != Some('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let start = hashes + 2;
    rest.get(start..).and_then(|inside| inside.find(&close)).map_or(rest.len(), |found| start + found + close.len())
}

/// A character literal; a lifetime is none.
fn character(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => {
            rest.char_indices().skip(3).find(|(_, letter)| *letter == '\'').map_or(0, |(index, _)| index + 1)
        }
        Some(_) => letters.next().filter(|(_, letter)| *letter == '\'').map_or(0, |(index, _)| index + 1),
        None => 0,
    }
}

/// `take_while` by length in bytes.
trait TakeBytes: Iterator<Item = char> + Sized {
    fn take_while_bytes(self, bytes: usize) -> impl Iterator<Item = char> {
        let mut taken = 0;
        self.take_while(move |letter| {
            taken += letter.len_utf8();
            taken <= bytes
        })
    }
}

impl TakeBytes for std::str::Chars<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        let shown = blank(source);
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>().join(" "), expected);
        assert_eq!(shown.matches('\n').count(), source.matches('\n').count());
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"f("x \" y") g"#, "f( ) g");
        check("r#\"x \" y\"# z br\"q\" w", "z b w");
        check(r"x = '\''; y = 'a'; z = '\u{1F600}';", "x = ; y = ; z = ;");
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
    }

    #[test]
    fn every_item_under_cfg_test_is_removed() {
        let code = Code::of("a\n#[cfg(test)]\nuse b;\nc\n#[cfg(test)]\n#[path = \"p\"]\nmod d {\n  e { }\n}\nf")
            .without_tests();
        let left: Vec<&str> = code.lines().map(|(_, line)| line.trim()).filter(|line| !line.is_empty()).collect();
        assert_eq!(left, ["a", "c", "f"]);
        assert_eq!(code.kept_lines(), 3);
    }

    #[test]
    fn a_word_is_a_whole_identifier() {
        assert!(has_word("use rdkafka::x;", "rdkafka"));
        assert!(!has_word("use my_rdkafka::x;", "rdkafka"));
    }
}
