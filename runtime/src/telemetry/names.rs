//! The dotted names that the peer's OTLP metrics have, out of ours for Prometheus. Pure.
//!
//! Source: spec ingress 8.1 and dispatcher 8.1, columns "meter" and "original tag names".

/// Meters whose Prometheus name carries a unit: that name without `_total`, the meter, its unit.
const METERS: [(&str, &str, &str); 8] = [
    ("kn_eventing_dispatch_latency_ms", "kn.eventing.dispatch.latency", "ms"),
    ("kn_eventing_process_latency_ms", "kn.eventing.process.latency", "ms"),
    ("kn_eventing_kafka_discarded_events_1", "kn.eventing.kafka.discarded_events", "1"),
    ("kn_eventing_kafka_skipped_offsets_1", "kn.eventing.kafka.skipped_offsets", "1"),
    ("kn_eventing_dispatch_in_flight_requests_1", "kn.eventing.dispatch.in_flight_requests", "1"),
    ("kn_eventing_kafka_executor_queue_latency_ms", "kn.eventing.kafka.executor_queue.latency", "ms"),
    ("kn_eventing_kafka_executor_queue_length_1", "kn.eventing.kafka.executor_queue.length", "1"),
    ("millrace_build_info", "millrace.build_info", ""),
];

/// Labels with an underscore that is not a dot.
const LABELS: [(&str, &str); 1] = [("http_response_status_code", "http.response.status_code")];

/// Ours: process and subject are joined by dots, the words of the rest stay together.
const OURS: [&str; 3] = ["millrace_ingress_", "millrace_dispatcher_", "millrace_"];

/// Name and unit of a metric.
pub(super) fn meter(name: &str) -> (String, &'static str) {
    let name = name.strip_suffix("_total").unwrap_or(name);
    if let Some((_, meter, unit)) = METERS.iter().find(|(known, ..)| *known == name) {
        return ((*meter).to_owned(), unit);
    }
    let ours = OURS.iter().find_map(|prefix| Some((prefix, name.strip_prefix(prefix)?)));
    match ours {
        Some((prefix, rest)) => (format!("{}{rest}", prefix.replace('_', ".")), ""),
        None => (name.replace('_', "."), ""),
    }
}

/// Name of a label that belongs to a metric.
pub(super) fn label(metric: &str, name: &str) -> String {
    if let Some((_, label)) = LABELS.iter().find(|(known, _)| *known == name) {
        return (*label).to_owned();
    }
    // The labels of the peer's meters had dots before Prometheus; ours never had.
    if metric.starts_with("kn_") || name.starts_with("kn_") { name.replace('_', ".") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_meters_have_their_own_names_and_units_again() {
        for (prometheus, name, unit) in [
            ("kn_eventing_dispatch_latency_ms", "kn.eventing.dispatch.latency", "ms"),
            ("kn_eventing_kafka_discarded_events_1_total", "kn.eventing.kafka.discarded_events", "1"),
            ("kn_eventing_dispatch_in_flight_requests_1", "kn.eventing.dispatch.in_flight_requests", "1"),
            ("millrace_ingress_requests_total", "millrace.ingress.requests", ""),
            ("millrace_dispatcher_in_flight_bytes", "millrace.dispatcher.in_flight_bytes", ""),
            ("millrace_spans_dropped_total", "millrace.spans_dropped", ""),
            ("process_open_fds", "process.open.fds", ""),
        ] {
            assert_eq!(meter(prometheus), (name.to_owned(), unit));
        }
    }

    #[test]
    fn the_peers_labels_have_dots_again() {
        let metric = "kn_eventing_dispatch_latency_ms";
        for (prometheus, name) in [
            ("cloudevents_type", "cloudevents.type"),
            ("http_response_status_code", "http.response.status_code"),
            ("kn_kafkachannel_namespace", "kn.kafkachannel.namespace"),
            ("messaging_consumer_group_name", "messaging.consumer.group.name"),
            ("messaging_destination_template", "messaging.destination.template"),
        ] {
            assert_eq!(label(metric, prometheus), name);
        }
        assert_eq!(label("millrace_dispatcher_events_total", "kn_trigger_name"), "kn.trigger.name");
        assert_eq!(label("millrace_ingress_requests_total", "some_label"), "some_label");
    }
}
