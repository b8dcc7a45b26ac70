//! What Kafka has after a 202, to the byte.

use serde_json::json;

use super::harness::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[tokio::test]
async fn a_binary_record_has_the_attributes_in_order_and_the_body_as_it_came() {
    let (_harness, broker, running) = one_target().await;
    let headers = [
        ("content-type", "application/json"),
        ("Ce-Id", "id-1"),
        ("ce-time", "2020-07-06T09:23:12.100+00:00"),
        ("ce-subject", "caf%C3%A9"),
        ("ce-dataschema", "http://schema/x?a=%20b"),
        ("ce-partitionkey", "key-1"),
        ("x-other", "not an attribute"),
        ("tracestate", "vendor=1"),
        ("traceparent", PARENT),
        ("baggage", "k=v"),
    ];
    let answer = ask(running.address(), request("/ns/name?query=1", &headers, r#"{"a": 1.10}"#)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let record = broker.read("orders", 1).remove(0);
    assert_eq!(
        record.header_texts(),
        [
            ("traceparent", PARENT),
            ("tracestate", "vendor=1"),
            ("baggage", "k=v"),
            ("ce_specversion", "1.0"),
            ("ce_id", "id-1"),
            ("ce_source", "/test"),
            ("ce_type", "test.type"),
            ("content-type", "application/json"),
            ("ce_dataschema", "http://schema/x?a=%20b"),
            ("ce_subject", "café"),
            ("ce_time", "2020-07-06T09:23:12.1Z"),
            ("ce_partitionkey", "key-1"),
        ]
    );
    assert_eq!(record.key.as_deref(), Some(&b"key-1"[..]));
    assert_eq!(record.value.as_deref(), Some(&br#"{"a": 1.10}"#[..]));
}

#[tokio::test]
async fn an_event_without_data_is_a_null_value_and_without_a_partition_key_a_null_key() {
    let (_harness, broker, running) = one_target().await;
    assert_eq!(ask(running.address(), request("/ns/name", &[], "")).await.status, 202);
    let record = broker.read("orders", 1).remove(0);
    assert_eq!((record.key, record.value), (None, None));
}

#[tokio::test]
async fn keys_land_where_the_java_partitioner_puts_them() {
    let (_harness, broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    // toPositive(murmur2(key)) % 3, computed with the formula of Kafka's own client.
    let keys = ["a", "b", "key-1", "order-42", ""];
    for key in keys {
        assert_eq!(client.ask(request("/ns/name", &[("ce-partitionkey", key)], "x")).await.status, 202);
    }
    for record in broker.read("orders", keys.len()) {
        let key = record.key.unwrap();
        let expected = i32::try_from((murmur2(&key) & 0x7fff_ffff) % 3).unwrap();
        assert_eq!(record.partition, expected, "{}", String::from_utf8_lossy(&key));
    }
}

/// Kafka's 32-bit murmur2, written from its published definition.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(key.len()).unwrap();
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut word = u32::from_le_bytes(word.try_into().unwrap()).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    let rest = words.remainder();
    for (index, byte) in rest.iter().enumerate().rev() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[tokio::test]
async fn a_structured_event_becomes_a_binary_record_with_its_data_bytes() {
    let (_harness, broker, running) = one_target().await;
    let body = r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","data":{"a": 1.10},"count":3}"#;
    let headers = [("content-type", "application/cloudevents+json; charset=utf-8")];
    assert_eq!(ask(running.address(), request("/ns/name", &headers, body)).await.status, 202);
    let record = broker.read("orders", 1).remove(0);
    assert_eq!(record.header("ce_id"), Some("7"));
    assert_eq!(record.header("ce_count"), Some("3"));
    assert_eq!(record.header("content-type"), Some("application/json"));
    assert_eq!(record.value.as_deref(), Some(&br#"{"a": 1.10}"#[..]));
}

#[tokio::test]
async fn a_structured_target_stores_the_whole_event_as_json() {
    let broker = Broker::with_topic("orders");
    let mut harness = Harness::new();
    let ingress = json!({"path": "/sink", "contentMode": "STRUCTURED"});
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), ingress)]);
    let running = harness.ready().await;
    let headers = [("content-type", "application/json"), ("traceparent", PARENT), ("ce-partitionkey", "k")];
    assert_eq!(ask(running.address(), request("/sink", &headers, r#"{"a":1}"#)).await.status, 202);
    let record = broker.read("orders", 1).remove(0);
    assert_eq!(record.header_texts(), [("traceparent", PARENT), ("content-type", "application/cloudevents+json")]);
    assert_eq!(record.key.as_deref(), Some(&b"k"[..]));
    let value: serde_json::Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
    assert_eq!(
        value,
        json!({"specversion": "1.0", "id": "1", "source": "/test", "type": "test.type",
               "datacontenttype": "application/json", "partitionkey": "k", "data": {"a": 1}})
    );
}

#[tokio::test]
async fn an_invalid_traceparent_leaves_no_trace() {
    let (_harness, broker, running) = one_target().await;
    let headers = [("traceparent", "00-0-0-0"), ("tracestate", "a=1"), ("ce-traceparent", PARENT)];
    assert_eq!(ask(running.address(), request("/ns/name", &headers, "x")).await.status, 202);
    let record = broker.read("orders", 1).remove(0);
    assert_eq!((record.header("traceparent"), record.header("tracestate")), (None, None));
    assert_eq!(record.header("ce_traceparent"), Some(PARENT));
}

#[tokio::test]
async fn every_acknowledged_event_of_many_connections_is_stored_once() {
    let (_harness, broker, running) = one_target().await;
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..8 {
        let address = running.address();
        tasks.spawn(async move {
            let mut client = Client::connect(address).await;
            for number in 0..50 {
                let id = format!("{connection}-{number}");
                assert_eq!(client.ask(request("/ns/name", &[("ce-id", &id)], "x")).await.status, 202);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let mut ids: Vec<_> =
        broker.read("orders", 400).iter().map(|record| record.header("ce_id").unwrap().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 400);
}

#[tokio::test]
async fn events_are_measured_under_the_peers_names_and_shown_routes_are_those_in_force() {
    let (mut harness, _broker, running) = one_target().await;
    ask(running.address(), event("/ns/name")).await;
    ask(running.address(), request("/ns/name", &[("ce-time", "never")], "")).await;
    let text = admin(&running, "/metrics").await;
    let labels = r#"kn_kafkachannel_name="uid-1",kn_kafkachannel_namespace="ns"} 1"#;
    for (event_type, code) in [("test.type", "202"), ("unknown", "400")] {
        let line = format!(
            r#"kn_eventing_dispatch_latency_ms_count{{cloudevents_type="{event_type}",http_response_status_code="{code}",{labels}"#
        );
        assert!(text.contains(&line), "{text}");
    }
    let routes: serde_json::Value = serde_json::from_str(&admin(&running, "/debug/routes").await).unwrap();
    assert_eq!(routes["generation"], 1);
    let target = &routes["targets"][0];
    assert_eq!(
        (&target["uid"], &target["path"], &target["topic"], &target["contentMode"], &target["state"]),
        (&json!("uid-1"), &json!("/ns/name"), &json!("orders"), &json!("binary"), &json!("in force"))
    );
    harness.contract(&[]);
    until("metrics without the removed target", async || {
        (!admin(&running, "/metrics").await.contains("kn_kafkachannel_name")).then_some(())
    })
    .await;
}
