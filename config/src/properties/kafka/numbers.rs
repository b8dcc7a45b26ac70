//! Numbers that go to librdkafka, with the ranges of both sides.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::super::draft::Draft;

/// Largest value of Java's `int`, and of most numbers in librdkafka.
pub(super) const INT: i64 = i32::MAX as i64;
/// Largest value of Java's `long`.
pub(super) const LONG: i64 = i64::MAX;

/// One number: its name on both sides and what each side allows.
pub(super) struct Number {
    pub(super) key: &'static str,
    pub(super) librdkafka: &'static str,
    /// Outside, Java refuses to start as well: an error.
    pub(super) java: RangeInclusive<i64>,
    /// Below, the nearest is used with a warning. Above, `above` says what happens.
    pub(super) allowed: RangeInclusive<i64>,
    pub(super) above: Above,
    /// A number that librdkafka writes differently.
    pub(super) same_meaning: Option<(i64, i64)>,
    /// What to use when the file does not say; absent where both sides have the same default or it does not matter.
    pub(super) default: Option<i64>,
}

/// What a number above librdkafka's range means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Above {
    /// A promise that could not be kept: an error.
    Refuse,
    /// "Practically for ever" or "practically never", which the largest number says as well: used with a warning.
    Cut,
}

impl Number {
    /// A number with the same name on both sides, the same default, and nothing special.
    pub(super) const fn same(key: &'static str, java: RangeInclusive<i64>, allowed: RangeInclusive<i64>) -> Self {
        Self { key, librdkafka: key, java, allowed, above: Above::Refuse, same_meaning: None, default: None }
    }

    pub(super) const fn named(mut self, librdkafka: &'static str) -> Self {
        self.librdkafka = librdkafka;
        self
    }

    pub(super) const fn cut(mut self) -> Self {
        self.above = Above::Cut;
        self
    }

    pub(super) const fn meaning(mut self, java: i64, librdkafka: i64) -> Self {
        self.same_meaning = Some((java, librdkafka));
        self
    }

    pub(super) const fn or(mut self, default: i64) -> Self {
        self.default = Some(default);
        self
    }

    /// The number to use, if the file or the default gives one.
    pub(super) fn read(&self, draft: &mut Draft<'_>) -> Option<i64> {
        let Some(text) = draft.trimmed(self.key) else { return self.default };
        let (smallest, largest) = (*self.allowed.start(), *self.allowed.end());
        let highest = if self.above == Above::Cut { *self.java.end() } else { largest.min(*self.java.end()) };
        let number = text.parse::<i64>().ok().filter(|number| self.java.contains(number) && *number <= highest);
        let Some(number) = number else {
            draft.error(self.key, format!("{text:?} is not a whole number from {} to {highest}", self.java.start()));
            return self.default;
        };
        if let Some((_, librdkafka)) = self.same_meaning.filter(|(java, _)| *java == number) {
            return Some(librdkafka);
        }
        let nearest = number.clamp(smallest, largest);
        if nearest != number {
            draft.warn(self.key, format!("only {smallest} to {largest} is possible here, {nearest} is used"));
        }
        Some(nearest)
    }
}

/// Reads numbers and passes them on under librdkafka's names.
pub(super) fn pass_on(numbers: &[Number], draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) {
    for number in numbers {
        if let Some(value) = number.read(draft) {
            client.insert(number.librdkafka.to_owned(), value.to_string());
        }
    }
}
