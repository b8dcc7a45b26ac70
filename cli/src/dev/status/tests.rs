//! What a person sees of a status, and when.

use std::path::Path;

use super::view::StatusView;
use super::*;
use crate::console::Paint;

fn status(text: &str) -> Status {
    serde_json::from_str(text).unwrap()
}

const READY: &str = r#"{"generation":3,
    "channels":[{"namespace":"default","name":"hello","url":"http://127.0.0.1:8080/default/hello","topic":"t","ready":"True"}],
    "subscriptions":[{"namespace":"default","name":"printer","channel":"default/hello","subscriber":"http://127.0.0.1:9000/",
                      "deadLetterSink":"http://127.0.0.1:9000/dead","ready":"False","reason":"NoTopic","message":"the topic is missing"}],
    "problems":[]}"#;

fn plain() -> StatusView {
    StatusView::new(Paint::PLAIN, Path::new("objects"))
}

#[test]
fn channels_and_subscriptions_show_where_and_why_not() {
    let lines = plain().changes(&status(READY));
    let expected = "\
channel      ready     default/hello                 http://127.0.0.1:8080/default/hello
subscription not ready default/printer               hello -> http://127.0.0.1:9000/  dead letters -> http://127.0.0.1:9000/dead
             because: NoTopic: the topic is missing";
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn only_what_changed_is_shown_again() {
    let mut view = plain();
    assert_eq!(view.changes(&status(READY)).len(), 2);
    assert_eq!(view.changes(&status(READY)), Vec::<String>::new());
    let lines = view.changes(&status(&READY.replace("\"ready\":\"False\"", "\"ready\":\"True\"")));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("subscription ready "), "{lines:?}");
}

#[test]
fn a_removed_object_is_said_to_be_gone() {
    let mut view = plain();
    assert_eq!(view.changes(&status(READY)).len(), 2);
    let lines = view.changes(&status(r#"{"generation":3}"#));
    assert_eq!(lines[..2], ["channel      gone      default/hello", "subscription gone      default/printer"]);
    assert!(lines[2].starts_with("channel      none      no KafkaChannel in objects yet"), "{lines:?}");
}

#[test]
fn a_problem_names_file_line_object_and_field() {
    let mut view = plain();
    let bad = status(
        r#"{"problems":[{"file":"a.yaml","line":7,"object":"Subscription default/x","field":"spec.delivery.retry",
            "message":"expected a whole number"}]}"#,
    );
    let expected = "problem      a.yaml:7  Subscription default/x spec.delivery.retry: expected a whole number";
    assert_eq!(view.changes(&bad)[0], expected);
    assert_eq!(view.changes(&bad), Vec::<String>::new());
}

#[test]
fn each_solved_problem_has_its_own_line_and_one_that_only_moved_has_none() {
    let mut view = plain();
    let problems = |list: &[(&str, u64)]| Status {
        problems: list
            .iter()
            .map(|(field, line)| Problem {
                file: "a.yaml".to_owned(),
                line: Some(*line),
                object: Some("Subscription default/x".to_owned()),
                field: Some((*field).to_owned()),
                message: "no".to_owned(),
            })
            .collect(),
        ..status(READY)
    };
    assert_eq!(view.changes(&problems(&[("spec.a", 3), ("spec.b", 4)])).len(), 4);
    let lines = view.changes(&problems(&[("spec.b", 9)]));
    assert_eq!(lines, ["problem      solved    a.yaml:3  Subscription default/x spec.a"]);
    let lines = view.changes(&problems(&[]));
    assert_eq!(lines, ["problem      solved    a.yaml:9  Subscription default/x spec.b"]);
}

#[test]
fn a_new_contract_is_told_once_everything_had_been_decided_and_not_before() {
    let mut view = plain();
    let at = |generation: u64, ready: &str| {
        status(&READY.replace("\"generation\":3", &format!("\"generation\":{generation}")).replace("False", ready))
    };
    let told = |lines: Vec<String>| lines.into_iter().filter(|line| line.starts_with("contract")).collect::<Vec<_>>();
    assert_eq!(told(view.changes(&at(1, "Unknown"))), Vec::<String>::new());
    assert_eq!(told(view.changes(&at(2, "True"))), Vec::<String>::new(), "the start is no news");
    assert_eq!(told(view.changes(&at(3, "Unknown"))), ["contract     in force  generation 3"]);
    assert_eq!(told(view.changes(&at(3, "True"))), Vec::<String>::new());
}

#[test]
fn an_empty_folder_says_what_to_do_once() {
    let mut view = plain();
    let lines = view.changes(&status("{}"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("channel      none      no KafkaChannel in objects yet: add a YAML file"),
        "{lines:?}"
    );
    assert_eq!(view.changes(&status("{}")), Vec::<String>::new());
}

#[test]
fn a_kafka_that_is_away_is_said_once_and_not_with_each_object() {
    let away = "Kafka at k:9092 does not answer";
    let channel = |name: &str| Channel {
        name: name.to_owned(),
        ready: "False".to_owned(),
        reason: Some(format!("Failed to create topic: {name}")),
        message: Some(away.to_owned()),
        ..Channel::default()
    };
    let subscription = Subscription {
        ready: "False".to_owned(),
        reason: Some("TopicReady".to_owned()),
        message: Some(format!("channel a: Failed to create topic: a {away}")),
        ..Subscription::default()
    };
    let status =
        Status { channels: vec![channel("a"), channel("b")], subscriptions: vec![subscription], ..Status::default() };
    let text = plain().changes(&status).join("\n");
    assert_eq!(text.matches("because: ").count(), 1, "{text}");
    assert!(text.contains(&format!("because: {away}\n")), "{text}");
}

#[test]
fn everything_is_ready_only_if_there_is_something() {
    assert!(!Status::default().is_ready());
    assert!(!status(READY).is_ready());
    assert!(status(&READY.replace("\"ready\":\"False\"", "\"ready\":\"True\"")).is_ready());
}
