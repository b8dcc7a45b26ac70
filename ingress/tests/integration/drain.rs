//! Leaving without losing what was accepted.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::harness::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_requests_are_answered_and_nothing_new_is_taken() {
    let (_harness, broker, running) = one_target().await;
    let address = running.address();
    let mut idle = Client::connect(address).await;
    assert_eq!(idle.ask(event("/ns/name")).await.status, 202);
    broker.0.broker_round_trip_time(1, Duration::from_secs(1)).unwrap();
    let mut waiting = Client::connect(address).await;
    waiting.write(event("/ns/name")).await;
    until("a request in flight", async || {
        admin(&running, "/metrics").await.contains("millrace_ingress_in_flight_requests 1\n").then_some(())
    })
    .await;
    let (drained, answer) = tokio::join!(running.drain(), async {
        idle.closed().await;
        until("a closed port", async || TcpStream::connect(address).await.is_err().then_some(())).await;
        waiting.answer().await
    });
    assert!(drained);
    assert_eq!((answer.status, answer.header("connection")), (202, Some("close")));
    broker.0.broker_round_trip_time(1, Duration::ZERO).unwrap();
    assert_eq!(broker.read("orders", 2).len(), 2);
}

#[tokio::test]
async fn draining_ends_at_its_deadline_when_kafka_never_answers() {
    let (mut harness, broker, first) = one_target().await;
    assert!(first.drain().await);
    harness.env.insert("MILLRACE_DRAIN_SECONDS".to_owned(), "2".to_owned());
    let running = harness.ready().await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    broker.0.broker_down(1).unwrap();
    let mut waiting = Client::connect(running.address()).await;
    waiting.write(event("/ns/name")).await;
    until("a request in flight", async || {
        admin(&running, "/metrics").await.contains("millrace_ingress_in_flight_requests 1\n").then_some(())
    })
    .await;
    let begun = Instant::now();
    assert!(!running.drain().await);
    assert!(begun.elapsed() < Duration::from_secs(4), "took {:?}", begun.elapsed());
}

#[tokio::test]
async fn an_idle_process_leaves_at_once() {
    let (_harness, _broker, running) = one_target().await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
    let begun = Instant::now();
    assert!(running.drain().await);
    assert!(begun.elapsed() < Duration::from_secs(3), "took {:?}", begun.elapsed());
}

#[tokio::test]
async fn clients_that_do_not_hear_are_left_soon() {
    let (_harness, _broker, running) = one_target().await;
    let mut silent = TcpStream::connect(running.address()).await.unwrap();
    // HTTP/2, and then nobody reads: the settings of the server, its farewell and its ping stay unanswered.
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut halfway = TcpStream::connect(running.address()).await.unwrap();
    halfway.write_all(b"POST /ns/name HTTP/1.1\r\nHost:").await.unwrap();
    until("both connections", async || {
        admin(&running, "/metrics").await.contains("millrace_ingress_connections 2\n").then_some(())
    })
    .await;
    let begun = Instant::now();
    assert!(running.drain().await);
    assert!(begun.elapsed() < Duration::from_secs(8), "took {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_connection_opened_just_before_the_signal_still_brings_its_first_request() {
    let (_harness, _broker, running) = one_target().await;
    let address = running.address();
    let mut fresh = Client::connect(address).await;
    let (drained, answer) = tokio::join!(running.drain(), async {
        until("a closed port", async || TcpStream::connect(address).await.is_err().then_some(())).await;
        fresh.ask(event("/ns/name")).await
    });
    assert!(drained);
    assert_eq!((answer.status, answer.header("connection")), (202, Some("close")));
}
