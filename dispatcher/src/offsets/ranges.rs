//! A set of offsets as ranges.
//!
//! Pure. Made for a set that is built once, in rising order, and then passed over from its beginning.

use std::collections::VecDeque;

/// Offsets, as half-open ranges that rise and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(VecDeque<(i64, i64)>);

impl Ranges {
    /// Adds offsets from `start` up to, not including, `end`. Must not begin before what is there already begins.
    pub(crate) fn push(&mut self, start: i64, end: i64) {
        if start >= end {
            return;
        }
        match self.0.back_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            Some(_) | None => self.0.push_back((start, end)),
        }
    }

    /// Whether `offset` is in the set. Forgets everything up to it: callers ask in rising order.
    pub(crate) fn pass(&mut self, offset: i64) -> bool {
        while self.0.front().is_some_and(|(_, end)| *end <= offset) {
            self.0.pop_front();
        }
        let Some(front) = self.0.front_mut().filter(|(start, _)| *start <= offset) else { return false };
        front.0 = offset + 1;
        if front.0 >= front.1 {
            self.0.pop_front();
        }
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The offset after the last one.
    pub(crate) fn end(&self) -> Option<i64> {
        self.0.back().map(|(_, end)| *end)
    }

    /// How many offsets there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(start, end)| end.abs_diff(*start)).sum()
    }
}

impl Extend<(i64, i64)> for Ranges {
    fn extend<T: IntoIterator<Item = (i64, i64)>>(&mut self, ranges: T) {
        for (start, end) in ranges {
            self.push(start, end);
        }
    }
}
