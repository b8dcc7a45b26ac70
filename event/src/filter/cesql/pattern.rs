//! Patterns of LIKE, prepared for matching without backtracking over more than one `%`.
//!
//! Every piece between two `%` is found as far left as possible, which is right because the next piece has all the
//! more room. The worst case is the length of the text times that of the pattern; pieces without `_` are searched for in
//! linear time.
//! Source: CloudEvents SQL 1.0.0, section 3.4.3.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What the text must begin with, and consist of if there is no `%`.
    first: Piece,
    /// What follows the first `%`.
    rest: Option<Rest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rest {
    /// In this order, anywhere.
    middle: Vec<Piece>,
    /// At the end of the text.
    last: Piece,
}

/// Characters between two `%`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// With `_`, which is `None`.
    Characters(Vec<Option<char>>),
}

impl Pattern {
    /// Compiles the content of a string literal. A backslash before anything but `%` and `_` is a backslash.
    pub(super) fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut piece: Vec<Option<char>> = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '%' => pieces.push(Piece::new(std::mem::take(&mut piece))),
                '_' => piece.push(None),
                '\\' => piece.push(Some(characters.next_if(|next| matches!(next, '%' | '_')).unwrap_or('\\'))),
                other => piece.push(Some(other)),
            }
        }
        let last = Piece::new(piece);
        let mut pieces = pieces.into_iter();
        match pieces.next() {
            None => Self { first: last, rest: None },
            Some(first) => {
                // Two `%` in a row are as good as one.
                let middle = pieces.filter(|piece| *piece != Piece::Literal(String::new())).collect();
                Self { first, rest: Some(Rest { middle, last }) }
            }
        }
    }

    /// Whether the whole text has the pattern.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some(mut text) = self.first.after_beginning_of(text) else { return false };
        let Some(rest) = &self.rest else { return text.is_empty() };
        for piece in &rest.middle {
            match piece.after_first_place_in(text) {
                Some(after) => text = after,
                None => return false,
            }
        }
        rest.last.is_end_of(text)
    }
}

impl Piece {
    fn new(characters: Vec<Option<char>>) -> Self {
        // Collecting options gives none if there is any `_`.
        match characters.iter().copied().collect() {
            Some(literal) => Piece::Literal(literal),
            None => Piece::Characters(characters),
        }
    }

    fn after_beginning_of<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(literal) => text.strip_prefix(literal.as_str()),
            Piece::Characters(expected) => {
                let mut characters = text.chars();
                for expected in expected {
                    let character = characters.next()?;
                    if expected.is_some_and(|expected| expected != character) {
                        return None;
                    }
                }
                Some(characters.as_str())
            }
        }
    }

    fn after_first_place_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(literal) => text.split_once(literal.as_str()).map(|(_, after)| after),
            Piece::Characters(_) => {
                let mut characters = text.chars();
                loop {
                    if let Some(after) = self.after_beginning_of(characters.as_str()) {
                        return Some(after);
                    }
                    characters.next()?;
                }
            }
        }
    }

    fn is_end_of(&self, text: &str) -> bool {
        match self {
            Piece::Literal(literal) => text.ends_with(literal.as_str()),
            Piece::Characters(expected) => {
                let mut characters = text.chars().rev();
                expected.iter().rev().all(|expected| {
                    let character = characters.next();
                    character.is_some_and(|character| expected.is_none_or(|expected| expected == character))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Pattern;

    /// The definition, tried in every way there is.
    fn is_like(text: &[char], pattern: &[char]) -> bool {
        match (text, pattern) {
            (_, ['%', pattern @ ..]) => (0..=text.len()).any(|skipped| is_like(&text[skipped..], pattern)),
            ([first, text @ ..], ['\\', escaped @ ('%' | '_'), pattern @ ..]) => {
                first == escaped && is_like(text, pattern)
            }
            ([], ['\\', '%' | '_', ..]) => false,
            ([_, text @ ..], ['_', pattern @ ..]) => is_like(text, pattern),
            ([first, text @ ..], [wanted, pattern @ ..]) => first == wanted && is_like(text, pattern),
            ([], []) => true,
            ([], [_, ..]) | ([_, ..], []) => false,
        }
    }

    /// Texts and patterns that often nearly match: few letters, many wildcards.
    fn pattern() -> impl Strategy<Value = String> {
        prop_oneof!["%[ab]{1,2}%[ab_]{1,2}%", "[ab%_]{0,6}", r"[a%_\\é]{0,8}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]
        #[test]
        fn a_pattern_matches_what_its_definition_says(
            text in prop_oneof!["[ab]{0,6}", r"[a%_\\é]{0,8}"],
            pattern in pattern(),
        ) {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = is_like(&characters(&text), &characters(&pattern));
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), expected);
        }
    }
}
