//! Metrics: a registry, and families whose series come and go with the resources they describe.
//!
//! Names and label names belong to the crate that measures; this file owns the buckets, the cap on label values and the
//! text form. Source for the peer's buckets: spec ingress 8.1.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge, Opts, Registry, TextEncoder};

pub mod family;
pub mod kafka_producer;
pub mod latency;

use crate::build_info;

pub use family::{Family, Instrument, Series};
pub use latency::Latency;

/// Content type of the text form.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a label says once its own values have become too many.
pub const OTHER: &str = "other";

const BUILD_INFO: &str = "millrace_build_info";

/// The commit of a build that was not told it.
const UNKNOWN: &str = "unknown";

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

    /// `millrace_build_info`, always 1: its labels say which build is running.
    ///
    /// # Errors
    ///
    /// When it is there already.
    pub fn build_info(&self) -> Result<(), MetricsError> {
        let labels = [
            ("version", build_info::version()),
            ("profile", build_info::profile()),
            ("commit", build_info::commit().unwrap_or(UNKNOWN)),
        ];
        let opts =
            labels.into_iter().fold(Opts::new(BUILD_INFO, "The build that is running."), |opts, (name, value)| {
                opts.const_label(name, value)
            });
        self.made(BUILD_INFO, IntGauge::with_opts(opts))?.set(1);
        Ok(())
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
        with_decimal_bounds(&text)
    }

    /// Everything registered, as values.
    pub(crate) fn families(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
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

/// Bucket bounds as the peer writes them, `le="50.0"` and not `le="50"`: dashboards select them as text.
fn with_decimal_bounds(text: &str) -> String {
    let mut decimal = String::with_capacity(text.len() + text.len() / 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("le=\"") {
        let (bound, after) = after.split_once('"').unwrap_or((after, ""));
        let is_label = before.ends_with(['{', ',']);
        let point = if is_label && bound.bytes().all(|byte| byte.is_ascii_digit()) { ".0" } else { "" };
        decimal.push_str(before);
        decimal.push_str("le=\"");
        decimal.push_str(bound);
        decimal.push_str(point);
        decimal.push('"');
        rest = after;
    }
    decimal.push_str(rest);
    decimal
}

#[cfg(test)]
mod tests;
