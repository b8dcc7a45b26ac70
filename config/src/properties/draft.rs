//! A reading in progress: takes keys out of a file one by one and collects warnings and errors on the way.
//!
//! Whatever was not taken in the end is unknown. Numbers and booleans are trimmed, texts are not.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Properties, PropertyError, PropertyErrors, Warning};

pub(super) struct Draft<'a> {
    properties: &'a Properties,
    taken: BTreeSet<&'static str>,
    pub(super) warnings: Vec<Warning>,
    pub(super) errors: Vec<PropertyError>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(properties: &'a Properties) -> Self {
        Self { properties, taken: BTreeSet::new(), warnings: Vec::new(), errors: Vec::new() }
    }

    /// The value verbatim. From now on the key counts as known.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.taken.insert(key);
        self.properties.get(key)
    }

    /// The value without blanks around it.
    pub(super) fn trimmed(&mut self, key: &'static str) -> Option<&'a str> {
        self.text(key).map(str::trim)
    }

    pub(super) fn warn(&mut self, key: &str, reason: impl Into<String>) {
        self.warnings.push(Warning { key: key.to_owned(), reason: reason.into() });
    }

    pub(super) fn error(&mut self, key: &str, problem: impl Into<String>) {
        self.errors.push(PropertyError { key: key.to_owned(), problem: problem.into() });
    }

    /// A whole number in `range`. Anything else is an error.
    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let text = self.trimmed(key)?;
        match text.parse::<i64>() {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(_) | Err(_) => {
                let (min, max) = range.into_inner();
                self.error(key, format!("{text:?} is not a whole number from {min} to {max}"));
                None
            }
        }
    }

    /// As [`Draft::integer`], for sizes and counts.
    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<usize> {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        self.integer(key, range).and_then(|number| usize::try_from(number).ok())
    }

    /// A number of milliseconds in `range`.
    pub(super) fn millis(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<Duration> {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        self.integer(key, range).and_then(|number| u64::try_from(number).ok()).map(Duration::from_millis)
    }

    /// `true` or `false`, in any case. Anything else is an error.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let text = self.trimmed(key)?;
        if text.eq_ignore_ascii_case("true") {
            return Some(true);
        }
        if text.eq_ignore_ascii_case("false") {
            return Some(false);
        }
        self.error(key, format!("{text:?} is neither true nor false"));
        None
    }

    /// One of several words, in any case. Anything else is an error.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.trimmed(key)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            return Some(*value);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.error(key, format!("{text:?} is not one of {}", words.join(", ")));
        None
    }

    /// Ends the reading: keys that nobody took are warned about.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, PropertyErrors> {
        for (key, _) in self.properties.iter() {
            if !self.taken.contains(key) {
                self.warnings.push(Warning { key: key.to_owned(), reason: "unknown key, ignored".to_owned() });
            }
        }
        self.warnings.sort_by(|a, b| a.key.cmp(&b.key));
        if self.errors.is_empty() { Ok(self.warnings) } else { Err(PropertyErrors(self.errors)) }
    }
}
