//! The journeys of `millrace_tests::journeys` on a real Kafka.

use millrace_tests::broker::kafka::Kafka;
use millrace_tests::journeys::{crash, delivery, modes};

#[test]
fn an_event_posted_in_either_mode_is_stored_and_delivered_unchanged() {
    let Some(kafka) = Kafka::shared() else { return };
    modes::check_both_modes_in(kafka, "modes");
}

#[test]
fn a_channel_of_structured_content_mode_stores_json_documents() {
    let Some(kafka) = Kafka::shared() else { return };
    modes::check_structured_records(kafka, "structured");
}

#[test]
fn a_failed_delivery_is_retried_until_it_succeeds() {
    let Some(kafka) = Kafka::shared() else { return };
    delivery::check_retry(kafka, "retry");
}

#[test]
fn an_undeliverable_event_goes_to_the_dead_letter_sink_with_the_reason() {
    let Some(kafka) = Kafka::shared() else { return };
    delivery::check_dead_letter(kafka, "dead");
}

#[test]
fn an_ordered_subscription_gets_one_event_at_a_time_per_partition() {
    let Some(kafka) = Kafka::shared() else { return };
    delivery::check_order(kafka, "ordered");
}

#[test]
fn a_killed_dispatcher_loses_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    crash::check_killed_dispatcher(kafka, "killed");
}

#[test]
fn ingress_and_dispatcher_told_to_end_lose_and_repeat_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    crash::check_terminated(kafka, "terminated");
}
