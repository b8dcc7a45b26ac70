//! Many events in one request, and bodies that come compressed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::{Value, json};

use super::harness::*;

const BATCH: &str = "application/cloudevents-batch+json";

fn events(count: usize) -> Vec<Value> {
    let event = |id: usize| json!({"specversion": "1.0", "id": id.to_string(), "source": "/batch", "type": "t", "partitionkey": "k", "data": id});
    (0..count).map(event).collect()
}

fn batch(events: &[Value]) -> String {
    request("/ns/name", &[("content-type", BATCH)], &Value::from(events).to_string())
}

/// Index and status of each result in a refusal.
fn results(answer: &Answer) -> Vec<(u64, u64)> {
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], json!(answer.status));
    let results = problem["results"].as_array().unwrap();
    results.iter().map(|result| (result["index"].as_u64().unwrap(), result["status"].as_u64().unwrap())).collect()
}

/// Two events, of which the first was refused; the second shared its fate if it shared its request to Kafka.
#[track_caller]
fn check_refused(answer: &Answer, status: u64) {
    let results = results(answer);
    assert!(results == [(0, status), (1, status)] || results == [(0, status), (1, 202)], "{results:?}");
}

async fn target_with(producer: &str, http: &str) -> (Harness, Broker, millrace_ingress::app::Running) {
    let broker = Broker::with_topic("orders");
    let mut harness = Harness::new();
    harness.write("config/producer.properties", &format!("enable.idempotence=false\nlinger.ms=0\n{producer}"));
    harness.write("config/httpserver.properties", &format!("host=127.0.0.1\n{http}"));
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    let running = harness.ready().await;
    (harness, broker, running)
}

#[tokio::test]
async fn a_batch_is_202_when_all_of_it_is_stored_in_order() {
    let (_harness, broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    let answer = client.ask(batch(&events(100))).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, ""));
    let records = broker.read("orders", 100);
    let ids: Vec<_> = records.iter().map(|record| record.header("ce_id").unwrap().to_owned()).collect();
    assert_eq!(ids, (0..100).map(|id| id.to_string()).collect::<Vec<_>>());
    assert!(records.iter().all(|record| record.key.as_deref() == Some(b"k")));
    // Each event's data is its number.
    assert!(records.iter().all(|record| record.value.as_deref() == record.header("ce_id").map(str::as_bytes)));
    // Nothing in it is nothing to store.
    assert_eq!(client.ask(batch(&[])).await.status, 202);
    let metrics = admin(&running, "/metrics").await;
    assert!(metrics.contains(r#"_count{cloudevents_type="t",http_response_status_code="202""#), "{metrics}");
}

#[tokio::test]
async fn one_bad_event_keeps_all_of_its_batch_out() {
    let (_harness, broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    let mut mixed = events(4);
    mixed[1] = json!({"specversion": "1.0"});
    mixed[3] = json!(7);
    let answer = client.ask(batch(&mixed)).await;
    assert_eq!((answer.status, results(&answer)), (400, vec![(1, 400), (3, 400)]));
    assert!(answer.body.contains("none was stored") && answer.body.contains("id is missing"), "{}", answer.body);
    for body in ["", "{}", "[1", "null"] {
        let refused = client.ask(request("/ns/name", &[("content-type", BATCH)], body)).await;
        assert_eq!(refused.status, 400, "{body}");
    }
    assert_eq!(client.ask(request("/ns/name", &[("ce-id", "after")], "x")).await.status, 202);
    let records = broker.read("orders", 1);
    assert_eq!(records[0].header("ce_id"), Some("after"));
}

#[tokio::test]
async fn a_batch_with_too_many_events_is_413_and_one_that_finds_no_place_503() {
    let (_harness, _broker, running) =
        target_with("millrace.ingress.queue.max=8\n", "millrace.ingress.batch.max=5\n").await;
    let mut client = Client::connect(running.address()).await;
    assert_eq!(client.ask(batch(&events(4))).await.status, 202);
    assert_eq!(client.ask(batch(&events(6))).await.status, 413);
    // Half of the queue is the most that one target gets.
    let answer = client.ask(batch(&events(5))).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    assert_eq!(client.ask(batch(&events(4))).await.status, 202);
}

#[tokio::test]
async fn what_kafka_refuses_of_a_batch_is_told_by_index() {
    let (_harness, _broker, running) = target_with("max.request.size=2000\n", "").await;
    let mut client = Client::connect(running.address()).await;
    assert_eq!(client.ask(batch(&events(1))).await.status, 202);
    // All of it together is bounded as one event is.
    let mut large = events(2);
    large[1]["subject"] = json!("x".repeat(2000));
    assert_eq!(client.ask(batch(&large)).await.status, 413);
    // One for each record: whether they share a request is up to the client.
    for (error, status, retry_after) in [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 413, None),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, 503, Some("3")),
    ] {
        // A cluster of its own for each, because the client remembers refusals for a while. One error for each record:
        // whether they share a request is up to the client.
        let (_harness, broker, running) = target_with("millrace.ingress.retry.after.ms=2500\n", "").await;
        let mut client = Client::connect(running.address()).await;
        assert_eq!(client.ask(batch(&events(1))).await.status, 202);
        broker.0.request_errors(RDKafkaApiKey::Produce, &[error; 2]);
        let answer = client.ask(batch(&events(2))).await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after), "{answer:?}");
        check_refused(&answer, status.into());
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compressed(body: &[u8]) -> Vec<u8> {
    let head = request("/ns/name", &[("Content-Encoding", "gzip")], "");
    let head = head.replace("Content-Length: 0", &format!("Content-Length: {}", body.len()));
    [head.into_bytes(), body.to_vec()].concat()
}

#[tokio::test]
async fn compressed_bodies_are_stored_as_they_come_unless_the_settings_say_otherwise() {
    let (_harness, broker, running) = one_target().await;
    assert_eq!(ask(running.address(), compressed(&gzip(b"hello"))).await.status, 202);
    assert_eq!(broker.read("orders", 1)[0].value, Some(gzip(b"hello")));
    let (_harness, broker, running) = target_with("max.request.size=100000\n", "decompressionSupported=true\n").await;
    let mut client = Client::connect(running.address()).await;
    assert_eq!(client.ask(compressed(&gzip(b"hello"))).await.status, 202);
    assert_eq!(client.ask(compressed(b"nonsense")).await.status, 400);
    let bomb = gzip(&vec![0; 50_000_000]);
    assert!(bomb.len() < 100_000);
    let answer = client.ask(compressed(&bomb)).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(client.ask(event("/ns/name")).await.status, 202);
    let records = broker.read("orders", 2);
    assert!(records.iter().all(|record| record.value.as_deref() == Some(b"hello")));
}
