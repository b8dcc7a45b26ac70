//! Control with its admin client: topics, the first offset of a new subscription, and `millrace dev --kafka`.

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::broker::{Broker, records};
use millrace_tests::directory::{Directory, channel_yaml, is_ready, subscription_yaml};
use millrace_tests::event::TestEvent;
use millrace_tests::folder::replace;
use millrace_tests::plane::{Ingress, Plane};
use millrace_tests::process::{Line, Program};
use millrace_tests::subscriber::Subscriber;

#[track_caller]
fn post(ingress: &Ingress, channel: &str, id: &str) {
    let answer = ingress.client().post("x", &format!("/shop/{channel}"), &TestEvent::new(id)).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[test]
fn a_channel_s_topic_is_created_with_its_partitions() {
    let Some(kafka) = Kafka::shared() else { return };
    let directory = Directory::on_kafka(kafka, Plane::new(kafka), &[("channel.yaml", &channel_yaml("created"))]);
    directory.wait_for_status("the channel ready", |status| is_ready(status, "channels", "created"));
    let described = kafka.tool(
        "org.apache.kafka.tools.TopicCommand",
        &["--describe", "--topic", "knative-messaging-kafka.shop.created"],
    );
    assert!(described.contains("PartitionCount: 2"), "{described}");
    assert!(described.contains("ReplicationFactor: 1"), "{described}");
}

#[test]
fn a_subscription_made_while_the_dispatcher_is_down_gets_what_comes_after_it_and_nothing_older() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    // As shipped for channels: a group without a committed offset would start at the end of the topic.
    let plane = Plane::new(kafka).with("consumer", "auto.offset.reset=latest");
    let directory = Directory::on_kafka(kafka, plane, &[("channel.yaml", &channel_yaml("latest"))]);
    directory.wait_for_status("the channel ready", |status| is_ready(status, "channels", "latest"));
    let ingress = &directory.ingress;
    post(ingress, "latest", "before");
    directory.write("sub.yaml", &subscription_yaml("sub", "latest", &subscriber.url("/in"), ""));
    directory.wait_for_subscription("sub");
    post(ingress, "latest", "after-1");
    post(ingress, "latest", "after-2");
    let _dispatcher = directory.start_dispatcher();
    subscriber.wait_for_ids("/in", &["after-1".to_owned(), "after-2".to_owned()], PATIENCE);
    post(ingress, "latest", "last");
    subscriber.wait_for_ids("/in", &["last".to_owned()], PATIENCE);
    assert_eq!(
        subscriber.count_on("/in"),
        3,
        "{:?}",
        subscriber.arrivals().iter().map(|arrival| &arrival.id).collect::<Vec<_>>()
    );
}

#[test]
fn dev_on_a_real_kafka_carries_an_event_to_its_subscriber() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::accepting();
    let folder = tempfile::tempdir().unwrap();
    let objects =
        format!("{}---\n{}", channel_yaml("dev"), subscription_yaml("sub", "dev", &subscriber.url("/in"), ""));
    replace(&folder.path().join("objects.yaml"), objects.as_bytes());
    let dev = Program::named("millrace").arg("dev").arg(folder.path()).arg("--port").arg("0");
    let mut dev = dev.arg("--kafka").arg(kafka.bootstrap()).start();
    let ready =
        |line: &Line, name: &str| line.as_str().is_some_and(|text| text.contains("ready") && text.contains(name));
    dev.wait_for_log("the subscription ready", PATIENCE, |line| ready(line, "shop/sub"));
    let line = dev.wait_for_log("the channel's URL", PATIENCE, |line| ready(line, "http://"));
    let url = line.as_str().unwrap().split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let (status, output) = Program::named("millrace").arg("send").arg(url).arg("--id").arg("a").run_to_end(PATIENCE);
    assert_eq!(status.code(), Some(0), "{output}");
    subscriber.wait_for_ids("/in", &["a".to_owned()], PATIENCE);
    assert_eq!(records::end_offsets(&kafka.bootstrap(), "knative-messaging-kafka.shop.dev").values().sum::<i64>(), 1);
    dev.terminate();
    assert_eq!(dev.wait_for_exit(PATIENCE).code(), Some(0), "{}", dev.output());
}
