//! What one producer knows of its brokers: whether events can be handed to it, or are refused at once.
//!
//! librdkafka says when it loses its last broker, but not when it has one again; a record or a request that gets through
//! says that. So `Doubtful` begins with its report, `Away` when nothing got through for a while after it (see `recovery`),
//! and both end with the first success. All of it is one atomic word: no lock on an event's path, and a success that began
//! before a newer report cannot hide it. Knows no clock, no client. Source: design rows 12 and 14.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, Serializer};

/// Where a producer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing has got through yet, and nothing failed.
    Unproven,
    /// Something got through, and brokers were not lost since.
    Reached,
    /// All brokers were reported down, which may be over by now: events are accepted, but do not wait long.
    Doubtful,
    /// All brokers were reported down and stayed away: events are refused until something gets through.
    Away,
}

/// What was known at one moment; for changes that count only if nothing else happened since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen(u64);

/// Shared by everybody who uses one producer. Shows itself as text, as it is when it is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contact(Arc<AtomicU64>);

/// The lowest bits hold the state, the others count reports of lost brokers.
const STATE_BITS: u32 = 2;

impl Seen {
    pub(super) fn state(self) -> State {
        match self.0 & ((1 << STATE_BITS) - 1) {
            0 => State::Unproven,
            1 => State::Reached,
            2 => State::Doubtful,
            _ => State::Away,
        }
    }

    fn with(self, state: State) -> u64 {
        let bits = match state {
            State::Unproven => 0,
            State::Reached => 1,
            State::Doubtful => 2,
            State::Away => 3,
        };
        (self.0 >> STATE_BITS << STATE_BITS) | bits
    }

    fn one_report_more(self) -> Self {
        Self(self.0.wrapping_add(1 << STATE_BITS))
    }
}

impl Contact {
    pub(super) fn look(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn state(&self) -> State {
        self.look().state()
    }

    /// All brokers are reported down.
    pub(super) fn lost(&self) {
        self.update(|seen| {
            let state = if seen.state() == State::Away { State::Away } else { State::Doubtful };
            Some(seen.one_report_more().with(state))
        });
    }

    /// Something that began when `seen` was true got through. True when that ended a time of refusals.
    pub(super) fn reached(&self, seen: Seen) -> bool {
        // The usual case writes nothing, so that threads do not take the word from each other.
        let replace = || {
            let next = seen.with(State::Reached);
            self.0.compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
        };
        seen.state() != State::Reached && replace() && seen.state() == State::Away
    }

    /// Nothing has got through for long enough. True when refusals begin with this. Reports that came meanwhile only
    /// confirm it: librdkafka repeats them, as it starts over with the bootstrap servers each time.
    pub(super) fn gone(&self) -> bool {
        self.update(|seen| (seen.state() == State::Doubtful).then(|| seen.with(State::Away)))
    }

    /// Changes the word unless `next` says that there is nothing to change. True when it was changed.
    fn update(&self, next: impl Fn(Seen) -> Option<u64>) -> bool {
        let next = |word| next(Seen(word));
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }
}

impl Serialize for Contact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self.state() {
            State::Unproven => "not reached yet",
            State::Reached => "reached",
            State::Doubtful => "reported down",
            State::Away => "away, events are refused",
        })
    }
}

/// Equal when it is about the same producer.
impl PartialEq for Contact {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Contact {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_away_only_when_a_report_of_it_is_confirmed() {
        let contact = Contact::default();
        assert_eq!(contact.state(), State::Unproven);
        assert!(!contact.gone());
        assert!(!contact.reached(contact.look()));
        assert_eq!(contact.state(), State::Reached);
        assert!(!contact.gone());
        contact.lost();
        assert_eq!(contact.state(), State::Doubtful);
        assert!(contact.gone());
        assert!(!contact.gone());
        assert_eq!(contact.state(), State::Away);
    }

    #[test]
    fn the_first_success_ends_any_trouble_and_says_so_once() {
        let contact = Contact::default();
        contact.lost();
        assert!(!contact.reached(contact.look()));
        contact.lost();
        assert!(contact.gone());
        contact.lost();
        assert_eq!(contact.state(), State::Away);
        assert!(contact.reached(contact.look()));
        assert!(!contact.reached(contact.look()));
        assert_eq!(contact.state(), State::Reached);
    }

    #[test]
    fn a_success_older_than_the_last_report_changes_nothing() {
        let contact = Contact::default();
        contact.lost();
        let before = contact.look();
        contact.lost();
        assert!(!contact.reached(before));
        assert_eq!(contact.state(), State::Doubtful);
        // While a report only confirms that brokers are away.
        assert!(contact.gone());
    }

    #[test]
    fn a_page_shows_how_it_is_now() {
        let contact = Contact::default();
        let shown = contact.clone();
        contact.lost();
        contact.gone();
        assert_eq!(serde_json::to_value(&shown).unwrap(), "away, events are refused");
    }
}
