//! What client errors mean, and who shares a producer.

use std::time::Duration;

use millrace_config::env::AwsEnv;
use millrace_config::properties::{Properties, kafka};
use millrace_runtime::kafka_tokens::KafkaTokens;
use millrace_runtime::metrics::Metrics;
use millrace_runtime::metrics::kafka_producer::ProducerFamilies;
use rdkafka::mocking::MockCluster;

use super::pool::{Key, Pool};
use super::*;

fn settings(properties: &[(&str, &str)]) -> Settings {
    kafka::producer(&Properties::from_iter(properties.iter().copied())).unwrap()
}

fn no_tokens(drain: &Drain) -> KafkaTokens {
    KafkaTokens::new(AwsEnv::default(), drain.clone())
}

fn key(bootstrap_servers: &str) -> Key {
    Key {
        bootstrap_servers: bootstrap_servers.to_owned(),
        credentials: Credentials::plaintext(),
        tokens: None,
        content_mode: ContentMode::Binary,
        revision: 0,
    }
}

#[track_caller]
fn check(code: RDKafkaErrorCode, expected: &str) {
    let found = format!("{:?}", meaning(KafkaError::MessageProduction(code), "orders"));
    assert!(found.starts_with(expected), "{code:?} became {found}");
}

#[test]
fn client_errors_mean_what_the_sender_can_do() {
    check(RDKafkaErrorCode::MessageSizeTooLarge, "TooLarge");
    check(RDKafkaErrorCode::QueueFull, "QueueFull");
    check(RDKafkaErrorCode::MessageTimedOut, "TimedOut");
    check(RDKafkaErrorCode::UnknownTopicOrPartition, "UnknownTopic");
    check(RDKafkaErrorCode::UnknownTopic, "UnknownTopic");
    check(RDKafkaErrorCode::TopicAuthorizationFailed, "NotAllowed");
    check(RDKafkaErrorCode::PurgeQueue, "Closed");
    check(RDKafkaErrorCode::NotEnoughReplicas, "Client");
    assert!(matches!(meaning(KafkaError::Canceled, "orders"), ProduceError::Client { .. }));
}

#[test]
fn librdkafka_takes_the_default_settings_and_says_what_it_does_not_take() {
    let plaintext = Credentials::plaintext();
    assert!(Client::create("localhost:1", &plaintext, &settings(&[]), None, None).is_ok());
    let mut wrong = settings(&[]);
    wrong.client.insert("no.such.key".to_owned(), "1".to_owned());
    let error = Client::create("localhost:1", &plaintext, &wrong, None, None).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "cannot create a Kafka producer for localhost:1");
    assert!(millrace_runtime::startup::with_causes(&error).contains("no.such.key"));
}

#[test]
fn the_properties_bound_what_is_under_way_and_for_how_long() {
    let settings = settings(&[
        ("buffer.memory", "65536"),
        ("millrace.ingress.queue.max", "7"),
        ("max.block.ms", "1000"),
        ("delivery.timeout.ms", "32000"),
    ]);
    let client = Client::create("localhost:1", &Credentials::plaintext(), &settings, None, None).unwrap();
    let producer = Producer::new(client, &settings, Drain::new(Duration::ZERO));
    assert_eq!((producer.patience, producer.deadline), (Duration::from_secs(1), Duration::from_secs(33)));
    let share = producer.share();
    assert!(share.admit(65_537).is_err());
    let admitted: Vec<_> = std::iter::from_fn(|| share.admit(1).ok()).collect();
    assert_eq!(admitted.len(), 3);
}

#[tokio::test]
async fn what_the_client_tells_of_itself_is_measured_under_the_producers_number() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 1, 1).unwrap();
    let metrics = Metrics::new();
    let drain = Drain::new(Duration::from_secs(30));
    let mut pool = Pool::new(drain.clone(), Some(ProducerFamilies::register(&metrics).unwrap()), no_tokens(&drain));
    let mut settings = settings(&[("enable.idempotence", "false")]);
    settings.client.insert("statistics.interval.ms".to_owned(), "20".to_owned());
    let producer = pool.get(&key(&cluster.bootstrap_servers()), &settings).unwrap();
    let event = millrace_event::json::read(br#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#).unwrap();
    let outgoing = Outgoing { topic: "orders", content_mode: ContentMode::Binary, event: &event, trace: &[] };
    let begun = producer.begin(&outgoing, producer.share().admit(1).unwrap()).unwrap();
    producer.finish(begun, "orders").await.unwrap();
    let labels = r#"{client_id="producer-1",kafka_version="librdkafka"}"#;
    let expected = format!("kafka_producer_record_send_total{labels} 1\n");
    let shown = async {
        while !metrics.text().contains(&expected) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), shown).await.unwrap_or_else(|_| panic!("{}", metrics.text()));
    assert!(metrics.text().contains(&format!("kafka_producer_record_error_total{labels} 0\n")));
    drop(producer);
    assert!(drain.finish().await);
    assert!(!metrics.text().contains("producer-1"), "{}", metrics.text());
}

#[tokio::test]
async fn equal_keys_share_a_producer_until_the_last_user_goes_and_then_it_closes() {
    let drain = Drain::new(Duration::from_secs(30));
    let mut pool = Pool::new(drain.clone(), None, no_tokens(&drain));
    let settings = settings(&[]);
    let first = pool.get(&key("localhost:1"), &settings).unwrap();
    let same = pool.get(&key("localhost:1"), &settings).unwrap();
    let structured = Key { content_mode: ContentMode::Structured, ..key("localhost:1") };
    let revised = Key { revision: 1, ..key("localhost:1") };
    let others = [key("localhost:2"), structured, revised].map(|key| pool.get(&key, &settings).unwrap());
    assert!(Arc::ptr_eq(&first, &same));
    assert!(others.iter().all(|other| !Arc::ptr_eq(&first, other)));
    assert_eq!(pool.len(), 4);

    let closing = Arc::downgrade(&first);
    drop(first);
    assert!(closing.upgrade().is_some());
    drop(same);
    assert!(closing.upgrade().is_none());
    assert_eq!(pool.len(), 3);
    drop(others);
    // Closing happens on threads that a drain waits for.
    assert!(drain.finish().await);
}
