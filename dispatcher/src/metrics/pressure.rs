//! What is measured of the pressure on targets: the adaptive limit, the breaker, and who waits for what.

use std::sync::Arc;

use millrace_runtime::metrics::family::OwnerLabels;
use millrace_runtime::metrics::{CounterFamily, GaugeFamily, Metrics, MetricsError, Series};
use prometheus::{IntCounter, IntGauge};

use super::Role;
use crate::pressure::breaker::Phase;

const LIMIT: &str = "millrace_dispatcher_concurrency_limit";
const BREAKER: &str = "millrace_dispatcher_breaker_state";
const OPENED: &str = "millrace_dispatcher_breaker_opened_total";
const WAITING: &str = "millrace_dispatcher_waiting_attempts";

/// What an attempt waits for before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Rate,
    Breaker,
    Limit,
    Connection,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Rate, Self::Breaker, Self::Limit, Self::Connection];

    fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Breaker => "breaker",
            Self::Limit => "limit",
            Self::Connection => "connection",
        }
    }
}

/// The families of the process.
#[derive(Clone, Debug)]
pub(crate) struct PressureFamilies {
    limit: GaugeFamily,
    breaker: GaugeFamily,
    opened: CounterFamily,
    waiting: GaugeFamily,
}

impl PressureFamilies {
    /// Registers all families.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            limit: metrics.family(LIMIT, "Attempts that may be under way to the target", &["role"])?,
            breaker: metrics.family(
                BREAKER,
                "0: attempts go; 1: the target is down and attempts wait; 2: one attempt looks whether it is back",
                &["role"],
            )?,
            opened: metrics.family(OPENED, "How often the target was found to be down", &["role"])?,
            waiting: metrics.family(WAITING, "Attempts that wait to start", &["role", "reason"])?,
        })
    }

    /// The series of one egress.
    pub(crate) fn egress(&self, owner: &OwnerLabels) -> PressureSeries {
        PressureSeries {
            limit: self.limit.series(owner.clone()),
            breaker: self.breaker.series(owner.clone()),
            opened: self.opened.series(owner.clone()),
            waiting: self.waiting.series(owner.clone()),
        }
    }
}

/// The series of one egress; they disappear when it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct PressureSeries {
    limit: Arc<Series<IntGauge>>,
    breaker: Arc<Series<IntGauge>>,
    opened: Arc<Series<IntCounter>>,
    waiting: Arc<Series<IntGauge>>,
}

impl PressureSeries {
    /// Those of one target.
    pub(crate) fn role(&self, role: Role) -> PressureMetrics {
        let role = role.as_str();
        PressureMetrics {
            limit: self.limit.with(&[role]),
            breaker: self.breaker.with(&[role]),
            opened: self.opened.with(&[role]),
            waiting: Reason::ALL.map(|reason| self.waiting.with(&[role, reason.as_str()])),
        }
    }
}

/// The instruments of one target.
#[derive(Clone, Debug)]
pub(crate) struct PressureMetrics {
    limit: Option<IntGauge>,
    breaker: Option<IntGauge>,
    opened: Option<IntCounter>,
    waiting: [Option<IntGauge>; 4],
}

impl PressureMetrics {
    pub(crate) fn limit(&self, allowed: u32) {
        if let Some(gauge) = &self.limit {
            gauge.set(allowed.into());
        }
    }

    pub(crate) fn breaker(&self, phase: Phase) {
        let value = match phase {
            Phase::Closed => 0,
            Phase::Open => 1,
            Phase::Probing => 2,
        };
        if let Some(gauge) = &self.breaker {
            gauge.set(value);
        }
    }

    /// The target was found to be down.
    pub(crate) fn opened(&self) {
        self.breaker(Phase::Open);
        if let Some(counter) = &self.opened {
            counter.inc();
        }
    }

    /// Attempts that wait, for whatever reason.
    pub(crate) fn waiting_now(&self) -> i64 {
        self.waiting.iter().flatten().map(IntGauge::get).sum()
    }

    /// Counts an attempt that waits until the guard is dropped.
    pub(crate) fn waiting(&self, reason: Reason) -> Waiting<'_> {
        let [rate, breaker, limit, connection] = &self.waiting;
        let gauge = match reason {
            Reason::Rate => rate,
            Reason::Breaker => breaker,
            Reason::Limit => limit,
            Reason::Connection => connection,
        };
        if let Some(gauge) = gauge {
            gauge.inc();
        }
        Waiting(gauge.as_ref())
    }
}

/// An attempt that waits.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(Option<&'a IntGauge>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(gauge) = self.0 {
            gauge.dec();
        }
    }
}
