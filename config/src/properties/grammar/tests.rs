//! The text format, held against what JDK 17's `Properties.load` does.

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let properties = parse(text.as_bytes()).unwrap();
    assert_eq!(properties.iter().collect::<Vec<_>>(), expected, "{text:?}");
}

#[test]
fn keys_and_values_are_separated_by_equals_sign_colon_or_blank() {
    for text in ["k=v", "k:v", "k v", "k\tv", "k\x0cv", "k = v", "k : v", " \t k  =  v", "k\t:\tv"] {
        check(text, &[("k", "v")]);
    }
}

#[test]
fn only_the_first_separator_counts() {
    check("k==v", &[("k", "=v")]);
    check("k=:v", &[("k", ":v")]);
    check("k = =v", &[("k", "=v")]);
    check("k  v = w", &[("k", "v = w")]);
    check("url=http://host:80/?a=b", &[("url", "http://host:80/?a=b")]);
    check("=v", &[("", "v")]);
    check(":", &[("", "")]);
}

#[test]
fn blanks_are_dropped_before_a_value_and_kept_after_it() {
    check("k=v  \nl= \t w\t\n", &[("k", "v  "), ("l", "w\t")]);
}

#[test]
fn a_key_without_a_value_has_an_empty_one() {
    for text in ["k", "k=", "k:", "k ", " k", "k = ", "k\n"] {
        check(text, &[("k", "")]);
    }
}

#[test]
fn comments_and_blank_lines_are_skipped() {
    check("# a\n! b\n  # c\n\n \t\x0c\nk=v # no comment\n#", &[("k", "v # no comment")]);
    check("#k=v", &[]);
    check("", &[]);
    check("\n\r\n \r", &[]);
}

#[test]
fn a_backslash_at_the_end_of_a_comment_does_not_continue_it() {
    check("# comment \\\nk=v", &[("k", "v")]);
}

#[test]
fn lines_end_with_lf_cr_or_both() {
    check("a=1\nb=2\rc=3\r\nd=4", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
    check("a=1\n\rb=2", &[("a", "1"), ("b", "2")]);
}

#[test]
fn a_backslash_joins_the_next_line_without_its_leading_blanks() {
    check("fruits = apple, banana, \\\n         pear", &[("fruits", "apple, banana, pear")]);
    check("k=a\\\r\n  b\\\rc", &[("k", "abc")]);
    check("ke\\\n  y=v", &[("key", "v")]);
    check("k=\\\n  v", &[("k", "v")]);
    // Comment signs mean nothing in a continued line.
    check("k=a\\\n#b", &[("k", "a#b")]);
    // A blank line ends what is continued.
    check("k=a\\\n\nl=b", &[("k", "a"), ("l", "b")]);
    check("k=a\\\n   \nl=b", &[("k", "a"), ("l", "b")]);
    // At the end of the file nothing follows.
    check("k=a\\", &[("k", "a")]);
    check("k=a\\\n", &[("k", "a")]);
    check("\\", &[]);
}

#[test]
fn only_an_odd_number_of_backslashes_joins() {
    check("k=a\\\\\nl=b", &[("k", "a\\"), ("l", "b")]);
    check("k=a\\\\\\\nl=b", &[("k", "a\\l=b")]);
}

#[test]
fn separators_can_be_escaped_in_keys() {
    check(r"a\=b=c", &[("a=b", "c")]);
    check(r"a\:b:c", &[("a:b", "c")]);
    check(r"a\ b c", &[("a b", "c")]);
    check(r"a\\=c", &[("a\\", "c")]);
    check(r"\#a=c", &[("#a", "c")]);
}

#[test]
fn escapes_stand_for_characters_and_other_backslashes_vanish() {
    check(r"k=\t\n\r\f\\", &[("k", "\t\n\r\x0c\\")]);
    check(r"k=\z\b\'\0\ ", &[("k", "zb'0 ")]);
    check(r"k=C:\\dir\\file", &[("k", r"C:\dir\file")]);
}

#[test]
fn unicode_escapes_stand_for_utf_16_units() {
    check(r"k=\u00e9\u20AC", &[("k", "é€")]);
    check(r"\u006b=\u0020v", &[("k", " v")]);
    check(r"k=\ud83d\ude00", &[("k", "😀")]);
    check(r"k=\\u0041", &[("k", r"\u0041")]);
    check("k=é€😀", &[("k", "é€😀")]);
}

#[test]
fn malformed_unicode_escapes_name_their_line() {
    for text in
        [r"k=\u12", r"k=\u12g4", r"k=\u", r"k=\u+123", r"k=\ud83d", r"k=\ud83dx", r"k=\ude00", r"k=\ud83d\u0041"]
    {
        let text = format!("a=1\n\nb=2\\\n 3\n{text}");
        assert_eq!(parse(text.as_bytes()), Err(PropertiesError::Escape { line: 5 }), "{text:?}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_name_their_line() {
    assert_eq!(parse(b"a=1\r\nb=2\rc=\xe9"), Err(PropertiesError::NotUtf8 { line: 3 }));
    assert_eq!(parse(b"\xff"), Err(PropertiesError::NotUtf8 { line: 1 }));
}

#[test]
fn the_last_of_several_values_wins() {
    check("k=1\nk=2\nk 3", &[("k", "3")]);
}

#[test]
fn debug_texts_show_keys_only() {
    let properties = parse(b"sasl.jaas.config=hunter2").unwrap();
    assert_eq!(format!("{properties:?}"), r#"{"sasl.jaas.config"}"#);
}

#[test]
fn a_missing_file_is_empty_and_an_unusable_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("producer.properties");
    assert!(Properties::read(&path).unwrap().is_empty());
    std::fs::write(&path, "acks=all\nlinger.ms=1").unwrap();
    let properties = Properties::read(&path).unwrap();
    assert_eq!((properties.len(), properties.get("acks")), (2, Some("all")));
    std::fs::write(&path, r"k=\u1").unwrap();
    let error = Properties::read(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read {}", path.display()));
    assert!(Properties::read(directory.path()).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(entries in btree_map(any::<String>(), any::<String>(), 0..6)) {
        let properties: Properties = entries.into_iter().collect();
        prop_assert_eq!(parse(write(&properties).as_bytes()), Ok(properties));
    }

    #[test]
    fn awkward_texts_are_read_back(entries in btree_map("[ \\t=:#!\\\\\r\nu0a\u{c}]{0,8}", "[ \\t=:#!\\\\\r\nu0a\u{c}]{0,8}", 0..4)) {
        let properties: Properties = entries.into_iter().collect();
        prop_assert_eq!(parse(write(&properties).as_bytes()), Ok(properties));
    }

    #[test]
    fn no_text_makes_reading_panic(text in "[ \\t=:#!\\\\\r\nudDeE0189a]{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        drop(parse(text.as_bytes()));
        drop(parse(&bytes));
    }
}
