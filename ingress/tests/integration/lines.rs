//! The log lines of the peer that operators look for: level, text and fields.

use serde_json::{Value, json};

use super::harness::*;
use super::process::{Process, harness_with_target, spawn};

/// Waits for the line and compares its level and these fields.
async fn check(process: &mut Process, level: &str, message: &str, fields: Value) {
    let line = process.line(message).await;
    assert_eq!(line["level"], level, "{line}");
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} in {line}");
    }
}

#[tokio::test]
async fn the_lines_that_operators_look_for_are_there() {
    let broker = Broker::with_topic("orders");
    let mut harness = harness_with_target(&broker);
    let mut process = spawn(&harness);
    check(&mut process, "INFO", "Starting Receiver", json!({})).await;
    let port = process.line("Receiver started").await["port"].as_u64().unwrap();
    let address = ([127, 0, 0, 1], u16::try_from(port).unwrap()).into();
    for message in ["Set new contract", "Reconciling contract", "Reconciled contract generation"] {
        check(&mut process, "INFO", message, json!({"contractGeneration": 1})).await;
    }
    let diff = json!({"contractGeneration": 1, "diff": "added=1 updated=0 removed=0"});
    check(&mut process, "INFO", "Reconcile ingress diff", diff).await;

    assert_eq!(ask(address, event("/unknown")).await.status, 404);
    let unknown = json!({"path": "/unknown", "host": "localhost", "hostHeader": "localhost", "suppressed": 0});
    check(&mut process, "WARN", "Resource not found", unknown).await;
    assert_eq!(ask(address, "PUT /ns/name HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 405);
    check(&mut process, "WARN", "Method not allowed:", json!({"method": "PUT"})).await;
    assert_eq!(ask(address, request("/ns/name", &[("ce-specversion", "7")], "")).await.status, 400);
    check(&mut process, "WARN", "Failed to get cloudevent from request", json!({"path": "/ns/name"})).await;
    assert_eq!(ask(address, event("/ns/name")).await.status, 202);
    check(&mut process, "DEBUG", "Received event", json!({"event_id": "1", "path": "/ns/name"})).await;
    check(&mut process, "DEBUG", "Record produced", json!({"topic": "orders"})).await;

    // Nobody listens there; a path that leads nowhere is a contract's mistake.
    harness.write("config/producer.properties", "enable.idempotence=false\nmax.block.ms=300\n");
    let away = resource("uid-2", "unreachable", "127.0.0.1:1", json!({"path": "/away"}));
    harness.contract(&[away, resource("uid-3", "t", "127.0.0.1:1", json!({}))]);
    let new = json!({"id": "uid-3", "contractGeneration": 2});
    check(&mut process, "ERROR", "Failed to reconcile [onNewIngress] ingress", new).await;
    let failed = json!({"contractGeneration": 2, "failed": 1});
    check(&mut process, "ERROR", "Failed to reconcile contract generation", failed).await;
    until_status(address, &event("/away"), 503).await;
    check(&mut process, "ERROR", "Failed to send record", json!({"topic": "unreachable"})).await;
    check(&mut process, "WARN", "Failed to produce record", json!({"path": "/away"})).await;
    process.signal("TERM").await;
    check(&mut process, "INFO", "Running shutdown hook", json!({})).await;
}

#[tokio::test]
async fn a_start_that_fails_says_so_in_the_peers_words() {
    let mut harness = Harness::new();
    harness.env.remove("INGRESS_PORT");
    let mut process = spawn(&harness);
    check(&mut process, "ERROR", "Failed to startup the receiver", json!({})).await;
}
