//! What client errors mean, and who shares a producer.

use std::time::Duration;

use millrace_config::properties::{Properties, kafka};

use super::pool::{Key, Pool};
use super::*;

fn settings(properties: &[(&str, &str)]) -> Settings {
    kafka::producer(&Properties::from_iter(properties.iter().copied())).unwrap()
}

fn key(bootstrap_servers: &str) -> Key {
    Key {
        bootstrap_servers: bootstrap_servers.to_owned(),
        credentials: Credentials::plaintext(),
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
    assert!(Client::create("localhost:1", &plaintext, &settings(&[])).is_ok());
    let mut wrong = settings(&[]);
    wrong.client.insert("no.such.key".to_owned(), "1".to_owned());
    let error = Client::create("localhost:1", &plaintext, &wrong).map(drop).unwrap_err();
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
    let client = Client::create("localhost:1", &Credentials::plaintext(), &settings).unwrap();
    let producer = Producer::new(client, &settings, Drain::new(Duration::ZERO));
    assert_eq!((producer.patience, producer.deadline), (Duration::from_secs(1), Duration::from_secs(33)));
    let share = producer.share();
    assert!(share.admit(65_537).is_err());
    let admitted: Vec<_> = std::iter::from_fn(|| share.admit(1).ok()).collect();
    assert_eq!(admitted.len(), 3);
}

#[tokio::test]
async fn equal_keys_share_a_producer_until_the_last_user_goes_and_then_it_closes() {
    let drain = Drain::new(Duration::from_secs(30));
    let mut pool = Pool::new(drain.clone());
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
