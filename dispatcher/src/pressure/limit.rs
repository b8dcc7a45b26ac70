//! How many attempts may be under way to one target: decides, attempt by attempt, whether that number changes.
//!
//! Pure: no clock, no counter of its own for what is under way. A [`Level`] is one word, so that the tasks of all
//! partitions can share it without a lock; `pressure` keeps it and moves the permits.
//!
//! The rules. It starts at 50, the least that the peer has in flight. Once as many attempts of a level as half the level
//! have ended, and somebody had to wait, the level doubles, unless the doubling before it only made answers slower: then it
//! goes back and tries again later. Answers within 20 ms are never called slow. 429 and 503 take the level down by three
//! tenths, to 1 at worst; time-outs do the same, to the starting level at worst, because a hung target must not make
//! everybody else wait any longer than with the peer. Nor must one that refuses everything: fewer at a time would not be
//! taken either, only later than the retries of each event say. What is left of the old level when it changes does not count for the
//! new one: one burst of refusals is one step. After a step down the level comes back by an eighth at a time.
//! Source: issue "adaptive concurrency"; design row 9 (`millrace.in.flight.max` stays the upper bound).

use super::packed::{Pack, Reader, Writer};

/// Where a level begins, unless fewer may be in flight at all. Source: dispatcher spec 1.7.
pub(crate) const INITIAL: u32 = 50;

/// Answers that come this soon on average are not a sign of trouble, however much slower they have become.
const QUICK_MICROS: u64 = 20_000;

/// When a doubling made answers take this many fifths as long, it gained little: those that are measured first began before
/// the target felt the whole of it.
const SLOWER_FIFTHS: u64 = 7;

/// Windows at a level before a doubling that gained nothing is tried again.
const HOLD_WINDOWS: u8 = 10;

/// What one attempt says about the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It was answered, in whatever way but those below.
    Answered,
    /// 429 or 503: the target says that it is too much.
    Refused,
    /// No complete answer in time.
    TimedOut,
}

/// What bounds a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// `millrace.in.flight.max`.
    pub(crate) max: u32,
    /// What connections allow; a level above it has no effect, so a step down begins here.
    pub(crate) wire: u32,
}

/// How long answers take, on average, and whether there are any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latencies {
    /// At this level; 0 when nothing was measured.
    pub(crate) micros: u64,
    /// At half of this level, before it was doubled; 0 when nothing was measured.
    pub(crate) before_micros: u64,
    /// Nothing was answered for so long that the target takes nothing at all.
    pub(crate) silent: bool,
}

/// How many attempts may be under way, and what is known since it last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// At least 1.
    pub(crate) allowed: u32,
    /// Changes with every new level: an attempt counts for the level at which it started.
    pub(crate) epoch: u16,
    /// Attempts of this window.
    pub(crate) samples: u32,
    /// Those of them that were refused or timed out.
    pub(crate) troubled: u8,
    /// Somebody had to wait in this window: more would be sent if more were allowed.
    pub(crate) crowded: bool,
    /// It was taken down and has not come back to its bound yet.
    pub(crate) recovering: bool,
    /// Windows to go before the next doubling.
    pub(crate) hold: u8,
}

/// What an attempt did to the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: it was counted.
    Counted,
    /// Nothing: it started at an older level.
    Stale,
    /// The window ended without a change; a new one begins.
    Stayed,
    Doubled,
    /// The last doubling is taken back.
    Halved,
    /// By an eighth.
    Recovered,
    /// The target was overwhelmed.
    Reduced,
}

impl Level {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self::at(INITIAL.min(bounds.max).max(1), 0)
    }

    /// Never changes by itself: what an operator gets who wants no adaptive limit.
    pub(crate) fn fixed(bounds: Bounds) -> Self {
        Self::at(bounds.max.max(1), 0)
    }

    /// How many attempts of this window were answered, the one included that is about to be taken in; at least 1.
    pub(crate) fn answered_with(self, signal: Signal) -> u64 {
        let before = self.samples.saturating_sub(self.troubled.into());
        u64::from(before + u32::from(signal == Signal::Answered)).max(1)
    }

    fn at(allowed: u32, epoch: u16) -> Self {
        Self { allowed, epoch, samples: 0, troubled: 0, crowded: false, recovering: false, hold: 0 }
    }

    fn next(self, allowed: u32) -> Self {
        Self::at(allowed, (self.epoch + 1) % EPOCHS)
    }

    /// Takes in an attempt that started in `epoch`. `latencies` includes it.
    pub(crate) fn after(self, epoch: u16, signal: Signal, latencies: Latencies, bounds: Bounds) -> (Self, Step) {
        if epoch != self.epoch {
            return (self, Step::Stale);
        }
        let troubled = self.troubled.saturating_add(u8::from(signal != Signal::Answered));
        let counted = Self { samples: (self.samples + 1).min(MAX_SAMPLES), troubled, ..self };
        if signal != Signal::Answered && u32::from(troubled) >= counted.tolerated() {
            return counted.reduced(signal, latencies, bounds);
        }
        if counted.samples < counted.window() {
            return (counted, Step::Counted);
        }
        counted.window_ended(latencies, bounds)
    }

    /// One refusal in twenty attempts is a subscriber's everyday life.
    fn tolerated(self) -> u32 {
        (self.allowed / 20).clamp(1, u32::from(u8::MAX))
    }

    fn window(self) -> u32 {
        if self.allowed < 16 { self.allowed } else { self.allowed / 2 }
    }

    fn reduced(self, signal: Signal, latencies: Latencies, bounds: Bounds) -> (Self, Step) {
        let floor = match signal {
            Signal::TimedOut => INITIAL.min(bounds.max),
            Signal::Refused if latencies.silent => INITIAL.min(bounds.max),
            Signal::Refused | Signal::Answered => 1,
        };
        let effective = self.allowed.min(bounds.wire.max(1));
        let allowed = (effective.saturating_mul(7) / 10).max(floor).max(1).min(self.allowed);
        (Self { recovering: true, ..self.next(allowed) }, Step::Reduced)
    }

    fn window_ended(self, latencies: Latencies, bounds: Bounds) -> (Self, Step) {
        let again = Self { samples: 0, troubled: 0, crowded: false, hold: self.hold.saturating_sub(1), ..self };
        if slowed_down(latencies) && !self.recovering && self.hold == 0 && self.allowed > INITIAL {
            return (Self { hold: HOLD_WINDOWS, ..self.next((self.allowed / 2).max(1)) }, Step::Halved);
        }
        if !self.crowded || self.hold > 0 || self.allowed >= bounds.max {
            return (again, Step::Stayed);
        }
        if self.recovering {
            let allowed = (self.allowed + (self.allowed / 8).max(1)).min(bounds.max);
            let recovering = allowed < bounds.max;
            return (Self { recovering, ..self.next(allowed) }, Step::Recovered);
        }
        (self.next(self.allowed.saturating_mul(2).min(bounds.max)), Step::Doubled)
    }
}

fn slowed_down(latencies: Latencies) -> bool {
    latencies.before_micros > 0
        && latencies.micros > QUICK_MICROS
        && latencies.micros.saturating_mul(5) > latencies.before_micros.saturating_mul(SLOWER_FIFTHS)
}

const ALLOWED_BITS: u32 = 20;
const EPOCH_BITS: u32 = 10;
const SAMPLE_BITS: u32 = 20;
const EPOCHS: u16 = 1 << EPOCH_BITS;
const MAX_SAMPLES: u32 = (1 << SAMPLE_BITS) - 1;

/// The largest level that fits; `millrace.in.flight.max` is less.
pub(crate) const MAX_ALLOWED: u32 = (1 << ALLOWED_BITS) - 1;

impl Pack for Level {
    fn pack(self) -> u64 {
        Writer::default()
            .put(self.allowed.into(), ALLOWED_BITS)
            .put(self.epoch.into(), EPOCH_BITS)
            .put(self.samples.into(), SAMPLE_BITS)
            .put(self.troubled.into(), 8)
            .put(self.crowded.into(), 1)
            .put(self.recovering.into(), 1)
            .put(self.hold.into(), 4)
            .word()
    }

    fn unpack(word: u64) -> Self {
        let mut reader = Reader(word);
        Self {
            allowed: reader.take(ALLOWED_BITS),
            epoch: reader.take(EPOCH_BITS),
            samples: reader.take(SAMPLE_BITS),
            troubled: reader.take(8),
            crowded: reader.take::<u8>(1) == 1,
            recovering: reader.take::<u8>(1) == 1,
            hold: reader.take(4),
        }
    }
}

#[cfg(test)]
mod tests;
