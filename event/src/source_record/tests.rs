//! Records that are no events, converted.

use millrace_config::contract::KeyType;

use super::{Origin, Record, convert};
use crate::{Data, Event, EventError, SpecVersion, Value, uri};

fn record() -> Record<'static> {
    Record {
        topic: "orders",
        partition: 2,
        offset: 17,
        timestamp_millis: Some(1_594_027_400_100),
        key: None,
        payload: Some(b"body"),
    }
}

fn origin() -> Origin {
    Origin { namespace: "ns".into(), kind_plural: "kafkasources".into(), name: "src".into() }
}

fn converted<'a>(record: Record<'a>, headers: &[(&'a str, Option<&'a [u8]>)], key_type: KeyType) -> Event<'a> {
    convert(&record, headers.iter().copied(), key_type, &origin()).unwrap()
}

#[track_caller]
fn check_key(key_type: KeyType, key: &[u8], expected: impl Into<Value<'static>>) {
    let event = converted(Record { key: Some(key), ..record() }, &[], key_type);
    let expected = expected.into();
    assert_eq!(event.extensions.get("key"), Some(&expected), "{key_type:?} {key:?}");
    assert_eq!(event.extensions.get("partitionkey"), Some(&expected), "{key_type:?} {key:?}");
}

#[test]
fn attributes_tell_where_the_record_was() {
    let event = converted(record(), &[], KeyType::String);
    assert_eq!(event.spec_version, SpecVersion::V10);
    assert_eq!(event.id, "partition:2/offset:17");
    assert_eq!(event.time.as_deref(), Some("2020-07-06T09:23:20.1Z"));
    assert_eq!(event.ty, "dev.knative.kafka.event");
    assert_eq!(event.source, "/apis/v1/namespaces/ns/kafkasources/src#orders");
    assert_eq!(uri::check(&event.source), Ok(()));
    assert_eq!(event.subject.as_deref(), Some("partition:2#17"));
    assert_eq!(event.data_content_type, None);
    assert!(event.extensions.is_empty());
    assert_eq!(event.data, Data::Binary(b"body".into()));
}

#[test]
fn a_null_value_is_no_data_and_an_empty_value_is_empty_data() {
    assert_eq!(converted(Record { payload: None, ..record() }, &[], KeyType::String).data, Data::None);
    let empty = converted(Record { payload: Some(b""), ..record() }, &[], KeyType::String).data;
    assert_eq!(empty, Data::Binary(b"".into()));
    assert_eq!(converted(Record { timestamp_millis: None, ..record() }, &[], KeyType::String).time, None);
}

#[test]
fn headers_become_extensions() {
    let event = converted(
        record(),
        &[
            ("Content-Type", Some(b"text/plain")),
            ("CONTENT-TYPE", Some(b"Application/JSON; Charset=UTF-8")),
            ("X-Some_Header.1", Some(b"a")),
            ("xsomeheader1", Some("é".as_bytes())),
            ("traceparent", Some(b"00-x")),
            ("__", Some(b"odd\xff")),
            ("null", None),
            ("content-type", None),
        ],
        KeyType::String,
    );
    assert_eq!(event.data_content_type.as_deref(), Some("application/json; charset=utf-8"));
    assert_eq!(
        event.extensions.iter().collect::<Vec<_>>(),
        [
            ("kafkaheaderxsomeheader1", &Value::from("é")),
            ("kafkaheadertraceparent", &Value::from("00-x")),
            ("kafkaheader", &Value::from("odd\u{fffd}")),
        ]
    );
}

#[test]
fn keys_are_read_by_their_type() {
    check_key(KeyType::String, "é".as_bytes(), "é");
    check_key(KeyType::String, b"a\xff", "a\u{fffd}");
    check_key(KeyType::Integer, &[0xff, 0xff, 0xff, 0xfe], -2);
    check_key(KeyType::Integer, b"12345", "12345");
    check_key(KeyType::Double, &1.5_f32.to_be_bytes(), "1.5");
    check_key(KeyType::Double, &0.1_f64.to_be_bytes(), "0.1");
    check_key(KeyType::Double, b"abc", "abc");
    check_key(KeyType::ByteArray, &[0xff, 0], "/wA=");
    for key in [None, Some(b"".as_slice())] {
        assert!(converted(Record { key, ..record() }, &[], KeyType::String).extensions.is_empty());
    }
}

#[test]
fn fractions_have_javas_spelling() {
    for (number, text) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (9_999_999.5, "9999999.5"),
        (1e7, "1.0E7"),
        (-1.25e300, "-1.25E300"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
        (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
        (123_456.789, "123456.789"),
    ] {
        check_key(KeyType::Double, &number.to_be_bytes(), text);
    }
    check_key(KeyType::Double, &0.1_f32.to_be_bytes(), "0.1");
    check_key(KeyType::Double, &1e-3_f32.to_be_bytes(), "0.001");
    check_key(KeyType::Double, &1.1e10_f32.to_be_bytes(), "1.1E10");
}

#[test]
fn more_headers_than_an_event_can_have_are_an_error() {
    let names: Vec<String> = (0..2_000).map(|number| format!("h{number}")).collect();
    let headers = names.iter().map(|name| (name.as_str(), Some(b"v".as_slice())));
    let error = convert(&record(), headers, KeyType::String, &origin()).unwrap_err();
    assert!(matches!(error, EventError::TooManyExtensions { .. }));
}
