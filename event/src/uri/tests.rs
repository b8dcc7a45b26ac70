//! The tables were run through `java.net.URI` of JDK 17.

use super::{UriError, check};

#[test]
fn references_that_java_accepts_are_accepted() {
    for text in [
        "",
        "/a",
        "?",
        "?a?b",
        "#f",
        "a",
        "a:b",
        "a/b:c",
        "1/b:c",
        "a?b:c",
        "a-b+c.d:e",
        "urn:x:y",
        "mailto:x@y",
        "localhost",
        "partition:0#1",
        "foo:?",
        "x:[a]",
        "/q?[x]",
        "/q?a#[x]",
        "//a",
        "///",
        "////",
        "a:/",
        "a:///b",
        "http://a_b/",
        "http://é/x",
        "http:///",
        "http:///a",
        "http://?q",
        "http://#f",
        "http://a:b@c:d/",
        "http://a:/",
        "http://@",
        "http://:80",
        "http://a%41b/",
        "http://[::1]/",
        "http://[::1]:80/",
        "http://[::1]:",
        "http://[::1]?x",
        "http://[::1]#x",
        "http://a%20@[::1]/",
        "http://[::1%eth0]/",
        "http://[1:2:3:4:5:6:7:8]",
        "http://[::1.2.3.4]",
        "http://[::ffff:1.2.3.4]:1",
        "http://[1:2:3:4:5:6:7::]",
        "😀",
        "/aÿb",
        "a\u{61c}b",
        "a\u{feff}b",
        "a\u{200b}b",
        "a\u{180e}b",
        "/apis/v1/namespaces/ns/kafkasources/ks#topic",
    ] {
        assert_eq!(check(text), Ok(()), "{text:?}");
    }
}

#[test]
fn texts_that_java_refuses_are_refused() {
    for text in [
        "a b",
        "\"",
        "<",
        ">",
        "\\",
        "^",
        "`",
        "{",
        "|",
        "}",
        "/[a]",
        "/a%zz",
        "/a%2",
        "%",
        "1abc:def",
        ":x",
        "foo:",
        "foo:#a",
        "//",
        "http://",
        "a://",
        "a#b#c",
        "http://[::1",
        "http://[::1]x",
        "http://::1]",
        "http://[]",
        "http://[v1.a]",
        "http://[::1%]",
        "http://[1:2:3:4:5:6:7:8:9]",
        "http://[1.2.3.4]",
        "http://[::1.2.3.256]",
        "http://u@[::1]:99999999999",
        "http://u@v@[::1]/",
        "a\u{80}",
        "a\u{85}",
        "a\u{a0}b",
        "a\u{2028}b",
        "a\u{3000}",
        "a\u{1}b",
        "a\u{7f}",
        "http://a[b/",
        "http://a]b/",
        "http://a[b]c/",
        "http://%zz/",
        "-a:b",
        "é:x",
        "http://é[::1]",
        "http://[00001::]",
        "http://[1::2::3]",
        "http://[:::]",
        "http://[::1%é]",
        "http://[%25]",
    ] {
        assert!(check(text).is_err(), "{text:?}");
    }
}

#[test]
fn the_error_names_the_part_that_is_wrong() {
    for (text, expected) in [
        ("1abc:def", UriError::Scheme),
        (":x", UriError::Scheme),
        ("foo:", UriError::Empty),
        ("http://", UriError::Authority),
        ("http://[x]/", UriError::Authority),
        ("/a b", UriError::Character),
        ("/a%2", UriError::Character),
        ("a#b#c", UriError::Character),
    ] {
        assert_eq!(check(text), Err(expected), "{text:?}");
    }
}

#[test]
fn a_leading_zero_in_an_ipv4_tail_is_the_known_difference() {
    assert_eq!(check("http://[::01.2.3.4]"), Err(UriError::Authority), "Java accepts it");
}
