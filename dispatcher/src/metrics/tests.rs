//! Names and labels as dashboards select them.

use millrace_config::contract;

use super::*;
use crate::outcome::{Answer, Failure};
use crate::testing::{keyed_record, metrics_env};

fn egress(flags: &str) -> Arc<Egress> {
    let contract = format!(
        r#"{{"generation":"1","resources":[{{"uid":"r","topics":["orders"],"bootstrapServers":"b:1","egresses":[
        {{"uid":"e","consumerGroup":"g","destination":"http://s/","deliveryOrder":"ORDERED",
        "reference":{{"namespace":"shop","name":"billing","kind":"Trigger"}}{flags}}}]}}]}}"#
    );
    Arc::clone(&contract::parse(contract.as_bytes()).unwrap().resources[0].egresses[0])
}

fn text(wanted: &MetricsEnv, flags: &str) -> String {
    let metrics = Metrics::new();
    let egress = DispatcherMetrics::register(&metrics, wanted).unwrap().egress(&egress(flags));
    let status = StatusCode::SERVICE_UNAVAILABLE;
    egress.processed("order", Duration::from_millis(1));
    egress.dispatched("order", Some(StatusCode::OK), Duration::from_millis(1));
    egress.dispatched("order", None, Duration::from_millis(1));
    egress.invalid();
    egress.skipped(3);
    egress.queued(&keyed_record(7, None), 2);
    egress.finished(Outcome::Delivered, &keyed_record(7, None));
    let _in_flight = egress.in_flight(Role::DeadLetterSink);
    let failure = Failure::Status { status, headers: Box::default(), body: bytes::Bytes::new() };
    egress.attempts.ended(Role::Subscriber, &Err(failure));
    egress
        .attempts
        .ended(Role::Reply, &Ok(Answer { status, headers: http::HeaderMap::new(), body: bytes::Bytes::new() }));
    metrics.text()
}

const OWNER: &str = r#"kn_trigger_name="billing",kn_trigger_namespace="shop""#;
const GROUP: &str = r#"messaging_consumer_group_name="billing""#;

#[test]
fn the_peer_s_metrics_have_its_names_and_labels() {
    let text = text(&metrics_env(), "");
    for line in [
        format!(
            r#"kn_eventing_dispatch_latency_ms_count{{cloudevents_type="order",http_response_status_code="200",{OWNER},{GROUP}}} 1"#
        ),
        format!(
            r#"kn_eventing_dispatch_latency_ms_count{{cloudevents_type="order",http_response_status_code="",{OWNER},{GROUP}}} 1"#
        ),
        format!(
            r#"kn_eventing_dispatch_latency_ms_bucket{{cloudevents_type="order",http_response_status_code="200",{OWNER},{GROUP},le="50.0"}} 1"#
        ),
        format!(r#"kn_eventing_process_latency_ms_count{{cloudevents_type="order",{OWNER},{GROUP}}} 1"#),
        format!(
            r#"kn_eventing_kafka_discarded_events_1_total{{cloudevents_type="InvalidCloudEvent",{OWNER},{GROUP}}} 1"#
        ),
        format!(
            r#"kn_eventing_kafka_skipped_offsets_1_total{{cloudevents_type="OffsetSkippingCloudEvent",{OWNER},{GROUP}}} 3"#
        ),
        format!(
            r#"kn_eventing_dispatch_in_flight_requests_1{{{OWNER},{GROUP},messaging_destination_template="deadLetterSink",messaging_operation_name="send",messaging_operation_type="send"}} 1"#
        ),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(text.contains("kn_eventing_dispatch_latency_ms_max{"), "{text}");
}

#[test]
fn ours_tell_outcomes_attempts_and_age() {
    let text = text(&metrics_env(), "");
    for line in [
        format!(r#"millrace_dispatcher_events_total{{{OWNER},{GROUP},outcome="delivered"}} 1"#),
        format!(r#"millrace_dispatcher_events_total{{{OWNER},{GROUP},outcome="lost"}} 0"#),
        format!(r#"millrace_dispatcher_attempts_total{{{OWNER},{GROUP},result="503",role="subscriber"}} 1"#),
        format!(r#"millrace_dispatcher_attempts_total{{{OWNER},{GROUP},result="delivered",role="reply"}} 1"#),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_queue_of_an_ordered_partition_is_measured_with_its_flag_only() {
    let flag = r#","featureFlags":{"enableOrderedExecutorMetrics":true}"#;
    let labels = r#"messaging_destination_name="orders",messaging_destination_partition_id="0""#;
    let with = text(&metrics_env(), flag);
    assert!(
        with.contains(&format!("kn_eventing_kafka_executor_queue_length_1{{{OWNER},{GROUP},{labels}}} 2")),
        "{with}"
    );
    assert!(with.contains(&format!("kn_eventing_kafka_executor_queue_latency_ms_count{{{OWNER},{GROUP},{labels}}} 1")));
    assert!(!text(&metrics_env(), "").contains("executor_queue"));
}

#[test]
fn the_label_for_the_type_can_be_switched_off() {
    let wanted = MetricsEnv { disable_event_type: true, ..metrics_env() };
    let text = text(&wanted, "");
    assert!(text.contains(r#"cloudevents_type="unknown""#) && !text.contains(r#"cloudevents_type="order""#), "{text}");
}
