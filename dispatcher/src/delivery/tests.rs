//! Attempts over real connections, counted and timed against the pure model in `retry`.

use millrace_event::kafka_binding;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::partition::Shared;
use crate::testing::wire::{Step, WireSubscriber};
use crate::testing::{Script, Subscriber, keyed_record, shared, shared_to};

const LINEAR: &str = r#","egressConfig":{"retry":2,"backoffPolicy":"Linear","backoffDelay":"5","timeout":"20000"}"#;
const EXACT: &str = "millrace.retry.jitter=0\nmaxPoolSize=100";

/// Delivers the record of this offset to the subscriber of `shared`.
pub(super) async fn deliver_one(shared: &Shared, offset: i64) -> Result<Answer, Undelivered> {
    deliver_until(shared, offset, &CancellationToken::new()).await
}

async fn deliver_until(shared: &Shared, offset: i64, stopping: &CancellationToken) -> Result<Answer, Undelivered> {
    let pipeline = shared.pipeline.load();
    let record = keyed_record(offset, None);
    let event = kafka_binding::read(record.headers(), record.value()).unwrap();
    let origin = Origin { record: &record, trace: request::Trace::default() };
    let mut slot = shared.slots.clone().take(record.size_bytes(), stopping.clone()).await.unwrap();
    let body = Bytes::from_static(b"payload");
    deliver(&pipeline, Role::Subscriber, &pipeline.subscriber, &event, &body, origin, &mut slot).await
}

/// How many attempts there are when all fail alike, and the pauses between them.
fn model(retryable: bool) -> Vec<Duration> {
    if retryable { [5, 10].map(Duration::from_millis).into() } else { Vec::new() }
}

#[tokio::test]
async fn every_status_has_its_attempts_and_its_pauses() {
    let subscriber = Subscriber::start().await;
    let shared = shared(&subscriber, LINEAR, EXACT);
    for status in 200..=599_u16 {
        let before = subscriber.arrivals("/subscriber").len();
        subscriber.answer("/subscriber", &[Script::status(status)]);
        let result = deliver_one(&shared, i64::from(status)).await;
        assert_eq!(result.is_ok(), status < 300, "{status}");
        let arrivals = &subscriber.arrivals("/subscriber")[before..];
        let pauses = model(matches!(status, 404 | 408 | 409 | 429 | 500..));
        assert_eq!(arrivals.len(), 1 + pauses.len(), "attempts with {status}");
        for (pair, pause) in arrivals.windows(2).zip(pauses) {
            let found = pair[1].at - pair[0].at;
            assert!(
                found >= pause && found < pause + Duration::from_secs(5),
                "{status}: {found:?} instead of {pause:?}"
            );
        }
    }
}

#[tokio::test]
async fn every_kind_of_broken_connection_is_retried_like_a_status() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    for (what, steps) in [
        ("reset in the request", vec![Step::ReadSome, Step::Reset]),
        ("reset in the answer", vec![Step::Read, Step::Write(half), Step::Reset]),
        ("closed", vec![Step::Read]),
        ("half closed", vec![Step::Read, Step::HalfClose, Step::Hang]),
        ("a flood of interim answers", vec![Step::Read, Step::WriteForever(b"HTTP/1.1 100 Continue\r\n\r\n")]),
        ("a head without end", vec![Step::Read, Step::WriteForever(b"x-a: b\r\n")]),
    ] {
        let subscriber = WireSubscriber::start(steps).await;
        let shared = shared_to(&subscriber.url, LINEAR, EXACT);
        let began = Instant::now();
        let result = deliver_one(&shared, 1).await;
        assert!(matches!(result, Err(Undelivered::Failed(Failure::Transport(_)))), "{what}: {result:?}");
        assert_eq!(subscriber.requests(), 3, "{what}");
        assert!(began.elapsed() >= Duration::from_millis(15), "{what}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_retried_like_a_status() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let shared = shared_to(&format!("http://127.0.0.1:{port}"), LINEAR, EXACT);
    let began = Instant::now();
    let result = deliver_one(&shared, 1).await;
    assert!(matches!(result, Err(Undelivered::Failed(Failure::Connect(_)))), "{result:?}");
    assert!(began.elapsed() >= Duration::from_millis(15));
}

#[tokio::test]
async fn a_hung_subscriber_costs_each_attempt_its_time_and_no_more() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n".to_vec();
    for steps in [vec![Step::Read, Step::Hang], vec![Step::Read, Step::Write(head), Step::Hang]] {
        let subscriber = WireSubscriber::start(steps).await;
        let egress = LINEAR.replace("20000", "100");
        let shared = shared_to(&subscriber.url, &egress, EXACT);
        let began = Instant::now();
        let result = deliver_one(&shared, 1).await;
        assert!(matches!(result, Err(Undelivered::Failed(Failure::TimedOut(_)))), "{result:?}");
        assert_eq!((subscriber.requests(), subscriber.accepted()), (3, 3), "no connection is used again");
        let took = began.elapsed();
        assert!((Duration::from_millis(315)..Duration::from_secs(10)).contains(&took), "{took:?}");
    }
}

#[tokio::test]
async fn a_subscriber_that_asks_for_time_gets_it() {
    let subscriber = Subscriber::start().await;
    let busy = Script { headers: vec![("retry-after", "1")], ..Script::status(503) };
    subscriber.answer("/subscriber", &[busy, Script::status(200)]);
    let shared = shared(&subscriber, LINEAR, EXACT);
    deliver_one(&shared, 1).await.unwrap();
    let arrivals = subscriber.arrivals("/subscriber");
    assert_eq!(arrivals.len(), 2);
    assert!(arrivals[1].at - arrivals[0].at >= Duration::from_secs(1));
}

/// Which requests a subscriber turns away, counted over all events from 1.
type Pattern = fn(usize) -> bool;

#[tokio::test]
async fn patterns_of_failures_end_as_the_policy_predicts() {
    const REQUESTS: usize = 200;
    let first: Pattern = |n| n <= 4;
    let fibonacci: Pattern = |n| {
        let (mut a, mut b) = (1, 2);
        while a < n {
            (a, b) = (b, a + b);
        }
        a == n
    };
    let random: Pattern = |n| spread(0, i64::try_from(n).unwrap(), 1) < 0.6;
    for (name, fails) in [("first four", first), ("fibonacci", fibonacci), ("six of ten at random", random)] {
        let subscriber = Subscriber::start().await;
        let scripts: Vec<_> = (1..=REQUESTS).map(|n| Script::status(if fails(n) { 500 } else { 200 })).collect();
        subscriber.answer("/subscriber", &scripts);
        let shared = shared(&subscriber, &LINEAR.replace("\"5\"", "\"0\""), EXACT);
        let mut requests = 0;
        for event in 0..40 {
            let before = requests;
            let mut expected = false;
            while !expected && requests - before < 3 {
                requests += 1;
                expected = !fails(requests);
            }
            assert_eq!(deliver_one(&shared, event).await.is_ok(), expected, "{name}: event {event}");
            assert_eq!(subscriber.arrivals("/subscriber").len(), requests, "{name}: event {event}");
        }
    }
}

#[tokio::test]
async fn more_and_more_is_sent_at_a_time_to_a_subscriber_that_can_take_it() {
    let subscriber = Subscriber::start().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(gate.clone()), ..Script::status(200) }]);
    let shared = shared(&subscriber, LINEAR, "maxPoolSize=1000");
    let deliveries = futures_util::future::join_all((0..300).map(|offset| deliver_one(&shared, offset)));
    let released = async {
        subscriber.wait("/subscriber", 50).await;
        gate.add_permits(50);
        // A hundred under way, none of them answered.
        subscriber.wait("/subscriber", 150).await;
        gate.add_permits(250);
    };
    let (results, ()) = tokio::join!(deliveries, released);
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test]
async fn stopping_ends_the_wait_for_a_connection_at_once() {
    let subscriber = WireSubscriber::start(vec![Step::Read, Step::Hang]).await;
    let shared = shared_to(&subscriber.url, LINEAR, "maxPoolSize=1");
    let stopping = CancellationToken::new();
    let first = deliver_one(&shared, 1);
    let second = deliver_until(&shared, 2, &stopping);
    tokio::pin!(first, second);
    while subscriber.requests() == 0 {
        assert!(futures_util::poll!(&mut first).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(futures_util::poll!(&mut second).is_pending());
    stopping.cancel();
    assert!(matches!(second.await, Err(Undelivered::Abandoned)));
    assert_eq!(subscriber.accepted(), 1);
}

#[tokio::test]
async fn a_failed_attempt_is_shown_with_its_next_retry() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &[Script::status(503)]);
    let shared = shared(&subscriber, &LINEAR.replace("\"5\"", "\"60000\""), EXACT);
    let stopping = CancellationToken::new();
    let delivery = deliver_until(&shared, 1, &stopping);
    tokio::pin!(delivery);
    let live = &shared.pipeline.load().live;
    while live.last_error().is_none() {
        assert!(futures_util::poll!(&mut delivery).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = live.last_error().unwrap();
    assert_eq!(
        (error.role, error.attempt, error.error.as_str()),
        ("subscriber", 1, "answered 503 Service Unavailable")
    );
    let due = live.next_retry_ms().unwrap() - error.at_ms;
    assert_eq!(due, 60_000);
}

#[tokio::test]
async fn the_rate_limiter_of_the_control_plane_limits_ordered_subscriptions() {
    const FLAG: &str = r#","vReplicas":2,"featureFlags":{"enableRateLimiter":true},"deliveryOrder":"#;
    let subscriber = Subscriber::start().await;
    // Ten go at once, and then ten a second.
    for (order, properties, pauses) in [
        ("\"ORDERED\"", "max.poll.records=5", 500),
        ("\"UNORDERED\"", "max.poll.records=5", 0),
        ("\"UNORDERED\"", "max.poll.records=5\nmillrace.rate.max=10", 500),
        ("\"ORDERED\"", "max.poll.records=5000\nmillrace.rate.max=10", 500),
    ] {
        let shared = shared(&subscriber, &format!("{FLAG}{order}"), properties);
        let began = Instant::now();
        for offset in 0..15 {
            deliver_one(&shared, offset).await.unwrap();
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(pauses), "{order} {properties}: {took:?}");
        let rate = shared.pipeline.load().subscriber.pressure.settings().rate.map(|rate| rate.per_second);
        assert_eq!(rate, (pauses > 0).then_some(10), "{order} {properties}");
    }
}
