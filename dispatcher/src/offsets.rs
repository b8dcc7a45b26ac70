//! Tracks which records of one partition are finished, and so what may be committed.
//!
//! Pure: no Kafka client, no clock. The partition's task owns its tracker; nobody else touches it.
//! The rule: a committed offset never passes a record that is not finished, so that a crash can only
//! repeat records, never skip one. Offsets that Kafka never hands out (transaction markers, compacted or
//! deleted records) leave no hole, because only records that were received are waited for.
//! Source: dispatcher spec 2.4; Kafka's convention that a commit names the next offset to read.

use std::collections::VecDeque;

/// The records of one partition between the committed offset and the newest one received.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// Received and not yet committable, oldest first, offsets strictly rising.
    open: VecDeque<Entry>,
    /// The next offset to read once everything in `open` is finished; `None` before the first record.
    end: Option<i64>,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    finished: bool,
}

/// What a record's offset means to the tracker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Newer than everything before it; `skipped` offsets in between do not exist.
    Next {
        /// How many offsets since the previous record hold no record; 0 for the first record.
        skipped: u64,
    },
    /// Already seen in this assignment: the caller must not deliver it again.
    Repeated,
}

impl Tracker {
    /// Notes that a record was read. It holds the commit back until [`Tracker::finished`].
    pub(crate) fn received(&mut self, offset: i64) -> Received {
        let skipped = match self.end {
            Some(end) if offset < end => return Received::Repeated,
            Some(end) => u64::try_from(offset - end).unwrap_or(0),
            None => 0,
        };
        self.open.push_back(Entry { offset, finished: false });
        self.end = Some(offset + 1);
        Received::Next { skipped }
    }

    /// Notes that a record needs nothing more. Offsets that were never received are ignored.
    pub(crate) fn finished(&mut self, offset: i64) {
        if let Ok(index) = self.open.binary_search_by_key(&offset, |entry| entry.offset)
            && let Some(entry) = self.open.get_mut(index)
        {
            entry.finished = true;
        }
        while self.open.front().is_some_and(|entry| entry.finished) {
            self.open.pop_front();
        }
    }

    /// The offset to commit: the oldest unfinished record, or the one after the newest.
    /// `None` before the first record.
    pub(crate) fn committable(&self) -> Option<i64> {
        self.open.front().map(|entry| entry.offset).or(self.end)
    }

    /// How many received records are not yet committable.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests;
