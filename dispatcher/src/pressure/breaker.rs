//! Whether a target is down for everybody, and who finds out that it is back.
//!
//! Pure: time is handed in, as milliseconds of one clock. A [`Breaker`] is one word, so that tasks share it without a lock.
//!
//! It must not change what the retry contract promises for ordinary failures, so it opens only on an outage that is plain:
//! for 30 s nothing was answered, and at least 50 attempts, among them the first ones of 20 events, failed without reaching
//! anybody (or with 502, 503 or 504, which is how gateways say the same). While it is open attempts wait, for as long as each
//! event's patience lasts, and one of them after another is let through to look: after 1 s, then twice as long each time,
//! up to 30 s. Any other answer, a 500 too, closes it at once.

use super::packed::{Pack, Reader, Writer};

/// The outage must have lasted this long.
const OUTAGE_MILLIS: u64 = 30_000;
/// Attempts in a row that did not reach the target.
const FAILURES: u8 = 50;
/// First attempts among them, each of another event.
const FIRST_ATTEMPTS: u8 = 20;
const FIRST_PAUSE_MILLIS: u64 = 1_000;
const LONGEST_PAUSE_MILLIS: u64 = 30_000;

/// Whether attempts may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Closed,
    /// Attempts wait.
    Open,
    /// Attempts wait for the one that is looking.
    Probing,
}

impl Phase {
    /// The word used in logs and on the debug page.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

/// What is known about a target's outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Breaker {
    pub(crate) phase: Phase,
    /// Closed: when the outage began. Open: when the next look is due. Probing: when the one that looks is given up.
    at_millis: u64,
    failures: u8,
    first_attempts: u8,
    /// Looks that failed; they make the pauses longer.
    looks: u8,
}

/// What an attempt may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Go,
    /// Go and look: what comes of it decides for everybody.
    Probe,
    /// Ask again at this time, or when the breaker closes.
    WaitUntil {
        millis: u64,
    },
}

/// What an attempt found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Somebody answered.
    Reached,
    /// Nobody did.
    Down {
        /// It was the event's first attempt.
        first_attempt: bool,
        /// It was let through to look.
        probe: bool,
    },
}

/// A change that is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Opened,
    /// A look failed.
    StillDown,
    Closed,
}

impl Breaker {
    pub(crate) const CLOSED: Self =
        Self { phase: Phase::Closed, at_millis: 0, failures: 0, first_attempts: 0, looks: 0 };

    /// Whether nothing speaks against the target: a further answer changes nothing.
    pub(crate) fn is_quiet(self) -> bool {
        self == Self::CLOSED
    }

    /// May an attempt start? `probe_limit` is how long a look may take.
    pub(crate) fn admit(self, now_millis: u64, probe_limit_millis: u64) -> (Self, Admission) {
        match self.phase {
            Phase::Closed => (self, Admission::Go),
            Phase::Open | Phase::Probing if now_millis >= self.at_millis => {
                let at_millis = now_millis.saturating_add(probe_limit_millis.max(FIRST_PAUSE_MILLIS));
                (Self { phase: Phase::Probing, at_millis, ..self }, Admission::Probe)
            }
            Phase::Open | Phase::Probing => (self, Admission::WaitUntil { millis: self.at_millis }),
        }
    }

    /// Takes in what an attempt found.
    pub(crate) fn after(self, finding: Finding, now_millis: u64) -> (Self, Change) {
        match (finding, self.phase) {
            (Finding::Reached, Phase::Closed) => (Self::CLOSED, Change::None),
            (Finding::Reached, Phase::Open | Phase::Probing) => (Self::CLOSED, Change::Closed),
            (Finding::Down { first_attempt, .. }, Phase::Closed) => self.counted(first_attempt, now_millis),
            (Finding::Down { probe: true, .. }, Phase::Open | Phase::Probing) => {
                let looks = (self.looks + 1).min(LOOKS_MAX);
                (Self { phase: Phase::Open, at_millis: now_millis + pause(looks), looks, ..self }, Change::StillDown)
            }
            (Finding::Down { probe: false, .. }, Phase::Open | Phase::Probing) => (self, Change::None),
        }
    }

    /// The one that looked was stopped on the way: the next may look at once.
    pub(crate) fn probe_abandoned(self, now_millis: u64) -> Self {
        match self.phase {
            Phase::Probing => Self { phase: Phase::Open, at_millis: now_millis, ..self },
            Phase::Closed | Phase::Open => self,
        }
    }

    fn counted(self, first_attempt: bool, now_millis: u64) -> (Self, Change) {
        let began = if self.failures == 0 { now_millis } else { self.at_millis };
        let failures = self.failures.saturating_add(1);
        let first_attempts = self.first_attempts.saturating_add(u8::from(first_attempt));
        let lasted = now_millis.saturating_sub(began);
        if lasted >= OUTAGE_MILLIS && failures >= FAILURES && first_attempts >= FIRST_ATTEMPTS {
            let open =
                Self { phase: Phase::Open, at_millis: now_millis + pause(0), failures, first_attempts, looks: 0 };
            return (open, Change::Opened);
        }
        (Self { at_millis: began, failures, first_attempts, ..self }, Change::None)
    }
}

fn pause(looks: u8) -> u64 {
    (FIRST_PAUSE_MILLIS << looks.min(LOOKS_MAX)).min(LONGEST_PAUSE_MILLIS)
}

const LOOKS_MAX: u8 = 15;
const MILLIS_BITS: u32 = 42;

impl Pack for Breaker {
    fn pack(self) -> u64 {
        let phase = match self.phase {
            Phase::Closed => 0,
            Phase::Open => 1,
            Phase::Probing => 2,
        };
        Writer::default()
            .put(phase, 2)
            .put(self.at_millis, MILLIS_BITS)
            .put(self.failures.into(), 8)
            .put(self.first_attempts.into(), 8)
            .put(self.looks.into(), 4)
            .word()
    }

    fn unpack(word: u64) -> Self {
        let mut reader = Reader(word);
        let phase = match reader.take::<u8>(2) {
            0 => Phase::Closed,
            1 => Phase::Open,
            _ => Phase::Probing,
        };
        Self {
            phase,
            at_millis: reader.take(MILLIS_BITS),
            failures: reader.take(8),
            first_attempts: reader.take(8),
            looks: reader.take(4),
        }
    }
}

#[cfg(test)]
mod tests;
