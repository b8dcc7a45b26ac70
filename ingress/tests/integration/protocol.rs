//! Connections: what may share one, what ends one, and HTTP/2 without TLS.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::harness::*;

#[tokio::test]
async fn a_connection_serves_many_requests_good_and_bad() {
    let (_harness, _broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    for (path, status) in [("/ns/name", 202), ("/unknown", 404), ("/ns/name", 202), ("/ns/name/", 202)] {
        assert_eq!(client.ask(event(path)).await.status, status);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_harness, broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    let requests = [event("/ns/name"), event("/unknown"), event("/ns/name").replace("POST", "PUT"), event("/ns/name")];
    client.write(requests.concat()).await;
    for status in [202, 404, 405, 202] {
        assert_eq!(client.answer().await.status, status);
    }
    assert_eq!(broker.read("orders", 2).len(), 2);
}

#[tokio::test]
async fn a_request_may_arrive_in_any_pieces() {
    let (_harness, broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    client.stream.set_nodelay(true).unwrap();
    for byte in event("/ns/name").as_bytes().chunks(7) {
        client.write(byte).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.status, 202);
    let head = request("/ns/name", &[], "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    client.write(format!("{head}2\r\nhe\r\n")).await;
    client.write("3\r\nllo\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 202);
    for record in broker.read("orders", 2) {
        assert_eq!(record.value.as_deref(), Some(&b"hello"[..]));
    }
}

#[tokio::test]
async fn the_client_decides_how_long_a_connection_lives() {
    let (_harness, _broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    let answer = client.ask(request("/ns/name", &[("Connection", "close")], "x")).await;
    assert_eq!((answer.status, answer.header("connection")), (202, Some("close")));
    client.closed().await;
    let mut client = Client::connect(running.address()).await;
    let answer = client.ask(event("/ns/name").replace("HTTP/1.1", "HTTP/1.0")).await;
    assert_eq!(answer.status, 202);
    client.closed().await;
}

/// The head of a request that announces `hello` and waits to be asked for it.
fn expecting(path: &str) -> String {
    let request = request(path, &[("Expect", "100-continue")], "hello");
    request.strip_suffix("hello").unwrap().to_owned()
}

#[tokio::test]
async fn a_client_that_waits_for_continue_waits_in_vain_unless_the_settings_say_otherwise() {
    let (_harness, _broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    client.write(event("/ns/name") + &expecting("/ns/name")).await;
    assert_eq!(client.answer().await.status, 202);
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(300), client.answer()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    // It loses patience and sends.
    assert_eq!(client.ask("hello").await.status, 202);
    assert_eq!(client.ask(event("/ns/name")).await.status, 202);
}

#[tokio::test]
async fn a_client_that_waits_for_continue_gets_it_if_so_set_and_only_where_its_body_is_wanted() {
    let (harness, _broker, _) = one_target().await;
    harness.write("config/httpserver.properties", "host=127.0.0.1\nhandle100ContinueAutomatically=true\n");
    let running = harness.ready().await;
    let mut client = Client::connect(running.address()).await;
    assert_eq!(client.ask(expecting("/ns/name")).await.status, 100);
    assert_eq!(client.ask("hello").await.status, 202);
    let mut client = Client::connect(running.address()).await;
    assert_eq!(client.ask(expecting("/unknown")).await.status, 404);
    client.closed().await;
}

#[tokio::test]
async fn a_sender_of_a_huge_refused_body_still_reads_the_answer() {
    let (_harness, _broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    // More than the sockets buffer, so that the client is still writing when it is answered.
    let answer = client.ask(request("/unknown", &[], &"x".repeat(6 * 1024 * 1024))).await;
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
    client.closed().await;
}

#[tokio::test]
async fn a_head_or_body_that_never_ends_is_given_up_and_an_idle_connection_is_not() {
    let (harness, _broker, _) = one_target().await;
    harness.write(
        "config/httpserver.properties",
        "host=127.0.0.1\nmillrace.ingress.header.timeout.ms=200\nmillrace.ingress.body.timeout.ms=200\n",
    );
    let running = harness.ready().await;
    let mut idle = Client::connect(running.address()).await;
    assert_eq!(idle.ask(event("/ns/name")).await.status, 202);
    let mut slow_head = Client::connect(running.address()).await;
    slow_head.write("POST /ns/name HTTP/1.1\r\nHost: x\r\n").await;
    slow_head.closed().await;
    let mut slow_body = Client::connect(running.address()).await;
    slow_body.write(event("/ns/name").strip_suffix("llo").unwrap()).await;
    assert_eq!(slow_body.answer().await.status, 408);
    slow_body.closed().await;
    // Both took longer than the limit, and this one was idle all the while.
    assert_eq!(idle.ask(event("/ns/name")).await.status, 202);
}

#[tokio::test]
async fn an_idle_timeout_ends_a_connection_without_traffic() {
    let (harness, _broker, _) = one_target().await;
    harness.write("config/httpserver.properties", "host=127.0.0.1\nidleTimeout=100\nidleTimeoutUnit=MILLISECONDS\n");
    let running = harness.ready().await;
    let mut client = Client::connect(running.address()).await;
    assert_eq!(client.ask(event("/ns/name")).await.status, 202);
    client.closed().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let (harness, _broker, _) = one_target().await;
    harness.write("config/httpserver.properties", "host=127.0.0.1\nmillrace.ingress.connections.max=1\n");
    let running = harness.ready().await;
    let mut first = until("a place for the first connection", async || {
        let mut client = Client::connect(running.address()).await;
        client.write(event("/ns/name")).await;
        tokio::time::timeout(std::time::Duration::from_millis(200), client.answer()).await.ok().map(|_| client)
    })
    .await;
    let mut second = Client::connect(running.address()).await;
    second.write(event("/ns/name")).await;
    assert_eq!(first.ask(event("/ns/name")).await.status, 202);
    drop(first);
    assert_eq!(second.answer().await.status, 202);
}

#[tokio::test]
async fn http_2_works_with_prior_knowledge() {
    let (_harness, broker, running) = one_target().await;
    let stream = TcpStream::connect(running.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { connection.await.unwrap() });
    let mut ask = async |path: &str, body: &'static str| {
        let request = Request::post(format!("http://localhost{path}"))
            .version(Version::HTTP_2)
            .header("ce-specversion", "1.0")
            .header("ce-id", "1")
            .header("ce-source", "/test")
            .header("ce-type", "t")
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .unwrap();
        within("an HTTP/2 answer", sender.send_request(request)).await.unwrap()
    };
    let answer = ask("/ns/name", "hello").await;
    assert_eq!((answer.status().as_u16(), answer.version()), (202, Version::HTTP_2));
    assert!(answer.headers().get("date").is_none());
    let answer = ask("/unknown", "hello").await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (404, &"application/problem+json".parse().unwrap())
    );
    assert_eq!(ask("/ns/name/", "again").await.status().as_u16(), 202);
    assert_eq!(ask(&long_path(5000), "").await.status().as_u16(), 414);
    assert_eq!(ask("/ns/name", "").await.status().as_u16(), 202);
    // One refused stream is not the end of the others: nothing of it lingers.
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(10)).await;
    tokio::time::resume();
    assert_eq!(ask("/ns/name", "").await.status().as_u16(), 202);
    assert_eq!(broker.read("orders", 4).len(), 4);
}

#[tokio::test]
async fn a_port_in_use_is_named_at_start() {
    let (mut harness, _broker, running) = one_target().await;
    harness.env.insert("INGRESS_PORT".to_owned(), running.address().port().to_string());
    let settings = millrace_ingress::settings::Settings::read(&harness.env).unwrap();
    let problems = millrace_ingress::app::start(settings).await.unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert!(problem.contains("INGRESS_PORT") && problem.contains(&running.address().port().to_string()), "{problem}");
}
