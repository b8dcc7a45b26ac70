//! Leave for one attempt, or why there is none, and what came of it.

use std::time::Duration;

use super::Pressure;
use super::breaker::Finding;
use super::limit::Signal;
use super::permits::Permit;
use crate::slot::Stopping;

/// How an event waits for a target that is down.
#[derive(Debug)]
pub(crate) struct Patience {
    /// How long it may still wait.
    pub(crate) left: Duration,
    /// It keeps its slot, so that nothing more is read meanwhile. Otherwise [`NotAdmitted`] says when to ask again.
    pub(crate) in_place: bool,
}

/// Why an attempt may not start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// The partition stops.
    Stopping,
    /// As many have their slot and wait for their turn as is good for anything.
    Crowded,
    /// The target is down. Whoever waits asks again after this time or somewhat later: not all at once.
    Down { ask_again_in: Duration },
}

impl From<Stopping> for NotAdmitted {
    fn from(Stopping: Stopping) -> Self {
        Self::Stopping
    }
}

/// What came of an attempt, as far as pressure goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) signal: Option<Signal>,
    /// Whether the target was reached; `None` when the attempt says nothing about that.
    pub(crate) reached: Option<bool>,
    pub(crate) first_attempt: bool,
    pub(crate) took: Duration,
}

/// Leave for one attempt. Dropped without a report it says nothing about the target.
#[derive(Debug)]
pub(crate) struct Admitted<'a> {
    pub(super) pressure: &'a Pressure,
    pub(super) _permit: Permit<'a>,
    /// The level's when it started.
    pub(super) epoch: u16,
    /// It looks whether a target that was down is back.
    pub(super) probe: bool,
}

impl Pressure {
    /// How many attempts may be under way.
    pub(crate) fn allowed(&self) -> usize {
        usize::try_from(self.level.load().allowed).unwrap_or(usize::MAX)
    }

    /// Whether one more may start at once. If not, the level learns that more would be sent if more were allowed.
    pub(crate) fn has_room(&self) -> bool {
        let room = self.permits.has_room();
        if !room {
            self.crowded();
        }
        room
    }
}

impl Admitted<'_> {
    /// Tells what came of the attempt, and makes room for the next one.
    pub(crate) fn report(mut self, report: Report) {
        let pressure = self.pressure;
        let probe = std::mem::take(&mut self.probe);
        match report.reached {
            Some(true) => pressure.report_finding(Finding::Reached),
            Some(false) => {
                pressure.report_finding(Finding::Down { first_attempt: report.first_attempt, probe });
            }
            None => self.probe = probe,
        }
        if let Some(signal) = report.signal {
            pressure.report_level(self.epoch, signal, report.took);
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if self.probe {
            let pressure = self.pressure;
            let now = pressure.now_millis();
            pressure.breaker.update(|breaker| (breaker.probe_abandoned(now), ()));
            pressure.breaker_closed.notify_waiters();
        }
    }
}
