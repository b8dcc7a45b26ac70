//! Batches as senders make them, whole and broken.

use super::{BATCH_MEDIA_TYPE, MAX_BATCH_EVENTS, read_batch};
use crate::{Data, Event, EventError, json};

const GOOD: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{ "a": 1.10 }}"#;
const OLD: &str = r#"{"specversion":"0.3","id":"2","source":"/s","type":"t","schemaurl":"/schema"}"#;
const NO_ID: &str = r#"{"specversion":"1.0","source":"/s","type":"t"}"#;

fn results(text: &str) -> Vec<Result<Event<'_>, EventError>> {
    read_batch(text.as_bytes()).unwrap()
}

#[test]
fn every_element_is_read_as_it_would_be_alone_and_in_its_place() {
    for text in [format!("[{GOOD},{OLD}]"), format!("\u{feff} [\n{GOOD} ,\t{OLD}\r] ")] {
        let events = results(&text);
        assert_eq!(events, [json::read(GOOD.as_bytes()), json::read(OLD.as_bytes())]);
        let first = events.first().unwrap().as_ref().unwrap();
        assert!(matches!(&first.data, Data::Json(std::borrow::Cow::Borrowed(b"{ \"a\": 1.10 }"))), "borrowed and kept");
    }
}

#[test]
fn a_bad_element_spoils_nothing_but_itself() {
    let text = format!(r#"[{NO_ID},{GOOD},7,null,[{GOOD}],{{"specversion":"2"}},"{{",{OLD}]"#);
    let results = results(&text);
    assert_eq!(results.first(), Some(&Err(EventError::Missing { name: "id" })));
    let is_event: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(is_event, [false, true, false, false, false, false, false, true]);
    assert!(matches!(results.get(2), Some(Err(EventError::Json { .. }))));
}

#[test]
fn a_batch_may_be_empty() {
    assert_eq!(results("[]"), []);
    assert_eq!(results(" [ ] "), []);
}

#[test]
fn what_is_not_one_array_is_refused_as_a_whole() {
    for text in
        ["", " ", "{}", GOOD, "null", "[", "[1", "[1,", "[1,]", "[,]", "[1]]", "[1] x", "[{]", "[1}", "[\"\u{1}\"]"]
    {
        let error = read_batch(text.as_bytes()).unwrap_err();
        assert!(matches!(error, EventError::JsonBatch { .. }), "{text:?}: {error:?}");
    }
    assert!(matches!(read_batch(b"[\"\xff\"]"), Err(EventError::JsonBatch { .. })));
    assert_eq!(read_batch(b"[\0\0"), Err(EventError::JsonEncoding));
}

#[test]
fn a_batch_in_utf_16_is_read_too() {
    let text = format!("[{GOOD},{NO_ID}]");
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read_batch(&wide), read_batch(text.as_bytes()));
}

#[test]
fn the_number_of_elements_is_bounded() {
    let batch = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(results(&batch(MAX_BATCH_EVENTS)).len(), MAX_BATCH_EVENTS);
    for count in [MAX_BATCH_EVENTS + 1, 3 * MAX_BATCH_EVENTS] {
        let expected = Err(EventError::TooManyEvents { limit: MAX_BATCH_EVENTS });
        assert_eq!(read_batch(batch(count).as_bytes()), expected);
    }
    let broken = format!("{},{{", batch(2 * MAX_BATCH_EVENTS).trim_end_matches(']'));
    assert!(matches!(read_batch(broken.as_bytes()), Err(EventError::JsonBatch { .. })));
}

#[test]
fn deep_nesting_is_skipped_not_descended_into() {
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(results(&deep).len(), 1);
}

#[test]
fn the_media_type_is_recognised_as_narrowly_as_that_of_one_event() {
    let is_batch = |content_type: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", content_type.parse().unwrap());
        crate::http_binding::is_batch(&headers)
    };
    for (content_type, expected) in [
        (BATCH_MEDIA_TYPE, true),
        ("application/cloudevents-batch+json; charset=utf-8", true),
        ("application/cloudevents-batch+json ;x", false),
        ("Application/CloudEvents-batch+json", false),
        ("application/cloudevents-batch+xml", false),
        ("application/cloudevents+json", false),
    ] {
        assert_eq!(is_batch(content_type), expected, "{content_type}");
    }
    assert!(!crate::http_binding::is_batch(&http::HeaderMap::new()));
}
