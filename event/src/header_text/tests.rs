//! Reading and writing of header values.

use bytes::Bytes;
use http::HeaderValue;
use proptest::prelude::*;

use super::{decode, is_plain, raw};

fn encode(text: &str) -> HeaderValue {
    super::encode(text, &Bytes::copy_from_slice)
}

fn content_type(text: &str) -> HeaderValue {
    super::content_type(text, &Bytes::copy_from_slice)
}

#[test]
fn escapes_are_decoded_once() {
    for (header, text) in [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%41%2d%7a", "A-z"),
        ("%2541", "%41"),
        ("100%", "100%"),
        ("%zz %4", "%zz %4"),
        ("%", "%"),
        ("a%00b", "a\0b"),
        ("", ""),
    ] {
        assert_eq!(decode(header).as_deref(), Some(text), "{header:?}");
    }
}

#[test]
fn a_value_that_is_one_quoted_string_is_unquoted_first() {
    for (header, text) in [
        (r#""quoted""#, "quoted"),
        (r#""""#, ""),
        (r#""a \"b\" \\ \c""#, r#"a "b" \ c"#),
        (r#""%20 blank""#, "  blank"),
        // No quoted strings as a whole: senders that know no quoting mean them as they stand.
        (r#"""#, r#"""#),
        (r#""a" b"#, r#""a" b"#),
        (r#"a "b" c"#, r#"a "b" c"#),
        (r#""a"b""#, r#""a"b""#),
        (r#""a\""#, r#""a\""#),
        (r#"{"a":"b"}"#, r#"{"a":"b"}"#),
        (r"\a", r"\a"),
    ] {
        assert_eq!(decode(header).as_deref(), Some(text), "{header:?}");
    }
}

#[test]
fn escapes_that_are_not_utf_8_are_refused() {
    for header in ["%C0%A0", "%ED%A0%80", "%FF", "a%E2%82", "%F5%80%80%80", r#""%FF""#] {
        assert_eq!(decode(header), None, "{header:?}");
    }
}

#[test]
fn raw_bytes_are_utf_8_or_else_latin_1() {
    for (bytes, text) in
        [("é€".as_bytes(), "é€"), (b"caf\xe9".as_slice(), "café"), (b"\xc3\xa9\xff".as_slice(), "Ã©ÿ"), (b"a", "a")]
    {
        assert_eq!(raw(&HeaderValue::from_bytes(bytes).unwrap()), text, "{bytes:?}");
    }
}

#[test]
fn what_the_specification_lists_is_escaped_and_nothing_else() {
    let printable: String = ('!'..='~').filter(|character| !matches!(character, '"' | '%')).collect();
    assert_eq!(encode(&printable), printable);
    for (text, header) in [
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ("\"100%\"", "%22100%25%22"),
        ("a\r\n\tb\0\u{7f}", "a%0D%0A%09b%00%7F"),
        ("", ""),
    ] {
        assert_eq!(encode(text), header, "{text:?}");
    }
}

#[test]
fn a_content_type_stays_as_it_is_unless_no_header_can_hold_it() {
    for (text, header) in [
        ("text/plain; charset=\"utf 8%20\"", "text/plain; charset=\"utf 8%20\""),
        ("text/é", "text/%C3%A9"),
        ("text/plain\r\nx: y", "text/plain%0D%0Ax: y"),
    ] {
        assert_eq!(content_type(text), header, "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_survives_a_header(text in any::<String>()) {
        let header = encode(&text);
        let visible = header.as_bytes().iter().all(|byte| matches!(byte, 0x21..=0x7e));
        prop_assert!(visible, "{:?}", header);
        let read = raw(&header);
        let decoded = decode(&read);
        prop_assert_eq!(decoded.as_deref(), Some(text.as_str()));
        prop_assert!(!is_plain(&read) || read == text);
    }

    #[test]
    fn any_content_type_fits_into_a_header(text in any::<String>()) {
        prop_assert!(content_type(&text).to_str().is_ok());
    }
}
