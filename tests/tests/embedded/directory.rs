//! `millrace-control directory`: YAML files in; contract, topics and statuses out; then events through the whole.

use std::fs;
use std::sync::Arc;

use millrace_tests::PATIENCE;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::directory::{Directory, channel_yaml, is_ready, subscription_yaml};
use millrace_tests::event::TestEvent;
use millrace_tests::plane::wait_until_assigned;
use millrace_tests::subscriber::{Answer, Subscriber};
use serde_json::Value;

fn orders_on(broker: &Arc<EmbeddedBroker>, more: &[(&str, &str)]) -> Directory {
    let channel = channel_yaml("orders");
    let directory = Directory::on_embedded(broker, &[&[("channel.yaml", channel.as_str())], more].concat());
    directory.wait_for_status("the channel ready", |status| is_ready(status, "channels", "orders"));
    directory
}

#[test]
fn objects_in_a_folder_carry_an_event_to_its_subscribers_and_dead_letter_sink() {
    let subscriber = Subscriber::scripted(|arrival| Answer::status(if arrival.path == "/bad" { 500 } else { 202 }));
    let delivery = format!(
        "  delivery:\n    retry: 1\n    backoffPolicy: linear\n    backoffDelay: PT0.05S\n    deadLetterSink:\n      uri: {}\n",
        subscriber.url("/dls")
    );
    let good = subscription_yaml("good", "orders", &subscriber.url("/good"), "");
    let bad = subscription_yaml("bad", "orders", &subscriber.url("/bad"), &delivery);
    let broker = Arc::new(EmbeddedBroker::start());
    let directory = orders_on(&broker, &[("subscriptions.yaml", &format!("{good}---\n{bad}"))]);
    directory.wait_for_subscription("good");
    let status = directory.wait_for_subscription("bad");
    assert_eq!(status["channels"][0]["topic"], "knative-messaging-kafka.shop.orders");
    let contract = directory.contract();
    let resource = &contract["resources"][0];
    assert_eq!(resource["ingress"]["path"], "/shop/orders");
    assert_eq!(resource["egresses"].as_array().map(Vec::len), Some(2), "{contract}");

    let mut dispatcher = directory.start_dispatcher();
    for egress in resource["egresses"].as_array().unwrap() {
        wait_until_assigned(&mut dispatcher, egress["uid"].as_str().unwrap(), PATIENCE);
    }
    let answer = directory.ingress.client().post("x", "/shop/orders", &TestEvent::new("a")).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    subscriber.wait_for_arrivals("/good", 1, PATIENCE);
    let letters = subscriber.wait_for_arrivals("/dls", 1, PATIENCE);
    assert_eq!(letters[0].header("ce-knativeerrorcode"), Some("500"));
    assert_eq!(subscriber.count_on("/bad"), 2);
}

#[test]
fn files_that_come_change_and_go_take_effect_at_once() {
    let directory = orders_on(&Arc::new(EmbeddedBroker::start()), &[]);
    let first = directory.contract();
    let url = "http://127.0.0.1:9/in";
    directory.write("sub.yaml", &subscription_yaml("one", "orders", url, ""));
    directory.wait_for_subscription("one");
    let second = directory.contract();
    assert_eq!(second["resources"][0]["egresses"][0]["destination"], url);
    let generation = |contract: &Value| contract["generation"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(generation(&second) > generation(&first), "{first} then {second}");
    directory.remove("sub.yaml");
    directory.remove("channel.yaml");
    directory.wait_for_status("no channel", |status| status["channels"].as_array().is_some_and(Vec::is_empty));
    let last = directory.contract();
    assert!(last["resources"].as_array().is_none_or(Vec::is_empty), "{last}");
}

#[test]
fn a_bad_document_is_reported_with_file_line_and_field_and_hurts_nobody_else() {
    let directory = orders_on(&Arc::new(EmbeddedBroker::start()), &[]);
    let bad = "apiVersion: messaging.knative.dev/v1beta1\nkind: KafkaChannel\nmetadata:\n  name: bad\nspec:\n  numPartitions: many\n";
    directory.write("broken.yaml", &format!("{bad}---\nkind: [unclosed\n"));
    let status = directory.wait_for_status("problems of broken.yaml", |status| {
        let problems = status["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
        problems.iter().any(|problem| problem["file"].as_str().is_some_and(|file| file.ends_with("broken.yaml")))
    });
    assert!(status["problems"].to_string().contains("\"line\":"), "{status}");
    assert!(is_ready(&status, "channels", "orders"), "the good channel stays: {status}");
    assert_eq!(directory.contract()["resources"].as_array().map(Vec::len), Some(1));

    directory.write("broken.yaml", bad);
    let status = directory.wait_for_status("the field named", |status| {
        let problems = status["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
        problems.len() == 1 && problems[0].to_string().contains("numPartitions")
    });
    assert_eq!(status["problems"][0]["line"], 6, "{status}");
    directory.write("broken.yaml", &bad.replace("many", "1"));
    directory.wait_for_status("no problem left", |status| status["problems"].as_array().is_some_and(Vec::is_empty));
    directory.wait_for_status("the mended channel ready", |status| is_ready(status, "channels", "bad"));
}

#[test]
fn a_user_s_tuning_reaches_the_properties_files() {
    let tuning = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-kafka-channel-data-plane\n  namespace: knative-eventing\n\
                  data:\n  config-kafka-channel-producer.properties: |\n    linger.ms=7\n";
    let directory = orders_on(&Arc::new(EmbeddedBroker::start()), &[("tuning.yaml", tuning)]);
    let read = |name: &str| {
        fs::read_to_string(directory.state(&format!("config/config-kafka-channel-{name}.properties"))).unwrap()
    };
    assert_eq!(read("producer").trim(), "linger.ms=7");
    assert!(read("consumer").contains("max.poll.records"), "a file that the user does not give is the shipped one");
}

#[test]
fn control_ends_cleanly_when_told() {
    let mut directory = orders_on(&Arc::new(EmbeddedBroker::start()), &[]);
    let status = directory.control.stop(PATIENCE);
    assert_eq!(status.code(), Some(0), "{}", directory.control.output());
}
