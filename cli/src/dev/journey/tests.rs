//! The order of rows and their looks.

use super::*;
use crate::console::Paint;

fn stored(event_id: &str) -> Step {
    Step::Stored(Stored {
        event_id: event_id.to_owned(),
        topic: "knative-messaging-kafka.default.orders".to_owned(),
        partition: 0,
        offset: 12,
        elapsed_ms: Some(1.14),
        size_bytes: None,
    })
}

fn attempt(event_id: &str, subscription: &str, number: i64, status: i64, outcome: AttemptOutcome) -> Step {
    Step::Attempt(Attempt {
        event_id: event_id.to_owned(),
        subscription: subscription.to_owned(),
        role: AttemptRole::Subscriber,
        target: "http://127.0.0.1:9/x".to_owned(),
        number,
        status: Some(status),
        error: None,
        elapsed_ms: Some(0.8),
        outcome,
        retry_in_ms: (outcome == AttemptOutcome::Retry).then_some(200.0),
    })
}

fn delivered(event_id: &str, subscription: &str) -> Step {
    attempt(event_id, subscription, 1, 202, AttemptOutcome::Delivered)
}

fn finished(outcome: FinishOutcome) -> Step {
    Step::Finished(Finished {
        event_id: "a".to_owned(),
        subscription: "plain".to_owned(),
        topic: "t".to_owned(),
        partition: 0,
        offset: 1,
        outcome,
    })
}

fn answer(event_id: &str, status: u16) -> Accepted {
    Accepted {
        event_id: event_id.to_owned(),
        status,
        elapsed_ms: 3.4,
        url: "http://127.0.0.1:8080/default/orders".to_owned(),
    }
}

#[track_caller]
fn check(shown: &[Row], expected: &[&str]) {
    let steps: Vec<&str> = shown.iter().map(|row| row.step).collect();
    assert_eq!(steps, expected);
}

#[test]
fn a_delivery_that_is_read_first_waits_for_the_record() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    check(&journeys.step(&delivered("a", "plain"), now), &[]);
    check(&journeys.step(&stored("a"), now), &["accepted", "delivered"]);
    check(&journeys.step(&delivered("a", "other"), now), &["delivered"]);
}

#[test]
fn everything_waits_for_the_senders_answer_if_it_was_announced() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    check(&journeys.expect_answer("a"), &[]);
    check(&journeys.step(&stored("a"), now), &[]);
    check(&journeys.step(&delivered("a", "plain"), now), &[]);
    check(&journeys.accepted(&answer("a", 202), now), &["accepted", "stored", "delivered"]);
}

#[test]
fn the_answer_is_shown_at_once() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    check(&journeys.expect_answer("a"), &[]);
    check(&journeys.accepted(&answer("a", 202), now), &["accepted"]);
    check(&journeys.step(&stored("a"), now), &["stored"]);
}

#[test]
fn an_answer_that_is_no_success_is_called_refused() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    check(&journeys.accepted(&answer("a", 503), now), &["refused"]);
}

#[test]
fn an_event_produced_by_someone_else_is_shown_after_a_moment() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    check(&journeys.step(&delivered("a", "plain"), now), &[]);
    check(&journeys.overdue(now + HELD_AT_MOST / 2), &[]);
    check(&journeys.overdue(now + HELD_AT_MOST), &["delivered"]);
    check(&journeys.overdue(now + HELD_AT_MOST * 2), &[]);
    check(&journeys.step(&delivered("a", "other"), now), &["delivered"]);
}

#[test]
fn events_do_not_wait_for_one_another() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    check(&journeys.step(&delivered("a", "plain"), now), &[]);
    check(&journeys.step(&stored("b"), now), &["accepted"]);
}

#[test]
fn memory_is_bounded_and_nothing_held_is_forgotten() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    check(&journeys.step(&delivered("first", "plain"), now), &[]);
    for number in 1..REMEMBERED {
        check(&journeys.step(&stored(&number.to_string()), now), &["accepted"]);
    }
    check(&journeys.step(&stored("one more"), now), &["delivered", "accepted"]);
    assert_eq!(journeys.by_event.len(), REMEMBERED);
}

#[test]
fn only_ends_that_no_attempt_has_shown_have_a_row() {
    for (outcome, expected) in [
        (FinishOutcome::Delivered, None),
        (FinishOutcome::DeadLettered, None),
        (FinishOutcome::Filtered, Some("filtered")),
        (FinishOutcome::Undelivered, Some("undelivered")),
        (FinishOutcome::Lost, Some("LOST")),
        (FinishOutcome::Invalid, Some("no event")),
    ] {
        let (mut journeys, now) = (Journeys::default(), Instant::now());
        check(&journeys.step(&stored("a"), now), &["accepted"]);
        check(&journeys.step(&finished(outcome), now), expected.as_slice());
    }
}

#[test]
fn a_journey_is_a_readable_table() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    let mut rows = journeys.expect_answer("order-1");
    rows.extend(journeys.accepted(&answer("order-1", 202), now));
    rows.extend(journeys.step(&stored("order-1"), now));
    rows.extend(journeys.step(&delivered("order-1", "plain"), now));
    rows.extend(journeys.step(&attempt("order-1", "flaky", 1, 503, AttemptOutcome::Retry), now));
    rows.extend(journeys.step(&attempt("order-1", "failing", 2, 500, AttemptOutcome::Failed), now));
    rows.extend(journeys.step(
        &Step::Attempt(Attempt {
            event_id: "order-1".to_owned(),
            subscription: "failing".to_owned(),
            role: AttemptRole::DeadLetterSink,
            target: "http://127.0.0.1:9/dead".to_owned(),
            number: 1,
            status: Some(202),
            error: None,
            elapsed_ms: Some(0.9),
            outcome: AttemptOutcome::Delivered,
            retry_in_ms: None,
        }),
        now,
    ));
    let mut table = Table::new(Paint::PLAIN);
    let mut text = vec![table.head()];
    text.extend(rows.iter().map(|row| table.render(row)));
    let expected = "\
EVENT         STEP         STATUS  TRY      TIME  WHERE
order-1       accepted        202         3.4 ms  http://127.0.0.1:8080/default/orders
              stored                      1.1 ms  knative-messaging-kafka.default.orders  partition 0 offset 12
              delivered       202    1    0.8 ms  plain
              retry           503    1    0.8 ms  flaky, again in 200 ms
              failed          500    2    0.8 ms  failing, not tried again
              dead letter     202    1    0.9 ms  failing -> http://127.0.0.1:9/dead";
    assert_eq!(text.join("\n"), expected);
}

#[test]
fn an_attempt_without_a_response_says_why() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    check(&journeys.step(&stored("a"), now), &["accepted"]);
    let Step::Attempt(mut refused) = attempt("a", "plain", 1, 0, AttemptOutcome::Retry) else { panic!("an attempt") };
    refused.status = None;
    refused.error = Some("connection\u{1b}[0m refused".to_owned());
    let rows = journeys.step(&Step::Attempt(refused), now);
    let text = Table::new(Paint::PLAIN).render(&rows[0]);
    assert!(text.ends_with("plain: connection [0m refused, again in 200 ms"), "{text}");
}

#[test]
fn after_an_interruption_the_event_is_named_again() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    let rows = journeys.step(&stored("a"), now);
    let mut table = Table::new(Paint::PLAIN);
    assert!(table.render(&rows[0]).starts_with("a  "));
    assert!(table.render(&rows[0]).starts_with("   "));
    table.interrupted();
    assert!(table.render(&rows[0]).starts_with("a  "));
}

#[test]
fn an_event_of_somebody_else_is_accepted_and_stored_in_one_row() {
    let (mut journeys, now) = (Journeys::default(), Instant::now());
    let rows = journeys.step(&stored("a"), now);
    let expected = "\
a             accepted        202         1.1 ms  stored in knative-messaging-kafka.default.orders  partition 0 offset 12";
    assert_eq!(Table::new(Paint::PLAIN).render(&rows[0]), expected);
}

#[test]
fn a_refused_request_has_a_row() {
    let refused = Refused {
        status: 404,
        method: "POST".to_owned(),
        path: "/default/none".to_owned(),
        host: Some("127.0.0.1:8080".to_owned()),
        reason: Some("no channel here".to_owned()),
    };
    let expected = "\
-             refused         404                 POST /default/none at 127.0.0.1:8080: no channel here";
    assert_eq!(Table::new(Paint::PLAIN).render(&refused_row(&refused)), expected);
}
