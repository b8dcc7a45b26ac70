//! A latency in milliseconds: a histogram, and the largest value of about the last minute as a gauge.
//!
//! The gauge (`<name>_max`) is what micrometer adds to every timer of the peer: three slots of 20 s, the oldest is
//! forgotten when a new one begins.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::proto::{Gauge, Metric, MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts};

use super::{BUCKETS_MS, Instrument};

const SLOTS: usize = 3;
const SLOT: Duration = Duration::from_secs(20);

/// One latency series; clones share it.
#[derive(Clone)]
pub struct Latency {
    histogram: Histogram,
    largest: Arc<RollingMax>,
}

impl std::fmt::Debug for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Latency").field("count", &self.histogram.get_sample_count()).finish_non_exhaustive()
    }
}

impl Latency {
    /// Counts one measurement.
    pub fn observe(&self, elapsed: Duration) {
        let millis = elapsed.as_secs_f64() * 1000.0;
        self.histogram.observe(millis);
        self.largest.record(millis, self.largest.since_start());
    }
}

impl Instrument for Latency {
    const SUFFIXES: &'static [&'static str] = &["", "_max"];

    fn create(name: &str, help: &str, labels: HashMap<String, String>) -> Result<Self, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).buckets(BUCKETS_MS.to_vec()).const_labels(labels);
        Ok(Self { histogram: Histogram::with_opts(opts)?, largest: Arc::new(RollingMax::new()) })
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.histogram.collect();
        let Some(histogram) = families.first() else { return families };
        let mut largest = MetricFamily::default();
        largest.set_name(format!("{}_max", histogram.name()));
        largest.set_help(histogram.help().to_owned());
        largest.set_field_type(MetricType::GAUGE);
        largest.set_metric(
            histogram
                .get_metric()
                .iter()
                .map(|metric| {
                    let mut gauge = Gauge::default();
                    gauge.set_value(self.largest.value(self.largest.since_start()));
                    let mut point = Metric::from_label(metric.get_label().to_vec());
                    point.set_gauge(gauge);
                    point
                })
                .collect(),
        );
        families.push(largest);
        families
    }
}

/// The largest value of the last two to three slots. Values are not negative.
struct RollingMax {
    start: Instant,
    slots: [Slot; SLOTS],
}

#[derive(Default)]
struct Slot {
    // Which slot of time, counted from the start plus one, the value belongs to; zero is "never used".
    turn: AtomicU64,
    // The bits of a float that is not negative, which order as the floats themselves do.
    bits: AtomicU64,
}

impl RollingMax {
    fn new() -> Self {
        Self { start: Instant::now(), slots: Default::default() }
    }

    fn since_start(&self) -> Duration {
        self.start.elapsed()
    }

    fn record(&self, value: f64, at: Duration) {
        let turn = turn(at);
        let Some(slot) = self.slot(turn) else { return };
        // Two threads may both find an outdated slot. The value one of them stores in between can then be lost from
        // this gauge, never from the histogram.
        if slot.turn.swap(turn, Ordering::Relaxed) == turn {
            slot.bits.fetch_max(value.to_bits(), Ordering::Relaxed);
        } else {
            slot.bits.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    fn value(&self, at: Duration) -> f64 {
        let now = turn(at);
        let oldest = now.saturating_sub(SLOTS as u64 - 1).max(1);
        self.slots
            .iter()
            .filter(|slot| (oldest..=now).contains(&slot.turn.load(Ordering::Relaxed)))
            .map(|slot| f64::from_bits(slot.bits.load(Ordering::Relaxed)))
            .fold(0.0, f64::max)
    }

    fn slot(&self, turn: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(turn % SLOTS as u64).ok()?)
    }
}

fn turn(at: Duration) -> u64 {
    at.as_secs() / SLOT.as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_largest_value_is_forgotten_after_about_a_minute() {
        let max = RollingMax::new();
        assert!(max.value(seconds(0)).abs() < f64::EPSILON);
        max.record(7.0, seconds(1));
        max.record(3.0, seconds(2));
        max.record(5.0, seconds(25));
        assert!((max.value(seconds(30)) - 7.0).abs() < f64::EPSILON);
        assert!((max.value(seconds(59)) - 7.0).abs() < f64::EPSILON);
        assert!((max.value(seconds(61)) - 5.0).abs() < f64::EPSILON);
        assert!(max.value(seconds(200)).abs() < f64::EPSILON);
    }

    #[test]
    fn a_slot_that_comes_round_again_starts_anew() {
        let max = RollingMax::new();
        max.record(9.0, seconds(1));
        max.record(2.0, seconds(61));
        assert!((max.value(seconds(61)) - 2.0).abs() < f64::EPSILON);
    }
}
