//! Metrics: a registry, and families whose series come and go with the resources they describe.
//!
//! Names and label names belong to the crate that measures; this file owns the buckets, the cap on label values and the
//! text form. Source for the peer's buckets: spec ingress 8.1.

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntGauge, Opts, Registry, TextEncoder};

pub mod family;
pub mod latency;

pub use family::{Family, Instrument, Series};
pub use latency::Latency;

/// Content type of the text form.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a label says once its own values have become too many.
pub const OTHER: &str = "other";

/// Upper bounds in milliseconds: the peer's (50, 100, 500, 1000, 5000, 10000), and ours between and below them, because
/// an event usually takes less than the peer's first bucket.
pub const BUCKETS_MS: [f64; 14] =
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];

/// Latency histograms with a `_max` gauge beside them.
pub type LatencyFamily = Family<Latency>;
/// Counters.
pub type CounterFamily = Family<IntCounter>;
/// Whole-numbered gauges.
pub type GaugeFamily = Family<IntGauge>;

/// A metric that cannot exist: our own mistake in a name or label, or one registered twice.
#[derive(Debug, thiserror::Error)]
#[error("cannot create metric {name}")]
pub struct MetricsError {
    /// The metric's full name.
    pub name: String,
    /// What the registry says.
    pub source: prometheus::Error,
}

/// The process's registry; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a collector of any kind.
    ///
    /// # Errors
    ///
    /// When a collector of that name is there already.
    pub fn register<C: Collector + 'static>(&self, name: &str, collector: C) -> Result<(), MetricsError> {
        self.registry.register(Box::new(collector)).map_err(|source| MetricsError { name: name.to_owned(), source })
    }

    /// A counter without labels.
    ///
    /// # Errors
    ///
    /// When the name is invalid or taken.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        self.made(name, IntCounter::with_opts(Opts::new(name, help)))
    }

    /// A whole-numbered gauge without labels.
    ///
    /// # Errors
    ///
    /// When the name is invalid or taken.
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
        self.made(name, IntGauge::with_opts(Opts::new(name, help)))
    }

    /// A gauge without labels that takes fractions.
    ///
    /// # Errors
    ///
    /// When the name is invalid or taken.
    pub fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge, MetricsError> {
        self.made(name, Gauge::with_opts(Opts::new(name, help)))
    }

    /// A family of instruments that share a name and differ by owner and by the labels named here.
    ///
    /// # Errors
    ///
    /// When the name is invalid or taken.
    pub fn family<I: Instrument>(
        &self,
        name: &str,
        help: &str,
        labels: &[&'static str],
    ) -> Result<Family<I>, MetricsError> {
        let family =
            Family::new(name, help, labels).map_err(|source| MetricsError { name: name.to_owned(), source })?;
        self.register(name, family.clone())?;
        Ok(family)
    }

    /// Everything registered, in the Prometheus text format. A metric that cannot be written is left out.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for family in self.registry.gather() {
            let before = text.len();
            if TextEncoder::new().encode_utf8(std::slice::from_ref(&family), &mut text).is_err() {
                text.truncate(before);
            }
        }
        text
    }

    fn made<C: Collector + Clone + 'static>(
        &self,
        name: &str,
        made: Result<C, prometheus::Error>,
    ) -> Result<C, MetricsError> {
        let collector = made.map_err(|source| MetricsError { name: name.to_owned(), source })?;
        self.register(name, collector.clone())?;
        Ok(collector)
    }
}

#[cfg(test)]
mod tests;
