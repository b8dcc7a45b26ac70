//! What must hold of every event, wherever it was read.
//!
//! Bindings may change a few things on purpose; they are evened out here, each with its reason, before events are
//! compared.

use std::collections::BTreeMap;
use std::mem::discriminant;

use http::HeaderMap;
use millrace_event::kafka_binding::{self, RecordHeaders};
use millrace_event::{Data, Event, EventError, Extensions, SpecVersion, Value, http_binding, json};

use crate::target::Outcome;

#[derive(Default)]
struct Headers(Vec<(String, Vec<u8>)>);

impl RecordHeaders for Headers {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_owned(), value.to_owned()));
    }
}

/// Tells events apart by what they have, not by the texts in it.
pub(super) fn outcome(read: &Result<Event<'_>, EventError>) -> Outcome {
    match read {
        Err(error) => Outcome::of((0, discriminant(error))),
        Ok(event) => Outcome::of((
            1,
            event.spec_version == SpecVersion::V03,
            [&event.data_content_type, &event.data_schema, &event.subject, &event.time].map(Option::is_some),
            event.extensions.len().min(12),
            discriminant(&event.data),
        )),
    }
}

/// Checks all ways that an event may go.
pub(super) fn check(event: &Event<'_>) {
    // Messages with such a content type are structured events or none at all, whatever else they hold.
    let looks_structured = |text: &str| text.starts_with("application/cloudevents");
    if !event.data_content_type.as_deref().is_some_and(looks_structured) {
        check_kafka(event);
        check_http(event);
    }
    check_json(event);
    assert_eq!(&event.clone().into_owned(), event);
}

fn check_kafka(event: &Event<'_>) {
    let mut headers = Headers::default();
    kafka_binding::write_binary(event, &mut headers);
    let pairs = headers.0.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice())));
    let read = kafka_binding::read(pairs, kafka_binding::payload(event));
    let Ok(read) = read else { panic!("written and not readable: {read:?}") };
    check_headers(&read, &as_binary(event), "through Kafka");
}

fn check_http(event: &Event<'_>) {
    let mut headers = HeaderMap::new();
    if let Err(error) = http_binding::write(event, &mut headers) {
        assert!(matches!(error, EventError::HeaderLimit { .. }), "{error}");
        return;
    }
    let read = http_binding::read(&headers, event.data.bytes().unwrap_or_default());
    let Ok(mut read) = read else { panic!("written and not readable: {read:?}") };
    let expected = as_binary(event);
    // A URI outside ASCII comes back with escapes.
    if !expected.source.is_ascii() {
        read.source.clone_from(&expected.source);
    }
    if expected.data_schema.as_ref().is_some_and(|schema| !schema.is_ascii()) {
        read.data_schema.clone_from(&expected.data_schema);
    }
    // A content type is not percent-decoded, and a header has no blanks at its ends.
    let is_plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text;
    if !expected.data_content_type.as_deref().is_none_or(is_plain) {
        read.data_content_type.clone_from(&expected.data_content_type);
    }
    check_headers(&read, &expected, "over HTTP");
}

fn check_json(event: &Event<'_>) {
    let text = match json::write(event) {
        Ok(text) => text,
        Err(error) => {
            assert!(event.extensions.get("data").is_some(), "{error}");
            return;
        }
    };
    let Ok(mut read) = json::read(&text) else { panic!("written and not readable: {event:?}") };
    let mut expected = event.clone();
    // What is in the member `data` and has no content type gets that of JSON; in version 0.3 all data is there.
    let is_in_data = match read.data {
        Data::None => false,
        Data::Binary(_) => read.spec_version == SpecVersion::V03,
        Data::Json(_) => true,
    };
    if expected.data_content_type.is_none() && is_in_data {
        expected.data_content_type = Some("application/json".into());
    }
    assert_eq!(trimmed(&read.data), trimmed(&expected.data), "as JSON");
    // Names of the other version come first, wherever they stood.
    let sorted = |event: &Event<'_>| -> BTreeMap<String, Value<'static>> {
        event.extensions.iter().map(|(name, value)| (name.to_owned(), value.clone().into_owned())).collect()
    };
    assert_eq!(sorted(&read), sorted(&expected), "as JSON");
    (read.data, expected.data) = (Data::None, Data::None);
    (read.extensions, expected.extensions) = (Extensions::new(), Extensions::new());
    assert_eq!(read, expected, "as JSON");
}

/// In headers, extensions are texts, and no data is as good as empty data.
fn as_binary<'e>(event: &'e Event<'_>) -> Event<'e> {
    let data = match event.data.bytes() {
        None | Some([]) => Data::None,
        Some(bytes) => Data::Binary(bytes.into()),
    };
    Event { data, ..event.clone() }
}

#[track_caller]
fn check_headers(read: &Event<'_>, expected: &Event<'_>, way: &str) {
    let texts = |event: &Event<'_>| -> Vec<(String, String)> {
        event.extensions.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect()
    };
    assert_eq!(texts(read), texts(expected), "{way}");
    let without = |event: &Event<'_>| Event { extensions: Extensions::new(), ..event.clone().into_owned() };
    assert_eq!(without(read), without(expected), "{way}");
}

/// Blanks around a JSON value are not part of it.
fn trimmed<'d>(data: &'d Data<'_>) -> Option<&'d [u8]> {
    match data {
        Data::None => None,
        Data::Binary(bytes) | Data::Json(bytes) => Some(bytes.trim_ascii()),
    }
}
