//! Records as the Java data plane writes and reads them.

use super::{RecordHeaders, key, payload, read, write_binary, write_structured};
use crate::{Data, Event, EventError, SpecVersion, Value};

#[derive(Default)]
struct Headers(Vec<(String, String)>);

impl RecordHeaders for Headers {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
    }
}

impl Headers {
    fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

type Pair<'a> = (&'a str, Option<&'a str>);

const REQUIRED: [Pair<'static>; 4] =
    [("ce_specversion", Some("1.0")), ("ce_id", Some("1")), ("ce_source", Some("/s")), ("ce_type", Some("t"))];

fn read_pairs<'a>(pairs: &'a [Pair<'a>], value: Option<&'a [u8]>) -> Result<Event<'a>, EventError> {
    read(pairs.iter().map(|(name, value)| (*name, value.map(str::as_bytes))), value)
}

/// Reads a record with the required headers and more.
fn with_headers(more: &[Pair<'static>]) -> Result<Event<'static>, EventError> {
    let pairs: Vec<Pair<'static>> = REQUIRED.iter().chain(more).copied().collect();
    read_pairs(&pairs, None).map(Event::into_owned)
}

fn full_event() -> Event<'static> {
    let mut event = Event::new("é %", "/s", "t").unwrap();
    event.extensions.set("b", true).unwrap();
    event.extensions.set("partitionkey", 42).unwrap();
    event.data_content_type = Some("text/plain".into());
    event.data_schema = Some("/schema".into());
    event.subject = Some("sub".into());
    event.time = Some("2020-07-06T09:23:12Z".into());
    event.data = Data::Binary(b"body".into());
    event
}

#[test]
fn binary_headers_come_in_the_order_of_the_java_plane_and_unescaped() {
    let mut headers = Headers::default();
    write_binary(&full_event(), &mut headers);
    assert_eq!(
        headers.pairs(),
        [
            ("ce_specversion", "1.0"),
            ("ce_id", "é %"),
            ("ce_source", "/s"),
            ("ce_type", "t"),
            ("content-type", "text/plain"),
            ("ce_dataschema", "/schema"),
            ("ce_subject", "sub"),
            ("ce_time", "2020-07-06T09:23:12Z"),
            ("ce_b", "true"),
            ("ce_partitionkey", "42"),
        ]
    );
}

#[test]
fn version_0_3_is_kept_with_its_schemaurl() {
    let event = Event { spec_version: SpecVersion::V03, ..full_event() };
    let mut headers = Headers::default();
    write_binary(&event, &mut headers);
    assert!(headers.pairs().contains(&("ce_specversion", "0.3")));
    assert!(headers.pairs().contains(&("ce_schemaurl", "/schema")));
    assert!(!headers.pairs().iter().any(|(name, _)| *name == "ce_dataschema"));
}

#[test]
fn extension_names_of_any_length_are_written() {
    let mut event = Event::new("1", "/s", "t").unwrap();
    let long = "x".repeat(200);
    event.extensions.set(long.as_str(), "1").unwrap();
    event.extensions.set("short", "2").unwrap();
    let mut headers = Headers::default();
    write_binary(&event, &mut headers);
    assert_eq!(&headers.pairs()[4..], [(format!("ce_{long}").as_str(), "1"), ("ce_short", "2")]);
}

#[test]
fn an_event_without_data_has_a_null_value() {
    let mut event = Event::new("1", "/s", "t").unwrap();
    assert_eq!(payload(&event), None);
    event.data = Data::Json(b"null".into());
    assert_eq!(payload(&event), Some(b"null".as_slice()));
}

#[test]
fn the_partition_key_becomes_the_key_whatever_its_type() {
    let mut event = Event::new("1", "/s", "t").unwrap();
    assert_eq!(key(&event), None);
    for (value, expected) in [
        (Value::from(""), ""),
        (Value::from("é"), "é"),
        (Value::from(-5), "-5"),
        (Value::from(true), "true"),
        (Value::from(5_000_000_000_i64), "5000000000"),
    ] {
        event.extensions.set("partitionkey", value).unwrap();
        assert_eq!(key(&event).as_deref(), Some(expected.as_bytes()));
    }
}

#[test]
fn a_structured_record_has_one_header() {
    let mut headers = Headers::default();
    let value = write_structured(&full_event(), &mut headers).unwrap();
    assert_eq!(headers.pairs(), [("content-type", "application/cloudevents+json")]);
    let pairs = [("content-type", Some("application/cloudevents+json"))];
    assert_eq!(read_pairs(&pairs, Some(&value)).unwrap(), full_event());
}

#[test]
fn an_event_that_cannot_be_structured_adds_no_header() {
    let event = with_headers(&[("ce_data", Some("x"))]).unwrap();
    let mut headers = Headers::default();
    assert_eq!(write_structured(&event, &mut headers), Err(EventError::ReservedName { name: "data".into() }));
    assert_eq!(headers.pairs(), []);
}

#[test]
fn the_last_of_several_headers_counts() {
    let event = with_headers(&[("ce_id", Some("2")), ("ce_x", Some("a")), ("ce_x", Some("b"))]).unwrap();
    assert_eq!(event.id, "2");
    assert_eq!(event.extensions.get("x"), Some(&Value::from("b")));

    let twice = [("content-type", Some("text/plain")), ("content-type", Some("application/cloudevents+json"))];
    let error = with_headers(&twice).unwrap_err();
    assert!(matches!(error, EventError::Json { .. }), "structured, without a value: {error:?}");

    let versions = with_headers(&[("ce_specversion", Some("0.3"))]).unwrap();
    assert_eq!(versions.spec_version, SpecVersion::V03);
}

#[test]
fn header_names_are_case_sensitive_and_attribute_names_are_not() {
    let event = with_headers(&[
        ("Content-Type", Some("dropped/x")),
        ("CE_subject", Some("dropped")),
        ("ce_SUBJECT", Some("kept")),
        ("ce_MyExt", Some("1")),
        ("ce_", Some("dropped")),
        ("other", Some("dropped")),
    ])
    .unwrap();
    assert_eq!(event.data_content_type, None);
    assert_eq!(event.subject.as_deref(), Some("kept"));
    assert_eq!(event.extensions.iter().collect::<Vec<_>>(), [("myext", &Value::from("1"))]);
    assert_eq!(read_pairs(&[("CE_specversion", Some("1.0"))], None), Err(EventError::NotAnEvent));
}

#[test]
fn header_values_are_not_percent_decoded() {
    let event = with_headers(&[("ce_subject", Some("a%20\"b\""))]).unwrap();
    assert_eq!(event.subject.as_deref(), Some("a%20\"b\""));
}

#[test]
fn bytes_that_are_not_utf_8_become_replacement_characters() {
    let headers = REQUIRED.iter().map(|(name, value)| (*name, value.map(str::as_bytes)));
    let event = read(headers.chain([("ce_x", Some(b"a\xffb".as_slice()))]), None).unwrap();
    assert_eq!(event.extensions.get("x"), Some(&Value::from("a\u{fffd}b")));
}

#[test]
fn a_header_without_a_value_is_absent() {
    let event = with_headers(&[("ce_subject", None), ("ce_x", None), ("other", None), ("content-type", None)]).unwrap();
    assert_eq!((event.subject, event.data_content_type, event.extensions.len()), (None, None, 0));
    let event = with_headers(&[("ce_id", None)]).unwrap();
    assert_eq!(event.id, "1", "it does not hide a value before it either");

    let source = [("ce_specversion", Some("1.0")), ("ce_id", Some("1")), ("ce_source", None), ("ce_type", Some("t"))];
    assert_eq!(read_pairs(&source, None), Err(EventError::Missing { name: "source" }));
    assert_eq!(read_pairs(&[("ce_specversion", None)], None), Err(EventError::NotAnEvent));
}

#[test]
fn a_null_value_and_an_empty_value_are_no_data() {
    for value in [None, Some(b"".as_slice())] {
        assert_eq!(read_pairs(&REQUIRED, value).unwrap().data, Data::None);
    }
    assert_eq!(read_pairs(&REQUIRED, Some(b"x")).unwrap().data, Data::Binary(b"x".into()));
}

#[test]
fn what_is_no_event_is_an_error() {
    for (pairs, expected) in [
        (vec![], EventError::NotAnEvent),
        (vec![("content-type", Some("text/plain"))], EventError::NotAnEvent),
        (vec![("ce_specversion", Some("2.0"))], EventError::SpecVersion { found: "2.0".into() }),
        (
            vec![("content-type", Some("application/cloudevents+avro"))],
            EventError::UnsupportedFormat { found: "application/cloudevents+avro".into() },
        ),
        (vec![("ce_specversion", Some("1.0"))], EventError::Missing { name: "id" }),
    ] {
        assert_eq!(read_pairs(&pairs, Some(b"{}")), Err(expected));
    }
    assert!(matches!(with_headers(&[("ce_a-b", Some("x"))]), Err(EventError::ExtensionName { .. })));
    assert!(matches!(with_headers(&[("ce_time", Some("x"))]), Err(EventError::Time { .. })));
}
