//! Requests and responses as users see them.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::{claims_event, read, write};
use crate::{Data, Event, EventError, SpecVersion, Value};

const REQUIRED: [(&str, &str); 4] = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

fn headers<'h>(pairs: impl IntoIterator<Item = (&'h str, &'h str)>) -> HeaderMap {
    let parse = |(name, value): (&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in pairs.into_iter().map(parse) {
        map.append(name, value);
    }
    map
}

/// Reads a binary event with one more header than required, which may repeat one of those.
#[track_caller]
fn with_header(name: &str, value: &str) -> Result<Event<'static>, EventError> {
    let map = headers(REQUIRED.into_iter().filter(|(required, _)| *required != name).chain([(name, value)]));
    read(&map, b"").map(Event::into_owned)
}

#[test]
fn a_binary_event_is_read_as_it_stands() {
    let map = headers(REQUIRED.into_iter().chain([
        ("Content-Type", "text/plain; charset=utf-8"),
        ("ce-dataschema", "http://EXAMPLE.com:80/s"),
        ("CE-Subject", "s"),
        ("ce-time", "2020-07-06T09:23:12.100Z"),
        ("ce-number", "007"),
        ("x-other", "dropped"),
        ("ce-", "dropped"),
    ]));
    let event = read(&map, b"body").unwrap();
    assert_eq!(event.spec_version, SpecVersion::V10);
    assert_eq!((&*event.id, &*event.source, &*event.ty), ("1", "/s", "t"));
    assert_eq!(event.data_content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(event.data_schema.as_deref(), Some("http://EXAMPLE.com:80/s"));
    assert_eq!(event.subject.as_deref(), Some("s"));
    assert_eq!(event.time.as_deref(), Some("2020-07-06T09:23:12.1Z"));
    assert_eq!(event.extensions.iter().collect::<Vec<_>>(), [("number", &Value::from("007"))]);
    assert_eq!(event.data, Data::Binary(b"body".into()));
}

#[test]
fn an_empty_body_is_no_data() {
    assert_eq!(with_header("ce-subject", "s").unwrap().data, Data::None);
}

#[test]
fn the_content_type_decides_the_mode() {
    let structured = br#"{"specversion":"1.0","id":"structured","source":"/s","type":"t"}"#;
    let id_of = |content_type: &str| {
        let map = headers(REQUIRED.into_iter().chain([("content-type", content_type)]));
        read(&map, structured).map(|event| event.id.into_owned())
    };
    for content_type in ["application/cloudevents+json", "application/cloudevents+json; charset=utf-8"] {
        assert_eq!(id_of(content_type).as_deref(), Ok("structured"), "{content_type}");
    }
    for content_type in ["Application/CloudEvents+JSON", "application/json", "text/plain", ""] {
        assert_eq!(id_of(content_type).as_deref(), Ok("1"), "{content_type}");
    }
    for content_type in [
        "application/cloudevents+json ;x",
        "application/cloudevents+jsonfoo",
        "application/cloudevents-batch+json",
        "application/cloudevents+xml",
        "application/cloudevents",
    ] {
        let found = content_type.to_owned();
        assert_eq!(id_of(content_type), Err(EventError::UnsupportedFormat { found }), "{content_type}");
    }
}

#[test]
fn the_mode_comes_from_the_first_value_and_attributes_from_the_last() {
    let structured = br#"{"specversion":"1.0","id":"structured","source":"/s","type":"t"}"#;
    let map = headers(
        REQUIRED.into_iter().chain([("content-type", "application/cloudevents+json"), ("content-type", "text/plain")]),
    );
    assert_eq!(read(&map, structured).unwrap().id, "structured");

    let map = headers(REQUIRED.into_iter().chain([
        ("ce-specversion", "9"),
        ("ce-id", "2"),
        ("content-type", "text/a"),
        ("content-type", "application/cloudevents+json"),
        ("ce-x", "1"),
        ("ce-x", "2"),
    ]));
    let event = read(&map, b"").unwrap();
    assert_eq!(event.id, "2");
    assert_eq!(event.data_content_type.as_deref(), Some("application/cloudevents+json"));
    assert_eq!(event.extensions.get("x"), Some(&Value::from("2")));
}

#[test]
fn a_message_that_claims_nothing_is_no_event() {
    let map = headers([("content-type", "application/json")]);
    assert_eq!(read(&map, b"{}"), Err(EventError::NotAnEvent));
    assert!(!claims_event(&map) && !claims_event(&HeaderMap::new()));
    assert!(claims_event(&headers(REQUIRED)));
    assert!(claims_event(&headers([("content-type", "application/cloudevents-batch+json")])));
}

#[test]
fn only_versions_1_0_and_0_3_are_read() {
    for version in ["", "1", "1.0.0", "1.1", "0.2", " 1.0x", "v1.0"] {
        let error = with_header("ce-specversion", version).unwrap_err();
        assert!(matches!(error, EventError::SpecVersion { .. }), "{version:?}: {error:?}");
    }
    assert_eq!(with_header("ce-specversion", "0.3").unwrap().spec_version, SpecVersion::V03);
}

#[test]
fn required_attributes_must_be_there_but_may_be_empty() {
    for (missing, name) in [("ce-id", "id"), ("ce-source", "source"), ("ce-type", "type")] {
        let map = headers(REQUIRED.into_iter().filter(|(header, _)| *header != missing));
        assert_eq!(read(&map, b""), Err(EventError::Missing { name }));
        assert!(with_header(missing, "").is_ok(), "{missing} may be empty");
    }
}

#[test]
fn names_and_values_are_checked() {
    for name in ["ce-my-ext", "ce-my_ext", "ce-a.b", "ce-data_base64"] {
        let error = with_header(name, "x").unwrap_err();
        assert!(matches!(error, EventError::ExtensionName { .. }), "{name}: {error:?}");
    }
    assert!(matches!(with_header("ce-source", "a b"), Err(EventError::Uri { name: "source", .. })));
    assert!(matches!(with_header("ce-dataschema", "a b"), Err(EventError::Uri { name: "dataschema", .. })));
    assert!(matches!(with_header("ce-time", "yesterday"), Err(EventError::Time { .. })));
    assert_eq!(with_header("ce-subject", "%C0%A0"), Err(EventError::Escape { name: "ce-subject".into() }));
}

#[test]
fn more_extensions_than_anyone_needs_are_refused() {
    let names: Vec<String> = (0..=crate::extensions::MAX_EXTENSIONS).map(|number| format!("ce-x{number}")).collect();
    let map = headers(REQUIRED.into_iter().chain(names.iter().map(|name| (name.as_str(), "v"))));
    assert_eq!(read(&map, b""), Err(EventError::TooManyExtensions { limit: crate::extensions::MAX_EXTENSIONS }));
}

#[test]
fn version_0_3_has_names_of_its_own() {
    let map = headers([
        ("ce-specversion", "0.3"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-schemaurl", "/schema"),
        ("ce-dataschema", "an extension here"),
        ("ce-datacontentencoding", "base64"),
    ]);
    let mut event = read(&map, b"").unwrap();
    assert_eq!(event.data_schema.as_deref(), Some("/schema"));
    assert_eq!(event.extensions.iter().collect::<Vec<_>>(), [("dataschema", &Value::from("an extension here"))]);
    assert!(with_header("ce-schemaurl", "an extension in 1.0").is_ok());

    event.to_version_10();
    let mut written = HeaderMap::new();
    write(&event, &mut written).unwrap();
    assert_eq!(written["ce-specversion"], "1.0");
    assert_eq!(written.get_all("ce-dataschema").iter().collect::<Vec<_>>(), ["/schema"]);
    assert!(!written.contains_key("ce-schemaurl"));
}

#[test]
fn values_are_percent_decoded_but_not_the_content_type() {
    assert_eq!(with_header("ce-subject", "Euro%20%E2%82%AC").unwrap().subject.as_deref(), Some("Euro €"));
    assert_eq!(with_header("ce-subject", "raw €").unwrap().subject.as_deref(), Some("raw €"));
    assert_eq!(with_header("ce-id", r#""a b""#).unwrap().id, "a b");
    assert_eq!(
        with_header("ce-time", "2020-07-06T09:23:12%2B02:00").unwrap().time.as_deref(),
        Some("2020-07-06T09:23:12+02:00")
    );
    assert_eq!(with_header("ce-ext", "100%").unwrap().extensions.get("ext"), Some(&Value::from("100%")));
    assert_eq!(with_header("content-type", "a/b;c=%41").unwrap().data_content_type.as_deref(), Some("a/b;c=%41"));
}

#[test]
fn the_escapes_of_a_uri_are_its_own_on_the_way_in_and_out() {
    for header in ["/a%20b", "/a%2Fb", "/caf%E9", "/a%2520b", "/%20/caf%C3%A9", "/%C2%A0", "urn:x?to=http%3A%2F%2Fy"] {
        let others = REQUIRED.into_iter().filter(|(name, _)| *name != "ce-source");
        let map = headers(others.chain([("ce-source", header), ("ce-dataschema", header)]));
        let event = read(&map, b"").unwrap();
        assert_eq!((event.source.as_ref(), event.data_schema.as_deref()), (header, Some(header)));
        let mut written = HeaderMap::new();
        write(&event, &mut written).unwrap();
        assert_eq!(written["ce-source"], header);
        assert_eq!(written["ce-dataschema"], header);
    }
    assert_eq!(with_header("ce-source", "\"/a\"").unwrap().source, "/a");
    assert_eq!(with_header("ce-subject", "/a%20b").unwrap().subject.as_deref(), Some("/a b"));
    assert!(matches!(with_header("ce-source", "/a %20"), Err(EventError::Uri { .. })), "a blank is in no URI");
}

#[test]
fn a_uri_with_characters_outside_ascii_is_read_as_it_was_written() {
    for (source, header) in [
        ("/é", "/%C3%A9"),
        ("http://bücher.example/日本?q=€#ü", "http://b%C3%BCcher.example/%E6%97%A5%E6%9C%AC?q=%E2%82%AC#%C3%BC"),
    ] {
        let mut written = HeaderMap::new();
        let mut event = Event::new("1", source, "t").unwrap();
        event.data_schema = Some(source.into());
        write(&event, &mut written).unwrap();
        assert_eq!(
            (&written["ce-source"], &written["ce-dataschema"]),
            (&header.parse().unwrap(), &header.parse().unwrap())
        );
        let read = read(&written, b"").unwrap();
        assert_eq!((read.source.as_ref(), read.data_schema.as_deref()), (source, Some(source)));
    }
    assert_eq!(with_header("ce-source", "/%c3%a9").unwrap().source, "/é", "case of escapes does not matter");
}

#[test]
fn every_attribute_becomes_a_header() {
    let mut event = Event::new("1", "/s", "é").unwrap();
    event.data_content_type = Some("text/plain".into());
    event.data_schema = Some("/schema".into());
    event.subject = Some("a b".into());
    event.time = Some("2020-07-06T09:23:12Z".into());
    event.extensions.set("text", "\r\n").unwrap();
    event.extensions.set("yes", true).unwrap();
    event.extensions.set("no", false).unwrap();
    event.extensions.set("knativekafkapartition", 7).unwrap();
    event.extensions.set("knativekafkaoffset", i64::MIN).unwrap();
    let long_name = "n".repeat(100);
    event.extensions.set(long_name.as_str(), -1).unwrap();
    let mut map = headers([("ce-id", "replaced"), ("prefer", "reply")]);
    write(&event, &mut map).unwrap();
    let long_header = format!("ce-{long_name}");
    assert_eq!(
        map,
        headers([
            ("ce-id", "1"),
            ("prefer", "reply"),
            ("ce-specversion", "1.0"),
            ("ce-source", "/s"),
            ("ce-type", "%C3%A9"),
            ("content-type", "text/plain"),
            ("ce-dataschema", "/schema"),
            ("ce-subject", "a%20b"),
            ("ce-time", "2020-07-06T09:23:12Z"),
            ("ce-text", "%0D%0A"),
            ("ce-yes", "true"),
            ("ce-no", "false"),
            ("ce-knativekafkapartition", "7"),
            ("ce-knativekafkaoffset", "-9223372036854775808"),
            (long_header.as_str(), "-1"),
        ])
    );
}

#[test]
fn a_name_too_long_for_a_header_is_an_error() {
    let mut event = Event::new("1", "/s", "t").unwrap();
    event.extensions.set("n".repeat(70_000), "v").unwrap();
    let error = write(&event, &mut HeaderMap::new()).unwrap_err();
    assert!(matches!(error, EventError::HeaderLimit { name } if name.chars().count() < 200));
}
