//! What the dispatcher measures: the peer's metrics under their names, and ours.
//!
//! The series of an egress exist as long as something holds its [`EgressMetrics`].
//! Source: dispatcher spec 8.1; design row 22 (one set of labels for each name, bounded label values).

pub(crate) mod attempts;
pub(crate) mod kafka;
mod outcomes;
pub(crate) mod pressure;
mod role;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use millrace_config::contract::{DeliveryOrder, Egress};
use millrace_config::env::MetricsEnv;
use millrace_runtime::clock;
use millrace_runtime::metrics::family::OwnerLabels;
use millrace_runtime::metrics::kafka_producer::ProducerFamilies;
use millrace_runtime::metrics::{CounterFamily, GaugeFamily, Latency, LatencyFamily, Metrics, MetricsError, Series};
use millrace_runtime::telemetry::Tracer;
use prometheus::{IntCounter, IntGauge};

use crate::outcome::Outcome;
use crate::record::Record;
use attempts::{AttemptFamily, Attempts};
use kafka::{KafkaFamilies, KafkaSeries};
use outcomes::Outcomes;
use pressure::{PressureFamilies, PressureSeries};
pub(crate) use role::Role;

const DISPATCH_LATENCY: &str = "kn_eventing_dispatch_latency_ms";
const PROCESS_LATENCY: &str = "kn_eventing_process_latency_ms";
const DISCARDED_EVENTS: &str = "kn_eventing_kafka_discarded_events_1_total";
const SKIPPED_OFFSETS: &str = "kn_eventing_kafka_skipped_offsets_1_total";
const IN_FLIGHT: &str = "kn_eventing_dispatch_in_flight_requests_1";
const QUEUE_LATENCY: &str = "kn_eventing_kafka_executor_queue_latency_ms";
const QUEUE_LENGTH: &str = "kn_eventing_kafka_executor_queue_length_1";
const EVENTS: &str = "millrace_dispatcher_events_total";
const EVENT_AGE: &str = "millrace_dispatcher_event_age_ms";
const CONTRACT_INCOMPLETE: &str = "millrace_dispatcher_contract_incomplete";

const EVENT_TYPE: &str = "cloudevents_type";
const STATUS_CODE: &str = "http_response_status_code";
const PARTITION: &str = "messaging_destination_partition_id";
const TOPIC: &str = "messaging_destination_name";

/// Stands for the type of records that have none.
const INVALID_TYPE: &str = "InvalidCloudEvent";
const SKIPPED_TYPE: &str = "OffsetSkippingCloudEvent";
/// Stands for every type when the label is switched off.
const UNKNOWN_TYPE: &str = "unknown";

/// The families of the process.
#[derive(Clone, Debug)]
pub(crate) struct DispatcherMetrics {
    dispatch_latency: LatencyFamily,
    process_latency: LatencyFamily,
    discarded: CounterFamily,
    skipped: CounterFamily,
    in_flight: GaugeFamily,
    events: CounterFamily,
    event_age: LatencyFamily,
    queue_latency: LatencyFamily,
    queue_length: GaugeFamily,
    attempts: AttemptFamily,
    pressure: PressureFamilies,
    kafka: KafkaFamilies,
    /// Absent: `DISABLE_KAFKA_CLIENTS_METRICS`.
    pub(crate) producers: Option<ProducerFamilies>,
    event_types: bool,
    /// 1 while a newer contract waits for files that belong to it.
    pub(crate) contract_incomplete: IntGauge,
    pub(crate) tracer: Option<Tracer>,
}

impl DispatcherMetrics {
    /// Registers all families, as far as they are wanted.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub(crate) fn register(metrics: &Metrics, wanted: &MetricsEnv) -> Result<Self, MetricsError> {
        Ok(Self {
            dispatch_latency: metrics.family(
                DISPATCH_LATENCY,
                "The time spent dispatching an event to its subscriber, retries and reply included",
                &[EVENT_TYPE, STATUS_CODE],
            )?,
            process_latency: metrics.family(
                PROCESS_LATENCY,
                "The time spent decoding and filtering a record",
                &[EVENT_TYPE],
            )?,
            discarded: metrics.family(DISCARDED_EVENTS, "Records that are no events", &[EVENT_TYPE])?,
            skipped: metrics.family(SKIPPED_OFFSETS, "Offsets that hold no record", &[EVENT_TYPE])?,
            in_flight: metrics.family(
                IN_FLIGHT,
                "Requests that wait for their answer",
                &["messaging_operation_name", "messaging_operation_type", "messaging_destination_template"],
            )?,
            events: metrics.family(EVENTS, "Records by how they ended", &["outcome"])?,
            event_age: metrics.family(EVENT_AGE, "The time from a record's timestamp to its end here", &[])?,
            queue_latency: metrics.family(
                QUEUE_LATENCY,
                "The time a record of an ordered partition takes, from being read to its end",
                &[PARTITION, TOPIC],
            )?,
            queue_length: metrics.family(
                QUEUE_LENGTH,
                "Records of an ordered partition that wait for their turn",
                &[PARTITION, TOPIC],
            )?,
            attempts: AttemptFamily::register(metrics)?,
            pressure: PressureFamilies::register(metrics)?,
            kafka: KafkaFamilies::register(metrics, !wanted.disable_kafka_clients)?,
            producers: (!wanted.disable_kafka_clients).then(|| ProducerFamilies::register(metrics)).transpose()?,
            event_types: !wanted.disable_event_type,
            contract_incomplete: metrics
                .gauge(CONTRACT_INCOMPLETE, "1 while a newer contract waits for shards that belong to it.")?,
            tracer: None,
        })
    }

    /// The series of one egress.
    pub(crate) fn egress(&self, egress: &Egress) -> EgressMetrics {
        let owner = owner(egress);
        let in_flight = self.in_flight.series(owner.clone());
        let gauge = |name, template| in_flight.with(&[name, "send", template]);
        let events = self.events.series(owner.clone());
        let event_ages = self.event_age.series(owner.clone());
        EgressMetrics {
            subscriber: gauge("send", "subscriber"),
            dead_letter_sink: gauge("send", "deadLetterSink"),
            reply: gauge("reply", ""),
            dispatch_latency: self.dispatch_latency.series(owner.clone()),
            process_latency: self.process_latency.series(owner.clone()),
            discarded: self.discarded.series(owner.clone()),
            skipped: self.skipped.series(owner.clone()),
            event_age: event_ages.with(&[]),
            _event_ages: event_ages,
            attempts: self.attempts.egress(&owner),
            pressure: self.pressure.egress(&owner),
            kafka: self.kafka.egress(egress, &owner),
            queue: (egress.executor_metrics && egress.order == DeliveryOrder::Ordered).then(|| QueueSeries {
                latency: self.queue_latency.series(owner.clone()),
                length: self.queue_length.series(owner),
            }),
            outcomes: Outcomes::of(&events),
            _in_flight: in_flight,
            _events: events,
            event_types: self.event_types,
            tracer: self.tracer.clone(),
        }
    }
}

fn owner(egress: &Egress) -> OwnerLabels {
    let kind = egress.reference.kind.to_lowercase();
    OwnerLabels::from([
        ("messaging_consumer_group_name".to_owned(), egress.reference.name.clone()),
        (format!("kn_{kind}_name"), egress.reference.name.clone()),
        (format!("kn_{kind}_namespace"), egress.reference.namespace.clone()),
    ])
}

/// The series of one egress; they disappear when it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct EgressMetrics {
    dispatch_latency: Arc<Series<Latency>>,
    process_latency: Arc<Series<Latency>>,
    discarded: Arc<Series<IntCounter>>,
    skipped: Arc<Series<IntCounter>>,
    subscriber: Option<IntGauge>,
    dead_letter_sink: Option<IntGauge>,
    reply: Option<IntGauge>,
    outcomes: Outcomes,
    event_age: Option<Latency>,
    _event_ages: Arc<Series<Latency>>,
    queue: Option<QueueSeries>,
    pub(crate) attempts: Attempts,
    pub(crate) pressure: PressureSeries,
    pub(crate) kafka: KafkaSeries,
    _in_flight: Arc<Series<IntGauge>>,
    _events: Arc<Series<IntCounter>>,
    event_types: bool,
    /// Absent while traces are not exported.
    pub(crate) tracer: Option<Tracer>,
}

/// Only with `enableOrderedExecutorMetrics`.
#[derive(Clone, Debug)]
struct QueueSeries {
    latency: Arc<Series<Latency>>,
    length: Arc<Series<IntGauge>>,
}

impl EgressMetrics {
    /// A record was decoded and filtered.
    pub(crate) fn processed(&self, event_type: &str, elapsed: Duration) {
        if let Some(latency) = self.process_latency.with(&[self.type_label(event_type)]) {
            latency.observe(elapsed);
        }
    }

    /// The subscriber phase of an event ended; `status` is that of its last answer, if any.
    pub(crate) fn dispatched(&self, event_type: &str, status: Option<StatusCode>, elapsed: Duration) {
        let status = status.as_ref().map_or("", StatusCode::as_str);
        if let Some(latency) = self.dispatch_latency.with(&[self.type_label(event_type), status]) {
            latency.observe(elapsed);
        }
    }

    /// A record is no event.
    pub(crate) fn invalid(&self) {
        if let Some(counter) = self.discarded.with(&[INVALID_TYPE]) {
            counter.inc();
        }
    }

    /// Offsets without a record were passed over.
    pub(crate) fn skipped(&self, offsets: u64) {
        if let Some(counter) = self.skipped.with(&[SKIPPED_TYPE]) {
            counter.inc_by(offsets);
        }
    }

    /// A record ended.
    pub(crate) fn finished(&self, outcome: Outcome, record: &Record) {
        if let Some(counter) = self.outcomes.counter(outcome) {
            counter.inc();
        }
        if let (Some(age), Some(written)) = (&self.event_age, record.timestamp_ms) {
            // A clock that is ahead of ours makes an event young, not negative.
            let age_ms = u64::try_from(clock::now_millis().saturating_sub(written)).unwrap_or(0);
            age.observe(Duration::from_millis(age_ms));
        }
        if let Some(queue) = &self.queue
            && let Some(latency) = queue.latency.with(&[&record.partition.to_string(), &record.topic])
        {
            latency.observe(record.read.elapsed());
        }
    }

    /// An ordered partition took a record; `waiting` more are waiting for their turn.
    pub(crate) fn queued(&self, record: &Record, waiting: usize) {
        if let Some(queue) = &self.queue
            && let Some(length) = queue.length.with(&[&record.partition.to_string(), &record.topic])
        {
            length.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
    }

    /// Requests that wait for their answer.
    pub(crate) fn in_flight_now(&self, role: Role) -> i64 {
        self.in_flight_gauge(role).map_or(0, IntGauge::get)
    }

    fn in_flight_gauge(&self, role: Role) -> Option<&IntGauge> {
        match role {
            Role::Subscriber => self.subscriber.as_ref(),
            Role::DeadLetterSink => self.dead_letter_sink.as_ref(),
            Role::Reply => self.reply.as_ref(),
        }
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn in_flight(&self, role: Role) -> InFlight<'_> {
        let gauge = self.in_flight_gauge(role);
        if let Some(gauge) = gauge {
            gauge.inc();
        }
        InFlight(gauge)
    }

    fn type_label<'a>(&self, event_type: &'a str) -> &'a str {
        if self.event_types { event_type } else { UNKNOWN_TYPE }
    }
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct InFlight<'a>(Option<&'a IntGauge>);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(gauge) = self.0 {
            gauge.dec();
        }
    }
}

#[cfg(test)]
mod tests;
