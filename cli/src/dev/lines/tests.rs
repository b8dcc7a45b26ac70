//! What the log lines of the roles mean to a person.

use super::*;

#[track_caller]
fn check(line: &str, expected: Line) {
    assert_eq!(read(line), expected, "{line}");
}

#[test]
fn a_stored_record_is_a_step() {
    check(
        r#"{"@timestamp":"2026-01-01T00:00:00Z","level":"DEBUG","message":"Record produced","event_id":"a-1",
            "event_type":"t","path":"/default/a","topic":"t.a","partition":2,"offset":17,"elapsed_ms":1.25}"#,
        Line::Step(Step::Stored(Stored {
            event_id: "a-1".to_owned(),
            topic: "t.a".to_owned(),
            partition: 2,
            offset: 17,
            elapsed_ms: Some(1.25),
            size_bytes: None,
        })),
    );
}

#[test]
fn an_attempt_without_a_response_has_an_error_and_no_status() {
    check(
        r#"{"level":"DEBUG","message":"Delivery attempt","event_id":"a-1","egress":"uid","subscription":"flaky",
            "role":"subscriber","target":"http://x/","attempt":1,"error":"connection refused","elapsed_ms":"0.5",
            "outcome":"retry","retry_in_ms":200}"#,
        Line::Step(Step::Attempt(Attempt {
            event_id: "a-1".to_owned(),
            subscription: "flaky".to_owned(),
            role: AttemptRole::Subscriber,
            target: "http://x/".to_owned(),
            number: 1,
            status: None,
            error: Some("connection refused".to_owned()),
            elapsed_ms: Some(0.5),
            outcome: AttemptOutcome::Retry,
            retry_in_ms: Some(200.0),
        })),
    );
}

#[test]
fn the_end_of_an_event_names_its_outcome() {
    for (word, outcome) in [
        ("delivered", FinishOutcome::Delivered),
        ("filtered", FinishOutcome::Filtered),
        ("dead_lettered", FinishOutcome::DeadLettered),
        ("undelivered", FinishOutcome::Undelivered),
        ("lost", FinishOutcome::Lost),
        ("invalid", FinishOutcome::Invalid),
    ] {
        check(
            &format!(
                r#"{{"level":"DEBUG","message":"Event finished","event_id":"a","egress":"u","subscription":"s",
                    "topic":"t","partition":0,"offset":3,"outcome":"{word}"}}"#
            ),
            Line::Step(Step::Finished(Finished {
                event_id: "a".to_owned(),
                subscription: "s".to_owned(),
                topic: "t".to_owned(),
                partition: 0,
                offset: 3,
                outcome,
            })),
        );
    }
}

#[test]
fn a_role_that_has_started_is_ready() {
    for message in ["Receiver started", "Dispatcher started", "Control started"] {
        check(&format!(r#"{{"level":"INFO","message":"{message}","port":8080}}"#), Line::Ready);
    }
}

#[test]
fn warnings_and_errors_keep_their_fields() {
    check(
        r#"{"@timestamp":"x","level":"WARN","logger_name":"l","message":"file refused","path":"/a","line":3}"#,
        Line::Trouble(Trouble {
            is_error: false,
            message: "file refused".to_owned(),
            fields: "line: 3, path: /a".to_owned(),
        }),
    );
    check(
        r#"{"level":"ERROR","message":"event lost","event_id":"a"}"#,
        Line::Trouble(Trouble { is_error: true, message: "event lost".to_owned(), fields: "event id: a".to_owned() }),
    );
}

#[test]
fn a_warning_about_one_event_is_not_said_twice_but_an_error_is() {
    check(r#"{"level":"WARN","message":"one delivery","event_id":"a"}"#, Line::Quiet);
    check(r#"{"level":"ERROR","message":"Failed to send event to subscriber","event_id":"a"}"#, Line::Quiet);
    check(r#"{"level":"WARN","message":"Problem with an object","problem":"x"}"#, Line::Quiet);
    assert!(matches!(read(r#"{"level":"ERROR","message":"lost","event_id":"a"}"#), Line::Trouble(_)));
}

#[test]
fn a_panic_is_not_swallowed() {
    check(
        "thread 'main' panicked at src/main.rs:1:1:",
        Line::Text("thread 'main' panicked at src/main.rs:1:1:".to_owned()),
    );
}

#[test]
fn other_information_is_quiet() {
    check(r#"{"level":"INFO","message":"Routes published"}"#, Line::Quiet);
    check("", Line::Quiet);
}

#[test]
fn a_step_with_a_missing_field_is_quiet_rather_than_wrong() {
    check(r#"{"level":"DEBUG","message":"Record produced","event_id":"a-1"}"#, Line::Quiet);
}

#[test]
fn a_refused_request_says_who_asked_for_what_and_why_not() {
    let line = |method: &str, status: u16| {
        format!(
            r#"{{"level":"DEBUG","message":"Request refused","path":"/default/x","host":"h:80","method":"{method}",
                "status":{status},"reason":"no channel here"}}"#
        )
    };
    let refused = |method: &str, status: i64| {
        Line::Refused(Refused {
            status,
            method: method.to_owned(),
            path: "/default/x".to_owned(),
            host: Some("h:80".to_owned()),
            reason: Some("no channel here".to_owned()),
        })
    };
    check(&line("POST", 404), refused("POST", 404));
    check(&line("GET", 405), refused("GET", 405));
    // Control asks like this until the ingress knows the channel.
    check(&line("GET", 404), Line::Quiet);
}

#[test]
fn what_control_says_about_a_property_is_not_repeated() {
    for message in ["Property not used as given", "Property without the expected effect"] {
        check(
            &format!(r#"{{"level":"WARN","message":"{message}","key":"a","reason":"unknown key, ignored"}}"#),
            Line::Quiet,
        );
    }
}
