//! The journeys of `millrace_tests::journeys` on the embedded broker.

use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::journeys::{crash, delivery, modes};

#[test]
fn an_event_posted_in_either_mode_is_stored_and_delivered_unchanged() {
    modes::check_both_modes_in(&EmbeddedBroker::start(), "modes");
}

#[test]
fn a_channel_of_structured_content_mode_stores_json_documents() {
    modes::check_structured_records(&EmbeddedBroker::start(), "structured");
}

#[test]
fn an_event_without_data_becomes_a_null_value() {
    modes::check_event_without_data(&EmbeddedBroker::start(), "nodata");
}

#[test]
fn a_failed_delivery_is_retried_until_it_succeeds() {
    delivery::check_retry(&EmbeddedBroker::start(), "retry");
}

#[test]
fn an_undeliverable_event_goes_to_the_dead_letter_sink_with_the_reason() {
    delivery::check_dead_letter(&EmbeddedBroker::start(), "dead");
}

#[test]
fn a_subscriber_that_never_answers_is_left_after_the_timeout() {
    delivery::check_timeout(&EmbeddedBroker::start(), "timeout");
}

#[test]
fn an_ordered_subscription_gets_one_event_at_a_time_per_partition() {
    delivery::check_order(&EmbeddedBroker::start(), "ordered");
}

#[test]
fn an_unordered_subscription_does_not_wait_for_a_slow_event() {
    delivery::check_unordered(&EmbeddedBroker::start(), "unordered");
}

#[test]
fn a_killed_dispatcher_loses_nothing() {
    crash::check_killed_dispatcher(&EmbeddedBroker::start(), "killed");
}

#[test]
fn ingress_and_dispatcher_told_to_end_lose_and_repeat_nothing() {
    crash::check_terminated(&EmbeddedBroker::start(), "terminated");
}
