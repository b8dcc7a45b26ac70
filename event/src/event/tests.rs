//! The event itself, away from bindings.

use super::{Data, Event, SpecVersion};
use crate::{EventError, Value};

fn event() -> Event<'static> {
    let mut event = Event::new("1", "/s", "t").unwrap();
    event.data_content_type = Some("text/plain".into());
    event.data_schema = Some("/schema".into());
    event.subject = Some("sub".into());
    event.time = Some("2020-07-06T11:23:12.1+02:00".into());
    event.extensions.set("number", 7).unwrap();
    event.extensions.set("yes", true).unwrap();
    event.data = Data::Binary(b"x".into());
    event
}

#[test]
fn a_new_event_has_the_required_attributes_only() {
    let event = Event::new("", "", "").unwrap();
    assert_eq!((event.spec_version, &event.data, event.extensions.len()), (SpecVersion::V10, &Data::None, 0));
    for name in ["subject", "time", "datacontenttype", "dataschema", "schemaurl", "other"] {
        assert_eq!(event.attribute(name), None, "{name}");
    }
    assert!(matches!(Event::new("1", "a b", "t"), Err(EventError::Uri { name: "source", .. })));
}

#[test]
fn attributes_and_extensions_are_found_by_name() {
    let event = event();
    for (name, text) in [
        ("specversion", "1.0"),
        ("id", "1"),
        ("source", "/s"),
        ("type", "t"),
        ("datacontenttype", "text/plain"),
        ("dataschema", "/schema"),
        ("schemaurl", "/schema"),
        ("subject", "sub"),
        ("time", "2020-07-06T11:23:12.1+02:00"),
    ] {
        assert_eq!(event.attribute(name), Some(Value::from(text)), "{name}");
    }
    assert_eq!(event.attribute("number"), Some(Value::Integer(7)));
    assert_eq!(event.attribute("yes"), Some(Value::Boolean(true)));
    for absent in ["Id", "data", "datacontentencoding", ""] {
        assert_eq!(event.attribute(absent), None, "{absent}");
    }
}

#[test]
fn an_older_event_becomes_a_current_one() {
    let mut current = event();
    current.to_version_10();
    assert_eq!(current, event());

    let mut older = Event { spec_version: SpecVersion::V03, ..event() };
    older.to_version_10();
    assert_eq!(older, event());
}

#[test]
fn an_owned_event_is_the_same_event() {
    assert_eq!(event().into_owned(), event());
    let json = Event { data: Data::Json(b"1".into()), ..event() };
    assert_eq!(json.clone().into_owned(), json);
}

#[test]
fn values_have_a_text() {
    for (value, text) in [
        (Value::from("a b"), "a b"),
        (Value::from(true), "true"),
        (Value::from(false), "false"),
        (Value::from(i32::MIN), "-2147483648"),
        (Value::from(i64::MAX), "9223372036854775807"),
    ] {
        assert_eq!((value.text().as_ref(), value.to_string().as_str()), (text, text));
        assert_eq!(value.borrowed(), value);
        assert_eq!(value.clone().into_owned(), value);
    }
}

#[test]
fn an_error_quotes_outside_text_shortly() {
    let long = "é ".repeat(10_000);
    let error = Event::new("1", long, "t").unwrap_err().to_string();
    assert!(error.chars().count() < 300, "{error}");
    assert!(error.contains("attribute source is no URI reference") && error.contains("é é"), "{error}");
}
