//! Tracks which records of one partition are finished, and so what may be committed.
//!
//! Pure: no Kafka client, no clock. The partition's window owns its tracker; nobody else touches it.
//! The rule: a committed offset never passes a record that is not finished, so that a crash can only
//! repeat records, never skip one. Offsets that Kafka never hands out (transaction markers, compacted or
//! deleted records) leave no hole, because only records that were received are waited for.
//! What is finished beyond the committed offset travels in the commit's metadata, see `metadata`.
//! Source: dispatcher spec 2.4; design row 3; Kafka's convention that a commit names the next offset to read.

pub(crate) mod metadata;
pub(crate) mod ranges;

use std::collections::VecDeque;

use ranges::Ranges;

/// The records of one partition between the committed offset and the newest one received.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// Received and not yet committable, oldest first, offsets strictly rising; the first is never finished.
    open: VecDeque<Entry>,
    /// The next offset to read once everything in `open` is finished; `None` before the first record.
    end: Option<i64>,
    /// Finished before this assignment and not received again yet.
    known: Ranges,
    unfinished: usize,
    /// Runs of finished entries in `open`: what the metadata's size depends on.
    blocks: usize,
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
    /// As `Next`, but whoever had the partition before has finished it: it must not be delivered again.
    Finished {
        /// As in `Next`.
        skipped: u64,
    },
    /// Already seen in this assignment: the caller must not deliver it again.
    Repeated,
}

impl Tracker {
    /// A tracker that knows what was `finished` before the partition was assigned.
    pub(crate) fn resume(finished: Ranges) -> Self {
        Self { known: finished, ..Self::default() }
    }

    /// Notes that a record was read. It holds the commit back until [`Tracker::finished`].
    pub(crate) fn received(&mut self, offset: i64) -> Received {
        let skipped = match self.end {
            Some(end) if offset < end => return Received::Repeated,
            Some(end) => u64::try_from(offset - end).unwrap_or(0),
            None => 0,
        };
        self.end = Some(offset + 1);
        let finished = self.known.pass(offset);
        if finished {
            // With nothing open the commit moves on at once.
            if let Some(last) = self.open.back() {
                self.blocks += usize::from(!last.finished);
                self.open.push_back(Entry { offset, finished });
            }
            return Received::Finished { skipped };
        }
        self.open.push_back(Entry { offset, finished });
        self.unfinished += 1;
        Received::Next { skipped }
    }

    /// Notes that a record needs nothing more. Offsets that were never received are ignored.
    pub(crate) fn finished(&mut self, offset: i64) {
        if let Ok(index) = self.open.binary_search_by_key(&offset, |entry| entry.offset) {
            self.finish(index);
        }
        if self.open.front().is_some_and(|entry| entry.finished) {
            self.blocks -= 1;
        }
        while self.open.front().is_some_and(|entry| entry.finished) {
            self.open.pop_front();
        }
    }

    fn finish(&mut self, index: usize) {
        let is_finished = |index: usize| self.open.get(index).is_some_and(|entry| entry.finished);
        let before = index.checked_sub(1).is_some_and(is_finished);
        let after = is_finished(index + 1);
        let Some(entry) = self.open.get_mut(index).filter(|entry| !entry.finished) else { return };
        entry.finished = true;
        self.unfinished -= 1;
        match (before, after) {
            (false, false) => self.blocks += 1,
            (true, true) => self.blocks -= 1,
            (true, false) | (false, true) => {}
        }
    }

    /// The offset to commit: the oldest unfinished record, or the one after the newest.
    /// `None` before the first record.
    pub(crate) fn committable(&self) -> Option<i64> {
        self.open.front().map(|entry| entry.offset).or(self.end)
    }

    /// What is finished from the committable offset on, oldest first. Offsets without a record between two finished
    /// ones count as finished.
    pub(crate) fn finished_beyond(&self) -> Ranges {
        let mut ranges = Ranges::default();
        let mut run: Option<(i64, i64)> = None;
        for entry in &self.open {
            run = match (run, entry.finished) {
                (Some((start, _)), true) => Some((start, entry.offset + 1)),
                (None, true) => Some((entry.offset, entry.offset + 1)),
                (ended, false) => {
                    ranges.extend(ended);
                    None
                }
            };
        }
        ranges.extend(run);
        ranges.extend(self.known.iter());
        ranges
    }

    /// How many received records are not yet committable.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// How many received records are not finished.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Whether one more record could make what is finished longer than a commit's metadata can say. `unsettled` of the
    /// unfinished records may finish in any order, each making a run of its own.
    pub(crate) fn is_full(&self, unsettled: usize) -> bool {
        let Some((base, end)) = self.committable().zip(self.end) else { return false };
        let end = self.known.end().map_or(end, |known| known.max(end));
        !metadata::fits(end + 1 - base, self.blocks + self.known.len() + unsettled + 1)
    }
}

#[cfg(test)]
mod tests;
