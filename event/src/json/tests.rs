//! Structured events as users see them.

use super::{read, write};
use crate::extensions::MAX_EXTENSIONS;
use crate::{Data, Event, EventError, SpecVersion, Value};

/// Members of a minimal event, for more to follow.
const HEAD: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t""#;
const HEAD_03: &str = r#"{"specversion":"0.3","id":"1","source":"/s","type":"t""#;

fn with_members(head: &str, members: &str) -> Result<Event<'static>, EventError> {
    let comma = if members.is_empty() { "" } else { "," };
    read(format!("{head}{comma}{members}}}").as_bytes()).map(Event::into_owned)
}

#[track_caller]
fn check_data(head: &str, members: &str, content_type: Option<&str>, data: Data<'_>) {
    let event = with_members(head, members).unwrap();
    assert_eq!((event.data_content_type.as_deref(), event.data), (content_type, data), "{members}");
}

#[track_caller]
fn check_error(members: &str, expected: &EventError) {
    for head in [HEAD, HEAD_03] {
        assert_eq!(with_members(head, members).as_ref(), Err(expected), "{head} {members}");
    }
}

fn json(text: &str) -> Data<'_> {
    Data::Json(text.as_bytes().into())
}

fn binary(text: &str) -> Data<'_> {
    Data::Binary(text.as_bytes().into())
}

fn wrong_type(name: &str, expected: &'static str) -> EventError {
    EventError::MemberType { name: name.to_owned(), expected }
}

#[test]
fn attributes_are_read_and_borrowed() {
    let text = br#" {"time":"2020-07-06T09:23Z","type":"\u0074","x":"y","id":"1","source":"/s","subject":"s",
        "dataschema":"/schema","specversion":"1.0","datacontenttype":"text/plain"} "#;
    let event = read(text).unwrap();
    assert_eq!((&*event.id, &*event.source, &*event.ty), ("1", "/s", "t"));
    assert!(matches!(event.id, std::borrow::Cow::Borrowed(_)));
    assert_eq!(event.time.as_deref(), Some("2020-07-06T09:23:00Z"));
    assert_eq!(event.subject.as_deref(), Some("s"));
    assert_eq!(event.data_schema.as_deref(), Some("/schema"));
    assert_eq!(event.data_content_type.as_deref(), Some("text/plain"), "no default without data");
    assert_eq!(event.data, Data::None);
    assert_eq!(event.extensions.get("x"), Some(&Value::from("y")));
}

#[test]
fn json_data_keeps_every_byte() {
    for text in [
        "1.10",
        "1e400",
        "123456789012345678901234567890",
        r#""a\u0041\/""#,
        "{ \"b\" : 1,\n\"a\": [ ] }",
        "null",
        "false",
    ] {
        check_data(HEAD, &format!("\"data\": {text} "), Some("application/json"), json(text));
        check_data(HEAD_03, &format!("\"data\": {text} "), Some("application/json"), json(text));
        let members = format!(r#""datacontenttype":"text/x+json;a=b","data":{text}"#);
        check_data(HEAD, &members, Some("text/x+json;a=b"), json(text));
    }
}

#[test]
fn other_data_is_the_text_of_a_string() {
    check_data(HEAD, r#""datacontenttype":"text/plain","data":"a\"é\u0000""#, Some("text/plain"), binary("a\"é\0"));
    check_data(
        HEAD,
        r#""data":"<a/>","datacontenttype":"application/vnd.x+json""#,
        Some("application/vnd.x+json"),
        binary("<a/>"),
    );
    for value in ["null", "1", "{}", r#""\ud800""#] {
        let expected = wrong_type("data", "a string, because the content type is not JSON");
        check_error(&format!(r#""datacontenttype":"text/plain","data":{value}"#), &expected);
    }
}

#[test]
fn base64_data_is_decoded_and_gets_no_content_type() {
    for head in [HEAD, HEAD_03] {
        check_data(head, r#""data_base64":"aGk=""#, None, binary("hi"));
        check_data(head, r#""data_base64":"""#, None, binary(""));
        check_data(
            head,
            r#""datacontenttype":"application/json","data_base64":"e30=""#,
            Some("application/json"),
            binary("{}"),
        );
        check_data(head, r#""data_base64":"aG\r\nk=""#, None, binary("hi"));
        check_data(head, r#""data_base64":"aGl=""#, None, binary("hi"));
    }
    for text in ["aGk", "a", "_-==", "aGk=x", "aGk=="] {
        check_error(&format!(r#""data_base64":"{text}""#), &EventError::Base64 { name: "data_base64" });
    }
    check_error(r#""data_base64":null"#, &wrong_type("data_base64", "a string"));
}

#[test]
fn version_0_3_may_encode_data_itself() {
    check_data(HEAD_03, r#""datacontentencoding":"base64","data":"aGk=""#, Some("application/json"), binary("hi"));
    check_data(HEAD_03, r#""datacontentencoding":"Base64","data":"aGk=""#, Some("application/json"), json("\"aGk=\""));
    check_data(HEAD_03, r#""datacontentencoding":null,"data":1"#, Some("application/json"), json("1"));
    assert_eq!(
        with_members(HEAD_03, r#""datacontentencoding":"base64","data":1"#),
        Err(wrong_type("data", "a string"))
    );
    assert!(with_members(HEAD_03, r#""datacontentencoding":"base64""#).unwrap().extensions.is_empty());
}

#[test]
fn names_of_the_other_version_are_extensions() {
    let event = with_members(HEAD, r#""schemaurl":"a b","datacontentencoding":"base64","data":"aGk=""#).unwrap();
    assert_eq!(event.extensions.get("schemaurl"), Some(&Value::from("a b")));
    assert_eq!(event.extensions.get("datacontentencoding"), Some(&Value::from("base64")));
    assert_eq!(event.data, json("\"aGk=\""));
    let event = with_members(HEAD_03, r#""dataschema":"a b","schemaurl":"/s""#).unwrap();
    assert_eq!(event.extensions.get("dataschema"), Some(&Value::from("a b")));
    assert_eq!(event.data_schema.as_deref(), Some("/s"));
}

#[test]
fn data_in_two_members_is_refused_even_if_null() {
    for members in
        [r#""data":1,"data_base64":"aGk=""#, r#""data":null,"data_base64":"aGk=""#, r#""data":1,"data_base64":null"#]
    {
        check_error(members, &EventError::DataTwice);
    }
}

#[test]
fn extensions_are_strings_booleans_or_small_integers() {
    for (text, value) in [
        (r#""a\nb""#, Value::from("a\nb")),
        ("true", Value::from(true)),
        ("false", Value::from(false)),
        ("2147483647", Value::from(i32::MAX)),
        ("-2147483648", Value::from(i32::MIN)),
        ("-0", Value::from(0)),
        (r#"{ "a" : [1, "b \" c", 1.10],  "\\" : {} }"#, Value::from(r#"{"a":[1,"b \" c",1.10],"\\":{}}"#)),
        ("[]", Value::from("[]")),
    ] {
        let event = with_members(HEAD, &format!("\"x\":{text}")).unwrap();
        assert_eq!(event.extensions.get("x"), Some(&value), "{text}");
    }
    for text in ["2147483648", "-2147483649", "1.0", "1e2", "99999999999999999999"] {
        check_error(&format!("\"x\":{text}"), &wrong_type("x", "an integer of 32 bits, if it is a number"));
    }
}

#[test]
fn null_means_absent() {
    let nulls = r#""x":null,"subject":null,"time":null,"datacontenttype":null,"dataschema":null"#;
    assert_eq!(with_members(HEAD, nulls), with_members(HEAD, ""));
}

#[test]
fn extension_names_are_not_lower_cased() {
    for name in ["X", "my_ext", "my-ext", "é", "", "data_base6"] {
        check_error(&format!("\"{name}\":\"v\""), &EventError::ExtensionName { name: name.to_owned() });
    }
}

#[test]
fn required_members_must_be_strings() {
    for missing in ["specversion", "id", "source", "type"] {
        let kept = ["specversion", "id", "source", "type"].into_iter().filter(|name| *name != missing);
        let members: Vec<String> =
            kept.map(|name| format!(r#""{name}":"{}""#, if name == "specversion" { "1.0" } else { "v" })).collect();
        let text = format!("{{{}}}", members.join(","));
        assert_eq!(read(text.as_bytes()), Err(EventError::Missing { name: missing }));
        for value in ["null", "1", "{}"] {
            let text = format!("{{{},\"{missing}\":{value}}}", members.join(","));
            assert_eq!(read(text.as_bytes()), Err(wrong_type(missing, "a string")), "{text}");
        }
        let empty = format!("{{{},\"{missing}\":\"\"}}", members.join(","));
        assert_eq!(read(empty.as_bytes()).is_ok(), missing != "specversion", "{empty}");
    }
}

#[test]
fn optional_members_must_be_strings_of_the_right_form() {
    for name in ["subject", "time", "datacontenttype"] {
        check_error(&format!("\"{name}\":1"), &wrong_type(name, "a string"));
    }
    assert!(matches!(with_members(HEAD, r#""time":"x""#), Err(EventError::Time { .. })));
    assert!(matches!(with_members(HEAD, r#""dataschema":"a b""#), Err(EventError::Uri { name: "dataschema", .. })));
    assert!(matches!(with_members(HEAD_03, r#""schemaurl":"a b""#), Err(EventError::Uri { name: "schemaurl", .. })));
    let version = with_members(HEAD, r#""specversion":"2""#);
    assert_eq!(version, Err(EventError::SpecVersion { found: "2".into() }));
}

#[test]
fn the_last_member_of_a_name_counts() {
    let event = with_members(HEAD, r#""id":7,"x":1.5,"x":"b","data":1,"data":2,"id":"2""#).unwrap();
    assert_eq!(event.id, "2");
    assert_eq!(event.extensions.get("x"), Some(&Value::from("b")));
    assert_eq!(event.data, json("2"));
}

#[test]
fn what_follows_the_object_is_ignored() {
    for junk in ["}", " x", "{}", "\u{0}", "\n"] {
        assert!(read(format!("{HEAD}}}{junk}").as_bytes()).is_ok(), "{junk:?}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for text in
        ["", " ", "[]", "1", "null", "\"a\"", "{", HEAD, r#"{"id":}"#, r#"{"id" "1"}"#, "{id:1}", "{\"a\":\"\u{1}\"}"]
    {
        let error = read(text.as_bytes()).unwrap_err();
        assert!(matches!(error, EventError::Json { .. }), "{text:?}: {error:?}");
    }
    let mut latin_1 = format!("{HEAD},\"x\":\"").into_bytes();
    latin_1.extend_from_slice(b"\xe9\"}");
    assert!(matches!(read(&latin_1), Err(EventError::Json { .. })));
}

#[test]
fn utf_16_and_utf_32_are_read_with_or_without_a_byte_order_mark() {
    let text = format!("{HEAD},\"data\":\"\u{e9}\u{1f600}\"}}");
    let expected = read(text.as_bytes()).unwrap();
    assert_eq!(expected.data, Data::Json("\"\u{e9}\u{1f600}\"".as_bytes().into()));
    for text in [text.clone(), format!("\u{feff}{text}")] {
        let units = || text.encode_utf16();
        let characters = || text.chars().map(u32::from);
        let encodings: [Vec<u8>; 5] = [
            text.clone().into_bytes(),
            units().flat_map(u16::to_le_bytes).collect(),
            units().flat_map(u16::to_be_bytes).collect(),
            characters().flat_map(u32::to_le_bytes).collect(),
            characters().flat_map(u32::to_be_bytes).collect(),
        ];
        for bytes in encodings {
            assert_eq!(read(&bytes).as_ref(), Ok(&expected), "{:?}", bytes.get(..8));
        }
    }
}

#[test]
fn bytes_that_only_begin_like_utf_16_or_utf_32_are_refused_by_name() {
    for bytes in [&b"{\0"[..], b"{\0\"", b"\0{\xd8\0", b"\xff\xfe{", b"{\0\0\0\0\0\x11\0", b"\0\0\0{\0"] {
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, EventError::JsonEncoding | EventError::Json { .. }), "{bytes:?}: {error}");
    }
}

#[test]
fn deep_nesting_and_many_members_are_bounded() {
    let deep = format!("\"data\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(with_members(HEAD, &deep).is_ok(), "data is skipped, not descended into");
    let many = |count: usize| (0..count).map(|number| format!("\"x{number}\":1")).collect::<Vec<_>>().join(",");
    assert_eq!(with_members(HEAD, &many(MAX_EXTENSIONS)).unwrap().extensions.len(), MAX_EXTENSIONS);
    let error = with_members(HEAD, &many(MAX_EXTENSIONS + 1)).unwrap_err();
    assert_eq!(error, EventError::TooManyExtensions { limit: MAX_EXTENSIONS });
    for repeated in ["\"x\":1", "\"id\":\"1\""] {
        let error = with_members(HEAD, &vec![repeated; 2 * MAX_EXTENSIONS].join(",")).unwrap_err();
        assert!(error.to_string().contains("more than 1024 extensions"), "{error}");
    }
}

fn event() -> Event<'static> {
    Event::new("1", "/s", "t").unwrap()
}

#[track_caller]
fn check_write(event: &Event<'_>, members: &str) {
    let head = match event.spec_version {
        SpecVersion::V03 => HEAD_03,
        SpecVersion::V10 => HEAD,
    };
    let text = String::from_utf8(write(event).unwrap()).unwrap();
    assert_eq!(text, format!("{head}{members}}}"));
}

#[test]
fn members_are_written_in_the_order_of_the_java_plane() {
    check_write(&event(), "");
    let mut full = event();
    full.extensions.set("s", "a\"\n").unwrap();
    full.extensions.set("b", true).unwrap();
    full.extensions.set("i", -1).unwrap();
    full.extensions.set("l", 5_000_000_000_i64).unwrap();
    full.data_content_type = Some("text/plain".into());
    full.data_schema = Some("/schema".into());
    full.subject = Some("é".into());
    full.time = Some("2020-07-06T09:23:12Z".into());
    full.data = binary("hi");
    let rest = r#","subject":"é","time":"2020-07-06T09:23:12Z","s":"a\"\n","b":true,"i":-1,"l":"5000000000""#;
    check_write(
        &full,
        &format!(r#","datacontenttype":"text/plain","dataschema":"/schema"{rest},"data_base64":"aGk=""#),
    );
    full.spec_version = SpecVersion::V03;
    check_write(
        &full,
        &format!(
            r#","datacontenttype":"text/plain","schemaurl":"/schema"{rest},"datacontentencoding":"base64","data":"aGk=""#
        ),
    );
}

#[test]
fn a_body_is_written_as_json_only_if_it_is_json() {
    for (content_type, body, members) in [
        (None, "{ \"a\":1.10}", r#","data":{ "a":1.10}"#),
        (None, "\n1 ", ",\"data\":\n1 "),
        (None, "hello", r#","data_base64":"aGVsbG8=""#),
        (None, "1 2", r#","data_base64":"MSAy""#),
        (None, "", r#","data_base64":"""#),
        (Some("application/json"), "[1", r#","datacontenttype":"application/json","data_base64":"WzE=""#),
        (Some("application/json"), "[1]", r#","datacontenttype":"application/json","data":[1]"#),
        (Some("text/plain"), "1", r#","datacontenttype":"text/plain","data_base64":"MQ==""#),
    ] {
        let event = Event { data_content_type: content_type.map(Into::into), data: binary(body), ..event() };
        check_write(&event, members);
    }
    let event = Event { data: Data::Binary(b"\"\xff\"".into()), ..event() };
    check_write(&event, r#","data_base64":"Iv8i""#);
}

#[test]
fn json_data_is_written_unchanged() {
    let text = "{ \"b\" : 1e400 }";
    let event = Event { data_content_type: Some("application/json".into()), data: json(text), ..event() };
    check_write(&event, &format!(r#","datacontenttype":"application/json","data":{text}"#));
    let written = write(&event).unwrap();
    assert_eq!(read(&written).unwrap(), event);
}
