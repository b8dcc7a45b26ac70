//! From arguments to an event, from an answer to words.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    send: SendArgs,
}

fn args(line: &str) -> SendArgs {
    Line::try_parse_from(["send", "http://127.0.0.1/a"].into_iter().chain(line.split_whitespace())).unwrap().send
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, elapsed: Duration::from_millis(3), body: body.to_owned() }
}

#[test]
fn arguments_become_attributes() {
    let args = args("--type t --source /s --id i --subject x --extension partitionkey=k --extension other=a=b");
    let event = build(&args, 1, Some(b"{\"a\":1}")).unwrap();
    assert_eq!((&*event.id, &*event.source, &*event.ty), ("i", "/s", "t"));
    assert_eq!(event.subject.as_deref(), Some("x"));
    assert_eq!(event.extensions.get("partitionkey").unwrap().text(), "k");
    assert_eq!(event.extensions.get("other").unwrap().text(), "a=b");
    assert_eq!(event.data.bytes(), Some(&b"{\"a\":1}"[..]));
}

#[test]
fn the_media_type_is_guessed_from_the_data_unless_it_is_said() {
    for (line, data, expected) in [
        ("", &b"{\"a\":1}"[..], "application/json"),
        ("", b"hello", "text/plain"),
        ("", b"\xff\xfe", "application/octet-stream"),
        ("--content-type application/xml", b"<a/>", "application/xml"),
    ] {
        let args = args(line);
        assert_eq!(build(&args, 1, Some(data)).unwrap().data_content_type.as_deref(), Some(expected));
    }
    assert_eq!(build(&args(""), 1, None).unwrap().data_content_type, None);
}

#[test]
fn each_of_many_events_has_an_id_of_its_own() {
    let numbered = args("--id order --count 3");
    assert_eq!(build(&numbered, 2, None).unwrap().id, "order-2");
    let random = args("--count 3");
    assert_ne!(build(&random, 1, None).unwrap().id, build(&random, 2, None).unwrap().id);
}

#[test]
fn an_extension_needs_a_name_and_a_value() {
    assert!(extension("partitionkey").is_err());
    assert!(extension("=x").is_err());
    assert_eq!(extension("a=").unwrap(), ("a".to_owned(), String::new()));
    assert!(build(&args("--extension Upper=1"), 1, None).is_err());
}

#[test]
fn a_refusal_says_why() {
    let problem = r#"{"type":"about:blank","title":"not a CloudEvent","detail":"ce-id is missing"}"#;
    assert_eq!(reason(&answer(400, problem)).as_deref(), Some("not a CloudEvent: ce-id is missing"));
    assert_eq!(reason(&answer(500, " oops \n")).as_deref(), Some("oops"));
    assert!(reason(&answer(404, "")).is_some_and(|text| text.contains("millrace dev")));
    assert_eq!(reason(&answer(418, "")), None);
}

#[tokio::test]
async fn a_long_wait_is_told_until_it_is_over() {
    let (answered, mut answer) = tokio::sync::mpsc::channel(1);
    let mut told = 0;
    let result = while_telling(answer.recv(), Duration::from_millis(1), |_| {
        told += 1;
        if told == 3 {
            answered.try_send("answer").unwrap();
        }
    });
    assert_eq!(result.await, Some("answer"));
    assert_eq!(told, 3);
}
