//! What control tells about its own work. All names are here.
//!
//! Gauges say how things are now, counters what was done since the start. No labels: objects are named in
//! `status.json`, not here.

use millrace_runtime::metrics::{Metrics, MetricsError};
use prometheus::{IntCounter, IntGauge};

use crate::reconcile::Outcome;
use crate::status::Truth;

const GENERATION: &str = "millrace_control_contract_generation";
const PUBLISHED: &str = "millrace_control_contracts_published_total";
const READINGS: &str = "millrace_control_readings_total";
const WRITE_FAILURES: &str = "millrace_control_write_failures_total";
const PROBLEMS: &str = "millrace_control_problems";
const CHANNELS: &str = "millrace_control_channels";
const CHANNELS_READY: &str = "millrace_control_channels_ready";
const SUBSCRIPTIONS: &str = "millrace_control_subscriptions";
const LEADING: &str = "millrace_control_leading";
const API_WRITES: &str = "millrace_control_api_writes_total";
const API_WRITE_FAILURES: &str = "millrace_control_api_write_failures_total";
const CONTRACT_FULL: &str = "millrace_control_contract_full_percent";
const CONTRACT_MAPS: &str = "millrace_control_contract_maps";
const SUBSCRIPTIONS_READY: &str = "millrace_control_subscriptions_ready";

/// Instruments of one process.
#[derive(Debug, Clone)]
pub struct ControlMetrics {
    generation: IntGauge,
    pub(crate) published: IntCounter,
    pub(crate) readings: IntCounter,
    pub(crate) write_failures: IntCounter,
    problems: IntGauge,
    channels: IntGauge,
    channels_ready: IntGauge,
    subscriptions: IntGauge,
    subscriptions_ready: IntGauge,
    /// In a cluster alone.
    pub(crate) leading: IntGauge,
    pub(crate) api_writes: IntCounter,
    pub(crate) api_write_failures: IntCounter,
    pub(crate) contract_full: IntGauge,
    pub(crate) contract_maps: IntGauge,
}

impl ControlMetrics {
    /// Registers all of them, and what the process was built from.
    ///
    /// # Errors
    /// When one of the names is taken.
    pub fn register(metrics: &Metrics) -> Result<Self, MetricsError> {
        metrics.build_info()?;
        Ok(Self {
            generation: metrics.gauge(GENERATION, "Generation of the contract in force; 0 before there is one.")?,
            published: metrics.counter(PUBLISHED, "Contracts written because something in them changed.")?,
            readings: metrics.counter(READINGS, "Readings of the objects.")?,
            write_failures: metrics
                .counter(WRITE_FAILURES, "Results that could not be written and are tried again.")?,
            problems: metrics.gauge(PROBLEMS, "Problems with objects that a person should look at.")?,
            channels: metrics.gauge(CHANNELS, "Channels.")?,
            channels_ready: metrics.gauge(CHANNELS_READY, "Channels that are ready.")?,
            subscriptions: metrics.gauge(SUBSCRIPTIONS, "Subscriptions.")?,
            subscriptions_ready: metrics.gauge(SUBSCRIPTIONS_READY, "Subscriptions that are ready.")?,
            leading: metrics.gauge(LEADING, "1 while this process holds the lease and works, else 0.")?,
            api_writes: metrics
                .counter(API_WRITES, "Writes of objects that the API server answered or should have.")?,
            api_write_failures: metrics.counter(API_WRITE_FAILURES, "Writes of objects that failed.")?,
            contract_full: metrics
                .gauge(CONTRACT_FULL, "Size of the contract in percent of what its ConfigMaps take.")?,
            contract_maps: metrics.gauge(CONTRACT_MAPS, "ConfigMaps that the contract in force is in.")?,
        })
    }

    /// Notes how things are now.
    pub(crate) fn note(&self, generation: u64, problems: usize, outcome: &Outcome) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        set(&self.problems, problems);
        set(&self.channels, outcome.channels.len());
        set(&self.subscriptions, outcome.subscriptions.len());
        let ready = outcome.channels.iter().filter(|channel| channel.ready == Truth::True);
        set(&self.channels_ready, ready.count());
        let ready = outcome.subscriptions.iter().filter(|subscription| subscription.ready == Truth::True);
        set(&self.subscriptions_ready, ready.count());
    }
}

fn set(gauge: &IntGauge, number: usize) {
    gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
}
