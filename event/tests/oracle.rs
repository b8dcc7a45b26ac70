//! Holds the codec against `cloudevents-sdk`, on inputs where the two are meant to agree.
//!
//! Where they differ on purpose, and what that means for the inputs made here:
//! - The SDK rewrites `time` (always UTC), so instants are compared, not texts. It refuses forms that Java accepts
//!   (no seconds, offsets in hours), so times are in RFC 3339's own form.
//! - It parses `dataschema` as an absolute URL and normalises it; schemas here are absolute and normal. It does not
//!   check `source`; sources here are URI references.
//! - It neither percent-decodes nor percent-encodes header values and fails on raw UTF-8 in them; ours does both. So
//!   texts in headers are plain ASCII, and one property feeds escapes and expects ours to be the SDK's, decoded.
//! - It parses JSON data and prints it anew (blanks, order, number spelling), ours keeps the bytes; data is compared as
//!   JSON values, with numbers that survive a double. JSON data in base64 is a JSON value there and bytes here.
//! - It leaves an absent `datacontenttype` of an event with `data` absent; ours becomes `application/json`.
//! - It takes any `+json` type for JSON, ours the peer's narrower set; types here are in or out of both.
//! - It keeps body bytes of JSON types binary and writes them as `data_base64`, where ours writes `data`.
//! - It knows no `data_base64` in version 0.3, reads `datacontentencoding` in any case, and accepts extension names
//!   like `my_ext`, integers of 64 bits, and `data` as an extension. It takes the last value of a repeated header for
//!   the mode too. None of that is generated; the crate's own tests pin ours.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

use cloudevents::AttributesReader as _;
use cloudevents::binding::http::to_event;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use millrace_event::{Data, Event, SpecVersion, Value, http_binding, json, time};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

#[track_caller]
fn check_same(ours: &Event<'_>, theirs: &cloudevents::Event) {
    assert_eq!(ours.spec_version.as_str(), theirs.specversion().to_string());
    assert_eq!((&*ours.id, &*ours.source, &*ours.ty), (theirs.id(), theirs.source().as_str(), theirs.ty()));
    assert_eq!(ours.subject.as_deref(), theirs.subject());
    assert_eq!(ours.data_schema.as_deref(), theirs.dataschema().map(AsRef::as_ref));
    let our_instant = ours.time.as_deref().map(|text| time::to_instant(text).unwrap().into_owned());
    let their_instant = theirs.time().map(|time| time.to_rfc3339().replace("+00:00", "Z"));
    assert_eq!(our_instant, their_instant);
    let defaulted = theirs.datacontenttype().is_none() && matches!(ours.data, Data::Json(_));
    let expected = if defaulted { Some("application/json") } else { theirs.datacontenttype() };
    assert_eq!(ours.data_content_type.as_deref(), expected);

    let mut our_extensions: Vec<_> =
        ours.extensions.iter().map(|(name, value)| (name.to_owned(), value.clone().into_owned())).collect();
    let mut their_extensions: Vec<_> =
        theirs.iter_extensions().map(|(name, value)| (name.to_owned(), value_of(value))).collect();
    our_extensions.sort_by(|one, other| one.0.cmp(&other.0));
    their_extensions.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(our_extensions, their_extensions);
    check_same_data(ours, theirs.data());
}

fn value_of(theirs: &cloudevents::event::ExtensionValue) -> Value<'static> {
    match theirs {
        cloudevents::event::ExtensionValue::String(text) => Value::from(text.clone()),
        cloudevents::event::ExtensionValue::Boolean(value) => Value::from(*value),
        cloudevents::event::ExtensionValue::Integer(value) => Value::from(i32::try_from(*value).unwrap()),
    }
}

#[track_caller]
fn check_same_data(ours: &Event<'_>, theirs: Option<&cloudevents::Data>) {
    let bytes = ours.data.bytes();
    match theirs {
        None => assert_eq!(bytes, None),
        Some(cloudevents::Data::Binary(theirs)) => assert_eq!(bytes, Some(theirs.as_slice())),
        Some(cloudevents::Data::String(theirs)) => assert_eq!(bytes, Some(theirs.as_bytes())),
        Some(cloudevents::Data::Json(theirs)) => {
            let ours: serde_json::Value = serde_json::from_slice(bytes.unwrap()).unwrap();
            assert_eq!(ours, *theirs);
        }
    }
}

fn headers(pairs: &[(String, String)]) -> HeaderMap {
    let parse =
        |(name, value): &(String, String)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    pairs.iter().map(parse).collect()
}

/// Visible ASCII that no binding treats in a special way.
fn plain() -> impl Strategy<Value = String> {
    "[!#$&-~]{1,20}"
}

fn uri() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "/[a-z0-9][a-z0-9/]{0,12}(#[a-z]{0,3})?",
        "urn:[a-z]{1,9}",
        "http://[a-z]{1,9}/[a-z]{0,9}"
    ]
}

fn rfc3339() -> impl Strategy<Value = String> {
    let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{1,9}"];
    let offset = prop_oneof![Just("Z".to_owned()), "[+-](0[0-9]|1[0-7]):[0-5][0-9]"];
    (1..9999_u16, 1..13_u8, 1..29_u8, 0..24_u8, 0..60_u8, 0..60_u8, fraction, offset).prop_map(
        |(year, month, day, hour, minute, second, fraction, offset)| {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}")
        },
    )
}

fn schema() -> impl Strategy<Value = String> {
    "http://[a-z]{3,9}/[a-z]{0,9}"
}

fn json_type() -> impl Strategy<Value = String> {
    prop_oneof![Just("application/json".to_owned()), Just("text/json".to_owned()), "application/[a-z]{1,9}\\+json"]
}

fn other_type() -> impl Strategy<Value = String> {
    "(text|image)/x[a-z]{0,9}(;[a-z]{1,3}=[a-z]{1,3})?"
}

/// JSON that means the same after it went through a double and a sorted map.
fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f32>().prop_filter("finite", |number| number.is_finite()).prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

prop_compose! {
    /// Attributes and text extensions, by the names they have in headers without `ce-` and in JSON.
    fn attributes(text: BoxedStrategy<String>)(
        v03: bool,
        id in text.clone(), source in uri(), ty in text.clone(),
        subject in proptest::option::of(text.clone()),
        time in proptest::option::of(rfc3339()),
        schema in proptest::option::of(schema()),
        extensions in proptest::collection::btree_map("x[a-z0-9]{0,9}", text, 0..6),
    ) -> Vec<(String, String)> {
        let (version, schema_name) = if v03 { ("0.3", "schemaurl") } else { ("1.0", "dataschema") };
        let required = [("specversion", version.to_owned()), ("id", id), ("source", source), ("type", ty)];
        let optional = [("subject", subject), ("time", time), (schema_name, schema)];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let named = required.into_iter().chain(optional).map(|(name, value)| (name.to_owned(), value));
        named.chain(extensions).collect()
    }
}

fn json_members(attributes: &[(String, String)]) -> serde_json::Map<String, serde_json::Value> {
    attributes.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
}

fn as_headers(attributes: &[(String, String)]) -> Vec<(String, String)> {
    attributes.iter().map(|(name, value)| (format!("ce-{name}"), value.clone())).collect()
}

fn extension_value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ]
}

proptest! {
    #[test]
    fn binary_requests_are_read_alike(
        attributes in attributes(plain().boxed()),
        content_type in proptest::option::of(prop_oneof![json_type(), other_type()]),
        body: Vec<u8>,
    ) {
        let mut pairs = as_headers(&attributes);
        pairs.extend(content_type.map(|value| ("content-type".to_owned(), value)));
        let map = headers(&pairs);
        check_same(&http_binding::read(&map, &body).unwrap(), &to_event(&map, body.clone()).unwrap());
    }

    #[test]
    fn escaped_headers_are_read_as_what_the_sdk_reads_decoded(
        attributes in attributes("([!#$&-~]|%20|%25|%E2%82%AC){1,6}".boxed()),
    ) {
        let map = headers(&as_headers(&attributes));
        let ours = http_binding::read(&map, b"").unwrap();
        let theirs = to_event(&map, Vec::new()).unwrap();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        prop_assert_eq!((&*ours.id, &*ours.ty), (&*decoded(theirs.id()), &*decoded(theirs.ty())));
        prop_assert_eq!(ours.subject.as_deref().map(str::to_owned), theirs.subject().map(decoded));
        for (name, value) in theirs.iter_extensions() {
            let ours = ours.extensions.get(name).map(Value::to_string);
            prop_assert_eq!(ours, Some(decoded(&value.to_string())));
        }
    }

    #[test]
    fn what_is_written_as_headers_is_read_alike_by_the_sdk(
        attributes in attributes(plain().boxed()),
        content_type in proptest::option::of(other_type()),
        body: Vec<u8>,
    ) {
        let mut pairs = as_headers(&attributes);
        pairs.extend(content_type.map(|value| ("content-type".to_owned(), value)));
        let map = headers(&pairs);
        let event = http_binding::read(&map, &body).unwrap();
        let mut written = HeaderMap::new();
        http_binding::write(&event, &mut written).unwrap();
        check_same(&event, &to_event(&written, event.data.bytes().unwrap_or_default().to_vec()).unwrap());
    }

    #[test]
    fn structured_events_with_json_data_are_read_alike(
        attributes in attributes(any::<String>().boxed()),
        extra in proptest::collection::btree_map("y[a-z0-9]{0,9}", extension_value(), 0..4),
        content_type in proptest::option::of(json_type()),
        data in json_value(),
        pretty: bool,
    ) {
        let mut members = json_members(&attributes);
        members.extend(extra);
        members.extend(content_type.map(|value| ("datacontenttype".to_owned(), value.into())));
        members.insert("data".to_owned(), data);
        let text = if pretty { serde_json::to_vec_pretty(&members) } else { serde_json::to_vec(&members) }.unwrap();
        let ours = json::read(&text).unwrap();
        check_same(&ours, &serde_json::from_slice(&text).unwrap());

        let written = json::write(&ours).unwrap();
        check_same(&ours, &serde_json::from_slice(&written).unwrap());
    }

    #[test]
    fn structured_events_with_other_data_are_read_alike(
        attributes in attributes(any::<String>().boxed()),
        content_type in other_type(),
        data in proptest::option::of(any::<String>()),
    ) {
        let mut members = json_members(&attributes);
        members.insert("datacontenttype".to_owned(), content_type.into());
        members.extend(data.map(|text| ("data".to_owned(), text.into())));
        let text = serde_json::to_vec(&members).unwrap();
        let ours = json::read(&text).unwrap();
        check_same(&ours, &serde_json::from_slice(&text).unwrap());

        // Written as base64, which both versions can hold and the SDK reads.
        let written = json::write(&ours).unwrap();
        check_same(&ours, &serde_json::from_slice(&written).unwrap());
    }

    #[test]
    fn what_the_sdk_writes_as_json_is_read_alike(
        attributes in attributes(any::<String>().boxed()),
        content_type in other_type(),
        data: Vec<u8>,
    ) {
        let mut event: cloudevents::Event = serde_json::from_value(json_members(&attributes).into()).unwrap();
        event.set_data(content_type, data);
        let text = serde_json::to_vec(&event).unwrap();
        check_same(&json::read(&text).unwrap(), &event);
    }

    #[test]
    fn required_members_are_required_by_both(
        attributes in attributes(any::<String>().boxed()),
        missing in proptest::sample::select(vec!["specversion", "id", "source", "type"]),
    ) {
        let mut members = json_members(&attributes);
        members.remove(missing);
        let text = serde_json::to_vec(&members).unwrap();
        prop_assert!(json::read(&text).is_err());
        prop_assert!(serde_json::from_slice::<cloudevents::Event>(&text).is_err());
        let pairs: Vec<_> = attributes.iter().filter(|(name, _)| name != missing && name != "time").cloned().collect();
        let plain: Vec<_> = pairs.into_iter().map(|(name, _)| (name, "1.0".to_owned())).collect();
        prop_assert!(http_binding::read(&headers(&as_headers(&plain)), b"").is_err());
    }
}

#[test]
fn the_versions_are_the_sdks() {
    for (ours, theirs) in [
        (SpecVersion::V03, cloudevents::event::SpecVersion::V03),
        (SpecVersion::V10, cloudevents::event::SpecVersion::V10),
    ] {
        assert_eq!(ours.as_str(), theirs.as_str());
    }
}
