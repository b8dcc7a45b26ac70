//! Apache Kafka's own tools look at what Millrace wrote and at its groups.

use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::{self, Kafka};
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::Subscription;
use millrace_tests::event::TestEvent;
use millrace_tests::journeys::Whole;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::wait_for;

#[test]
fn the_console_consumer_prints_headers_key_and_value_of_a_stored_event() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    let whole = Whole::start(kafka, "console", 2, Subscription::new("all", subscriber.url("/in")));
    whole.post(&TestEvent::new("a").with("partitionkey", "k1").with("subject", "s"));
    let topic = whole.channel.topic();
    let args = ["--topic", &topic, "--from-beginning", "--max-messages", "1", "--timeout-ms", "20000"];
    let option = if kafka::version().starts_with("3.") { "--property" } else { "--formatter-property" };
    let shown = [option, "print.headers=true", option, "print.key=true"];
    let printed = kafka.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &[&args[..], &shown[..]].concat());
    let headers = "ce_specversion:1.0,ce_id:a,ce_source:/tests/harness,ce_type:dev.millrace.test,content-type:application/json,\
                   ce_subject:s,ce_partitionkey:k1";
    assert_eq!(printed.trim_end(), format!("{headers}\tk1\t{{\"n\":\"a\"}}"));
}

#[test]
fn a_dispatcher_that_is_told_to_end_leaves_its_group_at_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    let mut whole = Whole::start(kafka, "leaver", 2, Subscription::new("all", subscriber.url("/in")));
    whole.post(&TestEvent::new("a"));
    subscriber.wait_for_arrivals("/in", 1, PATIENCE);
    let group = whole.channel.group("all");
    assert_eq!(kafka.members(&group), 1);
    let status = whole.dispatcher.stop(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
    // The session timeout is 6 s: a member that did not leave would still be there.
    wait_for("the group to be empty", Duration::from_secs(2), || match kafka.members(&group) {
        0 => Ok(()),
        count => Err(format!("{count} members")),
    });
    let committed = records::committed(&kafka.bootstrap(), &group, &whole.channel.topic());
    assert_eq!(committed.values().sum::<i64>(), 1, "the delivered record is committed: {committed:?}");
}
