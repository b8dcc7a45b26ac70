//! Every answer, in the order of the decisions.

use serde_json::{Value, json};

use super::harness::*;

#[track_caller]
fn check_problem(answer: &Answer, status: u16, detail: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((&problem["status"], &problem["type"]), (&json!(status), &json!("about:blank")));
    assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    assert_eq!(answer.header("date"), None);
    assert_eq!(answer.header("server"), None);
}

#[track_caller]
fn check_empty(answer: &Answer, status: u16) {
    assert_eq!((answer.status, answer.header("content-length"), answer.body.as_str()), (status, Some("0"), ""));
    assert_eq!((answer.header("content-type"), answer.header("date")), (None, None));
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_stored_event_is_202_with_an_empty_body() {
    let (_harness, _broker, running) = one_target().await;
    let answer = ask(running.address(), event("/ns/name")).await;
    check_empty(&answer, 202);
    assert_eq!(answer.head, "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
}

#[tokio::test]
async fn probes_need_neither_a_host_nor_a_contract() {
    let harness = Harness::new();
    let running = harness.start().await;
    check_empty(&ask(running.address(), "GET /healthz HTTP/1.0\r\n\r\n").await, 200);
    check_empty(&ask(running.address(), get("/readyz", "")).await, 503);
    harness.write("contract/data", "");
    let answer = until_status(running.address(), &get("/readyz", ""), 200).await;
    check_empty(&answer, 200);
    check_problem(&ask(running.address(), "HEAD /healthz HTTP/1.0\r\n\r\n".replace("HEAD", "PUT")).await, 405, "POST");
}

#[tokio::test]
async fn any_method_but_post_is_405_before_anything_is_looked_up() {
    let (_harness, _broker, running) = one_target().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "post"] {
        for path in ["/ns/name", "/unknown"] {
            let answer = ask(running.address(), event(path).replace("POST", method)).await;
            check_problem(&answer, 405, "POST");
            assert_eq!(answer.header("allow"), Some("POST"));
        }
    }
}

#[tokio::test]
async fn an_unknown_path_and_host_is_404_and_a_missing_host_400() {
    let (_harness, _broker, running) = one_target().await;
    check_problem(&ask(running.address(), event("/unknown")).await, 404, "nothing accepts");
    let without_host = event("/unknown").replace("Host: localhost\r\n", "");
    check_problem(&ask(running.address(), &without_host).await, 400, "Host");
    check_problem(&ask(running.address(), without_host.replace("HTTP/1.1", "HTTP/1.0")).await, 404, "nothing");
    let without_host = event("/ns/name").replace("Host: localhost\r\n", "");
    check_empty(&ask(running.address(), without_host).await, 202);
}

#[tokio::test]
async fn the_control_planes_probe_tells_served_from_unknown() {
    let (_harness, _broker, running) = one_target().await;
    let probe = "K-Network-Probe: probe\r\nK-Network-Hash: abc\r\n";
    let answer = ask(running.address(), get("/ns/name", probe)).await;
    check_empty(&answer, 200);
    assert_eq!(answer.header("k-network-hash"), Some("abc"));
    check_problem(&ask(running.address(), get("/unknown", probe)).await, 404, "");
    let answer = ask(running.address(), get("/ns/name", "K-Network-Probe: probe\r\n")).await;
    check_empty(&answer, 200);
    assert_eq!(answer.header("k-network-hash"), None);
    check_problem(&ask(running.address(), get("/ns/name", "K-Network-Probe: no\r\n")).await, 405, "");
}

#[tokio::test]
async fn a_guarded_target_takes_nothing_while_tokens_cannot_be_checked() {
    let broker = Broker::with_topic("orders");
    let mut harness = Harness::new();
    let ingress = json!({"path": "/guarded", "audience": "aud"});
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), ingress)]);
    let running = harness.ready().await;
    let mut client = Client::connect(running.address()).await;
    for authorization in ["", "Bearer", "Basic dXNlcjpwYXNzd29yZA=="] {
        let answer = client.ask(request("/guarded", &[("Authorization", authorization)], "hello")).await;
        check_problem(&answer, 401, "bearer token");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    // On one connection all the time: refused bodies do not stall it.
    let answer = client.ask(request("/guarded", &[("Authorization", "Bearer a.b.c")], "hello")).await;
    check_problem(&answer, 500, "OIDC is not loaded");
    let probe = get("/guarded", "K-Network-Probe: probe\r\n");
    check_empty(&client.ask(probe).await, 200);
}

#[tokio::test]
async fn what_is_not_an_event_is_400_with_the_reason() {
    let (_harness, _broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    let check = async |client: &mut Client, headers: &[(&str, &str)], body: &str, detail: &str| {
        check_problem(&client.ask(request("/ns/name", headers, body)).await, 400, detail);
    };
    check(&mut client, &[("ce-specversion", "2.0")], "", "specversion").await;
    check(&mut client, &[("ce-source", "has space")], "", "source").await;
    check(&mut client, &[("ce-time", "yesterday")], "", "time").await;
    check(&mut client, &[("ce-my_ext", "x")], "", "my_ext").await;
    check(&mut client, &[("content-type", "application/cloudevents+json")], "[]", "JSON").await;
    check(&mut client, &[("content-type", "application/cloudevents-batch+xml")], "<a/>", "not supported").await;
    let plain = "POST /ns/name HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    check_problem(&client.ask(plain).await, 400, "CloudEvent");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_by_its_length_or_when_it_gets_there() {
    let broker = Broker::with_topic("orders");
    let mut harness = Harness::new();
    harness.write("config/producer.properties", "enable.idempotence=false\nmax.request.size=2000\n");
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    let running = harness.ready().await;
    let body = "x".repeat(2001);
    let declared = ask(running.address(), request("/ns/name", &[], &body)).await;
    check_problem(&declared, 413, "2000 bytes");
    let head = request("/ns/name", &[], "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let chunked = format!("{head}3e8\r\n{}\r\n3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1000), "x".repeat(1001));
    check_problem(&ask(running.address(), chunked).await, 413, "2000 bytes");
    // The body fits, the record with its headers does not: librdkafka says so.
    let answer = ask(running.address(), request("/ns/name", &[("ce-subject", &body)], &"x".repeat(1999))).await;
    check_problem(&answer, 413, "larger");
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
}

#[tokio::test]
async fn a_long_request_line_is_414_and_large_headers_are_431_and_both_end_the_connection() {
    let (_harness, _broker, running) = one_target().await;
    let cases = [
        (event(&long_path(4096)), 414),
        (event(&long_path(60_000)), 414),
        (event(&long_path(65_530)), 414),
        (event(&long_path(100_000)), 414),
        (event(&long_path(1_000_000)), 414),
        (request("/ns/name", &[("x-large", &"x".repeat(8192))], ""), 431),
        (request("/ns/name", &[("x-large", &"x".repeat(60_000))], ""), 431),
        (request("/ns/name", &[("x-large", &"x".repeat(200_000))], ""), 431),
    ];
    for (request, status) in cases {
        let mut client = Client::connect(running.address()).await;
        let answer = client.ask(request).await;
        check_problem(&answer, status, "bytes");
        client.closed().await;
    }
    let many: String = (0..2000).map(|number| format!("a{number}: b\r\n")).collect();
    let many = event("/ns/name").replace("ce-id", &format!("{many}ce-id"));
    check_problem(&ask(running.address(), many).await, 431, "bytes");
    assert_eq!(ask(running.address(), event(&long_path(4000))).await.status, 404);
    assert_eq!(ask(running.address(), request("/ns/name", &[("x", &"x".repeat(8000))], "")).await.status, 202);
}

#[tokio::test]
async fn broken_http_is_refused_with_a_reason_and_ends_the_connection() {
    let (_harness, _broker, running) = one_target().await;
    for (request, status, detail) in [
        ("nonsense\r\n\r\n", 400, "well-formed"),
        ("POST /ns/name HTTP/1.1\r\nno colon\r\n\r\n", 400, "well-formed"),
        ("POST / HTTP/9.9\r\n\r\n", 501, "HTTP/1.1"),
        ("GET /healthz HTTP/2.0\r\n\r\n", 501, "HTTP/1.1"),
        ("POST /ns/name HTTP/1.1\nHost: x\n\n", 400, "CR LF"),
    ] {
        let mut client = Client::connect(running.address()).await;
        let answer = client.ask(request).await;
        check_problem(&answer, status, detail);
        assert_eq!(answer.header("connection"), Some("close"));
        client.closed().await;
    }
    // What was asked before is answered first.
    let mut client = Client::connect(running.address()).await;
    client.write(event("/ns/name") + "nonsense\r\n\r\n").await;
    check_empty(&client.answer().await, 202);
    check_problem(&client.answer().await, 400, "well-formed");
    client.closed().await;
}
