//! What ingress measures. All names are here; those of Kafka clients are in `runtime`.
//!
//! The peer's one meter keeps its name and labels (spec ingress 8.1); ours start with `millrace_ingress_`. Label values
//! come from closed sets, except the event type, which is capped.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use millrace_config::contract::Reference;
use millrace_runtime::metrics::family::OwnerLabels;
use millrace_runtime::metrics::{CounterFamily, Latency, LatencyFamily, Metrics, MetricsError, Series};
use prometheus::{IntCounter, IntGauge};

const DISPATCH_LATENCY: &str = "kn_eventing_dispatch_latency_ms";
const REQUESTS: &str = "millrace_ingress_requests_total";
const CONNECTIONS: &str = "millrace_ingress_connections";
const HANDSHAKE_FAILURES: &str = "millrace_ingress_tls_handshake_failures_total";
const IN_FLIGHT: &str = "millrace_ingress_in_flight_requests";
const TARGETS: &str = "millrace_ingress_targets";
const REFUSED_TARGETS: &str = "millrace_ingress_targets_refused";
const REFUSALS: &str = "millrace_ingress_target_refusals_total";
const PRODUCERS: &str = "millrace_ingress_producers";
const GENERATION: &str = "millrace_ingress_contract_generation";
const CONTRACT_FAILURES: &str = "millrace_ingress_contract_failures_total";
const CONTRACT_INCOMPLETE: &str = "millrace_ingress_contract_incomplete";

/// The event type of a request that is no event, or of every event when the label is switched off.
pub(crate) const UNKNOWN_TYPE: &str = "unknown";

/// Every status this process answers with.
const STATUSES: [StatusCode; 15] = [
    StatusCode::OK,
    StatusCode::ACCEPTED,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::URI_TOO_LONG,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::NOT_IMPLEMENTED,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// A request that is not answered yet, also when its client goes away.
pub(crate) struct InFlight<'a>(&'a IntGauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Every metric of the process.
#[derive(Clone, Debug)]
pub(crate) struct IngressMetrics {
    latency: LatencyFamily,
    type_label: bool,
    requests: Arc<Requests>,
    pub(crate) connections: IntGauge,
    pub(crate) handshake_failures: IntCounter,
    in_flight: IntGauge,
    pub(crate) targets: IntGauge,
    pub(crate) refused_targets: IntGauge,
    pub(crate) refusals: IntCounter,
    pub(crate) producers: IntGauge,
    pub(crate) generation: IntGauge,
    pub(crate) contract_failures: IntCounter,
    /// 1 while a newer contract waits for files that belong to it.
    pub(crate) contract_incomplete: IntGauge,
}

/// One counter a status; the series are shown as long as they are held.
#[derive(Debug)]
struct Requests {
    // A dozen and a half at most, the usual answers first: looking through them costs less than hashing.
    by_status: Vec<(StatusCode, IntCounter)>,
    _shown: Arc<Series<IntCounter>>,
}

/// The series of one target, made with its first event; they go with the last target of the same object, and all its targets share them.
#[derive(Clone, Debug)]
pub(crate) struct TargetSeries {
    family: LatencyFamily,
    own: OnceLock<Arc<Series<Latency>>>,
    type_label: bool,
}

impl IngressMetrics {
    /// # Errors
    ///
    /// When another part of the process took one of the names.
    pub(crate) fn register(metrics: &Metrics, type_label: bool) -> Result<Self, MetricsError> {
        let requests: CounterFamily = metrics.family(REQUESTS, "Requests answered, by status code.", &["code"])?;
        let requests = requests.series(OwnerLabels::new());
        let by_status = |status: StatusCode| Some((status, requests.with(&[status.as_str()])?));
        Ok(Self {
            latency: metrics.family(
                DISPATCH_LATENCY,
                "The time spent dispatching an event to Kafka",
                &["cloudevents_type", "http_response_status_code"],
            )?,
            type_label,
            requests: Arc::new(Requests {
                by_status: STATUSES.into_iter().filter_map(by_status).collect(),
                _shown: requests,
            }),
            connections: metrics.gauge(CONNECTIONS, "Open connections on the data port.")?,
            handshake_failures: metrics.counter(HANDSHAKE_FAILURES, "TLS handshakes that failed or took too long.")?,
            in_flight: metrics.gauge(IN_FLIGHT, "Requests that are not answered yet.")?,
            targets: metrics.gauge(TARGETS, "Targets that accept events.")?,
            refused_targets: metrics
                .gauge(REFUSED_TARGETS, "Contract entries that do not accept events as written.")?,
            refusals: metrics.counter(REFUSALS, "Contract entries refused, counted once for each reason.")?,
            producers: metrics.gauge(PRODUCERS, "Kafka producers in use.")?,
            generation: metrics.gauge(GENERATION, "Generation of the contract in force.")?,
            contract_failures: metrics.counter(CONTRACT_FAILURES, "Contract files that could not be used.")?,
            contract_incomplete: metrics
                .gauge(CONTRACT_INCOMPLETE, "1 while a newer contract waits for shards that belong to it.")?,
        })
    }

    /// A request has come.
    pub(crate) fn asked(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Requests that are not answered yet.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, status: StatusCode) {
        if let Some((_, counter)) = self.requests.by_status.iter().find(|(known, _)| *known == status) {
            counter.inc();
        }
    }

    /// The series of a target that has had no event yet.
    pub(crate) fn target(&self) -> TargetSeries {
        TargetSeries { family: self.latency.clone(), own: OnceLock::new(), type_label: self.type_label }
    }
}

impl TargetSeries {
    /// Counts one event, or what was meant to be one, of the target made from `reference`.
    pub(crate) fn observe(&self, reference: &Reference, event_type: &str, status: StatusCode, elapsed: Duration) {
        let event_type = if self.type_label { event_type } else { UNKNOWN_TYPE };
        let series = self.own.get_or_init(|| self.family.series(owner(reference)));
        if let Some(latency) = series.with(&[event_type, status.as_str()]) {
            latency.observe(elapsed);
        }
    }
}

/// The labels that name the object a target was made from.
fn owner(reference: &Reference) -> OwnerLabels {
    let kind: String = reference.kind.chars().filter(char::is_ascii_alphanumeric).collect();
    let kind = kind.to_ascii_lowercase();
    OwnerLabels::from([
        (format!("kn_{kind}_name"), reference.name.clone()),
        (format!("kn_{kind}_namespace"), reference.namespace.clone()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(kind: &str) -> Reference {
        Reference {
            kind: kind.to_owned(),
            name: "orders".to_owned(),
            namespace: "shop".to_owned(),
            ..Reference::default()
        }
    }

    #[test]
    fn an_event_is_measured_with_the_peers_name_and_labels() {
        let metrics = Metrics::new();
        let series = IngressMetrics::register(&metrics, true).unwrap().target();
        assert!(!metrics.text().contains("kn_kafkachannel_name"));
        series.observe(&reference("KafkaChannel"), "order.created", StatusCode::ACCEPTED, Duration::from_millis(3));
        let expected = concat!(
            r#"kn_eventing_dispatch_latency_ms_count{cloudevents_type="order.created",http_response_status_code="202","#,
            r#"kn_kafkachannel_name="orders",kn_kafkachannel_namespace="shop"} 1"#
        );
        assert!(metrics.text().contains(expected), "{}", metrics.text());
        drop(series);
        assert!(!metrics.text().contains("order.created"));
    }

    #[test]
    fn the_type_label_can_be_switched_off() {
        let metrics = Metrics::new();
        let series = IngressMetrics::register(&metrics, false).unwrap().target();
        series.observe(&reference("Broker"), "order.created", StatusCode::ACCEPTED, Duration::ZERO);
        assert!(metrics.text().contains(r#"cloudevents_type="unknown""#));
        assert!(metrics.text().contains(r#"kn_broker_name="orders""#));
    }

    #[test]
    fn every_answer_is_counted_by_its_status() {
        let metrics = Metrics::new();
        let ingress = IngressMetrics::register(&metrics, true).unwrap();
        ingress.answered(StatusCode::NOT_FOUND);
        assert!(metrics.text().contains("millrace_ingress_requests_total{code=\"404\"} 1\n"));
        assert!(metrics.text().contains("millrace_ingress_requests_total{code=\"202\"} 0\n"));
    }
}
