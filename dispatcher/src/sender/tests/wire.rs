//! Answers as no server should give them, and connections that are kept or not.

use std::io::Write as _;
use std::time::Instant;

use super::*;
use crate::testing::wire::{Step, WireSubscriber, answering};

const OK: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

fn sender(subscriber: &WireSubscriber, properties: &str) -> Sender {
    let settings = http_client::http_client(&grammar::parse(properties.as_bytes()).unwrap()).unwrap();
    Sender::new(&subscriber.url.parse().unwrap(), &settings, &TrustedRoots::default()).unwrap()
}

fn outgoing(answer: AnswerBody) -> Outgoing {
    Outgoing { headers: HeaderMap::new(), body: Bytes::from_static(b"data"), answer }
}

async fn send(sender: &Sender, timeout: Duration) -> Result<Answer, Failure> {
    let connection = sender.connection().await?;
    connection.attempt(outgoing(AnswerBody::Wanted), timeout).await
}

/// One attempt against these steps; the time that it took must be near nothing.
async fn quick(steps: Vec<Step>, properties: &str) -> Result<Answer, Failure> {
    let subscriber = WireSubscriber::start(steps).await;
    let began = Instant::now();
    let result = send(&sender(&subscriber, properties), Duration::from_secs(60)).await;
    assert!(began.elapsed() < Duration::from_secs(20), "it was only the deadline that ended this: {result:?}");
    result
}

#[track_caller]
fn check_broken_off(what: &str, result: Result<Answer, Failure>) {
    match result {
        Err(failure @ Failure::Transport(_)) => assert!(failure.retryable(), "{what}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_time_is_a_failure_that_may_heal() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    for (what, steps) in [
        ("reset while the request is read", vec![Step::ReadSome, Step::Reset]),
        ("reset before the answer", vec![Step::Read, Step::Reset]),
        ("reset within the head", vec![Step::Read, Step::Write(b"HTTP/1.1 200 OK\r\nconte".to_vec()), Step::Reset]),
        ("reset within the body", vec![Step::Read, Step::Write(half.clone()), Step::Reset]),
        ("closed before the answer", vec![Step::Read]),
        ("half closed before the answer", vec![Step::Read, Step::HalfClose, Step::Hang]),
        ("half closed within the body", vec![Step::Read, Step::Write(half), Step::HalfClose, Step::Hang]),
    ] {
        check_broken_off(what, quick(steps, "").await);
    }
}

#[tokio::test]
async fn an_answer_cut_short_fails_also_where_nobody_wants_its_body() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let subscriber = WireSubscriber::start(answering(half)).await;
    let sender = sender(&subscriber, "");
    let connection = sender.connection().await.unwrap();
    check_broken_off("cut", connection.attempt(outgoing(AnswerBody::Ignored), TIMEOUT).await);
}

#[tokio::test]
async fn answers_that_are_not_http_are_failures() {
    for (what, answer) in [
        ("no HTTP", b"220 mail.example ESMTP\r\n".to_vec()),
        ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx".to_vec()),
        ("length below zero", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_vec()),
        ("length that is no number", b"HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n".to_vec()),
        ("chunk that is none", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec()),
        ("chunks without end", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n".to_vec()),
    ] {
        check_broken_off(what, quick(answering(answer), "").await);
    }
}

#[tokio::test]
async fn a_longer_body_than_announced_is_cut_and_its_connection_not_used_again() {
    let steps =
        vec![Step::Read, Step::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokrubbish".to_vec()), Step::Hang];
    let subscriber = WireSubscriber::start(steps).await;
    let sender = sender(&subscriber, "");
    for _ in 0..2 {
        assert_eq!(send(&sender, TIMEOUT).await.unwrap().body, "ok");
        subscriber.wait_for_closed(1).await;
    }
    assert_eq!(subscriber.accepted(), 2);
}

#[tokio::test]
async fn heads_are_bounded_in_all_ways() {
    let headers = |bytes: usize| {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_vec();
        for number in 0..bytes / 100 {
            answer.extend(format!("x-{number:04}: {}\r\n", "v".repeat(90)).into_bytes());
        }
        answer.extend(b"\r\n");
        answer
    };
    let reason = |bytes: usize| format!("HTTP/1.1 200 {}\r\ncontent-length: 0\r\n\r\n", "r".repeat(bytes)).into_bytes();
    assert!(quick(answering(headers(8_000)), "").await.is_ok());
    check_broken_off("more than maxHeaderSize", quick(answering(headers(9_000)), "").await);
    check_broken_off("64 KiB", quick(answering(headers(65_536)), "").await);
    assert!(quick(answering(headers(60_000)), "maxHeaderSize=65536").await.is_ok());
    check_broken_off("less allowed", quick(answering(headers(2_000)), "maxHeaderSize=1000").await);
    assert!(quick(answering(reason(4_000)), "").await.is_ok());
    check_broken_off("more than maxInitialLineLength", quick(answering(reason(4_200)), "").await);
    check_broken_off("a head without end", quick(vec![Step::Read, Step::WriteForever(b"x-a: b\r\n")], "").await);
}

#[tokio::test]
async fn interim_answers_are_passed_over_but_not_without_end() {
    let interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(quick(answering(interim), "").await.unwrap().body, "ok");
    check_broken_off(
        "a flood",
        quick(vec![Step::Read, Step::WriteForever(b"HTTP/1.1 100 Continue\r\n\r\n")], "").await,
    );
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_ends_the_attempt_and_its_connection() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n".to_vec();
    for steps in [
        vec![Step::Read, Step::Hang],
        vec![Step::Read, Step::Write(head.clone()), Step::Hang],
        vec![Step::Read, Step::Write(head), Step::Trickle(b"0123456789", 100), Step::Hang],
        vec![Step::Read, Step::Trickle(b"HTTP/1.1 200 OK\r\n", 50), Step::Hang],
    ] {
        let subscriber = WireSubscriber::start(steps).await;
        let sender = sender(&subscriber, "");
        let limit = Duration::from_millis(200);
        for _ in 0..2 {
            let began = Instant::now();
            let failure = send(&sender, limit).await.unwrap_err();
            assert!(matches!(failure, Failure::TimedOut(_)), "{failure}");
            assert!(began.elapsed() >= limit && began.elapsed() < limit * 20, "{:?}", began.elapsed());
        }
        assert_eq!(
            (subscriber.accepted(), subscriber.requests()),
            (2, 2),
            "a connection with half an answer is not used again"
        );
    }
}

#[tokio::test]
async fn connections_are_kept_for_the_next_request_unless_told_otherwise() {
    let again = vec![Step::Read, Step::Write(OK.to_vec()), Step::Again];
    for (properties, connections) in [("", 1), ("keepAlive=false", 3)] {
        let subscriber = WireSubscriber::start(again.clone()).await;
        let sender = sender(&subscriber, properties);
        for _ in 0..3 {
            send(&sender, TIMEOUT).await.unwrap();
        }
        assert_eq!(subscriber.accepted(), connections, "{properties}");
    }
}

#[tokio::test]
async fn an_unused_connection_is_closed_in_the_time_of_each_setting() {
    let steps = |answer: &[u8]| vec![Step::Read, Step::Write(answer.to_vec()), Step::Again];
    let kept = b"HTTP/1.1 204 No Content\r\nKeep-Alive: max=5, timeout=1\r\n\r\n";
    for (properties, answer) in [
        ("idleTimeout=300\nidleTimeoutUnit=MILLISECONDS", OK),
        ("readIdleTimeout=300\nidleTimeoutUnit=MILLISECONDS", OK),
        ("writeIdleTimeout=300\nidleTimeoutUnit=MILLISECONDS", OK),
        ("keepAliveTimeout=1", OK),
        ("poolCleanerPeriod=20", kept.as_slice()),
    ] {
        let subscriber = WireSubscriber::start(steps(answer)).await;
        let sender = sender(&subscriber, properties);
        send(&sender, TIMEOUT).await.unwrap();
        subscriber.wait_for_closed(1).await;
        send(&sender, TIMEOUT).await.unwrap();
        assert_eq!(subscriber.accepted(), 2, "{properties}");
    }
}

#[tokio::test]
async fn a_connection_without_traffic_is_closed_also_while_it_waits_for_an_answer() {
    for key in ["idleTimeout", "readIdleTimeout"] {
        let properties = format!("{key}=100\nidleTimeoutUnit=MILLISECONDS");
        check_broken_off(key, quick(vec![Step::Read, Step::Hang], &properties).await);
    }
    let slow = vec![Step::Read, Step::Trickle(OK, 10), Step::Hang];
    assert!(quick(slow, "idleTimeout=2000\nidleTimeoutUnit=MILLISECONDS").await.is_ok(), "any traffic counts");
}

#[tokio::test]
async fn no_more_connections_are_open_than_the_pool_has_and_no_more_wait_than_may() {
    let steps = vec![Step::Read, Step::Trickle(OK, 5), Step::Again];
    let subscriber = WireSubscriber::start(steps).await;
    let sender = sender(&subscriber, "maxPoolSize=2\nmaxWaitQueueSize=3");
    let attempts = (0..6).map(|_| send(&sender, TIMEOUT));
    let results = futures_util::future::join_all(attempts).await;
    let crowded = results.iter().filter(|result| matches!(result, Err(Failure::Crowded { waiting: 3 }))).count();
    assert_eq!((crowded, results.iter().filter(|result| result.is_ok()).count()), (1, 5));
    assert_eq!(subscriber.open_most(), 2);
    assert!(send(&sender, TIMEOUT).await.is_ok(), "nobody waits any more");
}

#[tokio::test]
async fn compressed_answers_are_asked_for_and_read_only_if_the_operator_wants_them() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"no room").unwrap();
    let body = encoder.finish().unwrap();
    let answer = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body.clone()].concat()
    };
    let wanted = "decompressionSupported=true";
    assert_eq!(quick(answering(answer("200 OK")), wanted).await.unwrap().body, "no room");
    assert_eq!(quick(answering(answer("200 OK")), "").await.unwrap().body, body);
    match quick(answering(answer("503 Service Unavailable")), wanted).await {
        Err(Failure::Status { body, .. }) => assert_eq!(body, "no room"),
        other => panic!("{other:?}"),
    }
}
