//! How hard one target may be pressed: rate, attempts under way, and waiting while it is down.
//!
//! An attempt asks [`Pressure::admit`] before it starts and tells what came of it. The rules are in `limit`, `breaker` and
//! `rate`; this keeps their state, waits and wakes. A wait keeps the record's slot, so that a partition takes nothing more
//! meanwhile (but where others than the subscriber are down); it ends with the others' attempts, which all have a deadline,
//! with the event's patience, or at once when the partition stops. It never sends, and it never decides about retries.

mod admitted;
pub(crate) mod breaker;
pub(crate) mod limit;
pub(crate) mod line;
mod meter;
pub(crate) mod packed;
mod permits;
pub(crate) mod rate;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::metrics::pressure::{PressureMetrics, Reason, Waiting};
use crate::slot::Stopping;
pub(crate) use admitted::{Admitted, NotAdmitted, Patience, Report};
use breaker::{Admission, Breaker, Change, Finding, Phase};
use limit::{Bounds, Latencies, Level, Signal, Step};
use line::Turn;
use meter::Meter;
use packed::Packed;
use permits::{Permit, Permits};
use rate::Rate;

/// A target that has answered nothing but refusals for so long takes nothing at all.
const SILENCE_MILLIS: u64 = 5_000;

/// What a target's pressure is set up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PressureSettings {
    /// Without it as many attempts may be under way as `bounds` allow.
    pub(crate) adaptive: bool,
    pub(crate) bounds: Bounds,
    /// Absent: no limit.
    pub(crate) rate: Option<Rate>,
    /// Limit of one attempt: a look at a target that is down is given up after this.
    pub(crate) attempt_timeout: Duration,
}

/// The pressure on one target; lives as long as the target does not change.
#[derive(Debug)]
pub(crate) struct Pressure {
    /// For logs.
    target: String,
    settings: PressureSettings,
    started: Instant,
    level: Packed<Level>,
    /// Microseconds that the answered attempts of this window took together.
    took_micros: AtomicU64,
    before_micros: AtomicU64,
    /// When the target last took or answered an attempt otherwise than with a refusal; 0 if it never did.
    answered_millis: AtomicU64,
    permits: Permits,
    breaker: Packed<Breaker>,
    breaker_closed: Notify,
    /// Absent: no limit.
    meter: Option<Meter>,
    metrics: PressureMetrics,
}

/// The longest time before those who do not wait in place look whether the target is back.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What `/debug/egresses` shows of a target's pressure.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct View {
    limit: u32,
    breaker: &'static str,
    /// Attempts that wait for a rate, the limit, a connection, or the target to come back, each with its slot.
    pub(crate) waiting: i64,
}

impl Pressure {
    pub(crate) fn new(target: &str, settings: PressureSettings, metrics: PressureMetrics) -> Self {
        let bounds = settings.bounds;
        let level = if settings.adaptive { Level::new(bounds) } else { Level::fixed(bounds) };
        metrics.limit(level.allowed);
        metrics.breaker(Phase::Closed);
        Self {
            target: target.to_owned(),
            settings,
            started: Instant::now(),
            level: Packed::new(level),
            took_micros: AtomicU64::new(0),
            before_micros: AtomicU64::new(0),
            answered_millis: AtomicU64::new(0),
            permits: Permits::new(level.allowed),
            breaker: Packed::new(Breaker::CLOSED),
            breaker_closed: Notify::new(),
            meter: settings.rate.map(Meter::new),
            metrics,
        }
    }

    /// Whether a target with these settings can go on with this state.
    pub(crate) fn suits(&self, target: &str, settings: &PressureSettings) -> bool {
        self.target == target && self.settings == *settings
    }

    pub(crate) fn settings(&self) -> &PressureSettings {
        &self.settings
    }

    /// Counts an attempt that waits for a connection until the guard is dropped.
    pub(crate) fn waiting_for_connection(&self) -> Waiting<'_> {
        self.metrics.waiting(Reason::Connection)
    }

    pub(crate) fn view(&self) -> View {
        let (level, breaker) = (self.level.load(), self.breaker.load());
        View { limit: level.allowed, breaker: breaker.phase.as_str(), waiting: self.metrics.waiting_now() }
    }

    /// Waits until an attempt may start. Retries that are due go before first attempts, but for one (`line`).
    ///
    /// # Errors
    ///
    /// [`NotAdmitted::Stopping`] as soon as `stopping` is cancelled; the others only for those who do not wait in place.
    pub(crate) async fn admit(
        &self,
        turn: Turn,
        patience: &mut Patience,
        stopping: &CancellationToken,
    ) -> Result<Admitted<'_>, NotAdmitted> {
        if let Some(meter) = &self.meter {
            let _waiting = self.metrics.waiting(Reason::Rate);
            tokio::select! {
                biased;
                () = stopping.cancelled() => return Err(NotAdmitted::Stopping),
                () = meter.pass(turn) => {}
            }
        }
        loop {
            let permit = self.permit(turn, patience.in_place, stopping).await?;
            let epoch = self.level.load().epoch;
            let now = self.now_millis();
            let probe_limit = u64::try_from(self.settings.attempt_timeout.as_millis()).unwrap_or(u64::MAX);
            let probe = match self.breaker.load().phase {
                Phase::Closed => false,
                Phase::Open | Phase::Probing => match self.breaker.update(|breaker| breaker.admit(now, probe_limit)) {
                    Admission::Go => false,
                    Admission::Probe => {
                        self.metrics.breaker(Phase::Probing);
                        true
                    }
                    Admission::WaitUntil { millis } if !patience.left.is_zero() => {
                        drop(permit);
                        let wait = Duration::from_millis(millis.saturating_sub(now).max(1));
                        if !patience.in_place {
                            return Err(NotAdmitted::Down { ask_again_in: wait.min(ASK_AGAIN) });
                        }
                        self.outwait(wait, patience, stopping).await?;
                        continue;
                    }
                    Admission::WaitUntil { .. } => false,
                },
            };
            return Ok(Admitted { pressure: self, _permit: permit, epoch, probe });
        }
    }

    async fn permit(
        &self,
        turn: Turn,
        in_place: bool,
        stopping: &CancellationToken,
    ) -> Result<Permit<'_>, NotAdmitted> {
        if let Some(permit) = self.permits.try_take() {
            return Ok(permit);
        }
        // As many again as may be under way keep all permits in use; twice as many before a retry that is due finds no place.
        let useful = self.level.load().allowed.saturating_mul(if turn == Turn::Retry { 2 } else { 1 });
        if !in_place && self.permits.waiting() >= useful {
            self.crowded();
            return Err(NotAdmitted::Crowded);
        }
        self.crowded();
        let _waiting = self.metrics.waiting(Reason::Limit);
        let permit = tokio::select! {
            biased;
            () = stopping.cancelled() => return Err(NotAdmitted::Stopping),
            permit = self.permits.take(turn) => permit.ok_or(NotAdmitted::Stopping)?,
        };
        // The level may have changed meanwhile, and the new one must know too that somebody waited.
        self.crowded();
        Ok(permit)
    }

    fn crowded(&self) {
        self.level.update(|level| (Level { crowded: true, ..level }, ()));
    }

    /// Waits for the breaker to close or for the next look, as long as patience lasts.
    async fn outwait(
        &self,
        wait: Duration,
        patience: &mut Patience,
        stopping: &CancellationToken,
    ) -> Result<(), Stopping> {
        let _waiting = self.metrics.waiting(Reason::Breaker);
        let began = Instant::now();
        let closed = self.breaker_closed.notified();
        tokio::pin!(closed);
        // Listening begins before the breaker is looked at again, so that its closing is not missed.
        closed.as_mut().enable();
        if self.breaker.load().phase != Phase::Closed {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return Err(Stopping),
                () = closed => {}
                () = tokio::time::sleep(wait.min(patience.left)) => {}
            }
        }
        patience.left = patience.left.saturating_sub(began.elapsed());
        Ok(())
    }

    fn report_level(&self, epoch: u16, signal: Signal, took: Duration) {
        if !self.settings.adaptive {
            return;
        }
        let now = self.now_millis().max(1);
        if signal == Signal::Answered {
            self.answered_millis.store(now, Ordering::Relaxed);
        }
        if self.level.load().epoch != epoch {
            return;
        }
        let answered = self.answered_millis.load(Ordering::Relaxed);
        let silent = answered == 0 || now.saturating_sub(answered) > SILENCE_MILLIS;
        if signal == Signal::Answered {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.took_micros.fetch_add(micros, Ordering::Relaxed);
        }
        let took = self.took_micros.load(Ordering::Relaxed);
        let before_micros = self.before_micros.load(Ordering::Relaxed);
        let (step, from, to, latencies) = self.level.update(|level| {
            let latencies = Latencies { micros: took / level.answered_with(signal), before_micros, silent };
            let (next, step) = level.after(epoch, signal, latencies, self.settings.bounds);
            (next, (step, level.allowed, next.allowed, latencies))
        });
        let before = match step {
            Step::Counted | Step::Stale => return,
            Step::Doubled => latencies.micros,
            Step::Stayed | Step::Halved | Step::Recovered | Step::Reduced => 0,
        };
        self.before_micros.store(before, Ordering::Relaxed);
        self.took_micros.store(0, Ordering::Relaxed);
        self.metrics.limit(to);
        self.permits.resize(from, to);
    }

    fn report_finding(&self, finding: Finding) {
        // Nearly always: somebody answered, and nothing spoke against that before.
        if finding == Finding::Reached && self.breaker.load().is_quiet() {
            return;
        }
        let now = self.now_millis();
        let target = &self.target;
        match self.breaker.update(|breaker| breaker.after(finding, now)) {
            Change::None => {}
            Change::StillDown => self.metrics.breaker(Phase::Open),
            Change::Opened => {
                warn!(target_url = %target, "Target is down: attempts wait");
                self.metrics.opened();
            }
            Change::Closed => {
                info!(target_url = %target, "Target is back: attempts go on");
                self.metrics.breaker(Phase::Closed);
                self.breaker_closed.notify_waiters();
            }
        }
    }

    fn now_millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
