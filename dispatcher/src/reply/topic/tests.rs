//! What a broker's refusal to create a topic means, and what happens when the queue is full.

use millrace_runtime::metrics::Metrics;
use rdkafka::client::ClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;

#[test]
fn a_topic_that_may_not_be_created_is_a_matter_of_rights_and_one_that_is_there_already_is_none() {
    let refused = |code| created(&Err(("orders.undelivered".to_owned(), code)));
    assert!(refused(RDKafkaErrorCode::TopicAlreadyExists).is_ok());
    for code in [RDKafkaErrorCode::TopicAuthorizationFailed, RDKafkaErrorCode::ClusterAuthorizationFailed] {
        assert!(refused(code).unwrap_err().is_authorization(), "{code}");
    }
    assert!(!refused(RDKafkaErrorCode::PolicyViolation).unwrap_err().is_authorization());
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_wait_for_room_in_a_full_queue() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let client = [("bootstrap.servers", servers.as_str()), ("queue.buffering.max.messages", "2"), ("linger.ms", "20")];
    let client = client.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let producer = RecordProducer::new(&client.clone().into(), TokenContext::default(), Duration::from_secs(20));
    let event = Event::new("1", "/s", "t").unwrap();
    let stored = (0..10).map(|_| producer.store_event("orders", &event, Trace::default()));
    for result in futures_util::future::join_all(stored).await {
        result.unwrap();
    }
    let hasty = RecordProducer::new(&client.into(), TokenContext::default(), Duration::ZERO);
    let stored = (0..10).map(|_| hasty.store_event("orders", &event, Trace::default()));
    let stored = futures_util::future::join_all(stored).await;
    assert!(stored.iter().any(Result::is_err), "max.block.ms=0 waits for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_shows_itself_once_it_is_used() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let client = [("bootstrap.servers", servers.as_str()), ("linger.ms", "0")];
    let client = client.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let metrics = Metrics::new();
    let families = ProducerFamilies::register(&metrics).unwrap();
    let producer = RecordProducer::new(&client, TokenContext::default(), Duration::ZERO).measured(Some((families, 7)));
    let labels = r#"client_id="producer-7",kafka_version="librdkafka""#;
    let shows = |line: &str| metrics.text().lines().any(|shown| shown == line);
    assert!(!metrics.text().contains("producer-7"));
    let event = Event::new("1", "/s", "t").unwrap();
    producer.store_event("orders", &event, Trace::default()).await.unwrap();
    assert!(shows(&format!("kafka_producer_record_error_total{{{labels}}} 0")), "{}", metrics.text());
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    producer.store_event("orders", &event, Trace::default()).await.unwrap_err();
    assert!(shows(&format!("kafka_producer_record_error_total{{{labels}}} 1")), "{}", metrics.text());
    let statistics = br#"{"txmsgs":5,"topics":{"orders":{"partitions":{"0":{"txmsgs":5,"txbytes":50}}}}}"#;
    producer.producer().unwrap().client().context().stats_raw(statistics);
    assert!(shows(&format!("kafka_producer_topic_record_send_total{{{labels},topic=\"orders\"}} 5")));
}
