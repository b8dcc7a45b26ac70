//! Kinds of values, as Java tells them apart.

use super::*;
use crate::properties::Properties;

#[track_caller]
fn check_number(text: &str, expected: f64) {
    let Value::Number(found) = value(text) else { panic!("{text}: {:?}", value(text)) };
    assert!(found == expected || (found.is_nan() && expected.is_nan()), "{text}: {found}");
}

#[test]
fn numbers_are_what_java_parses_as_a_double() {
    for (text, expected) in [
        ("0", 0.0),
        ("10000", 10_000.0),
        ("+5", 5.0),
        ("-5", -5.0),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("25e-1", 2.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("10f", 10.0),
        ("10D", 10.0),
        ("1e3f", 1000.0),
        (" 7 ", 7.0),
        ("0x1p3", 8.0),
        ("0X1.8P1", 3.0),
        ("0xffp0", 255.0),
        ("-0x.8p1", -1.0),
        ("0x1p3f", 8.0),
        ("1e400", f64::INFINITY),
        ("0x1p99999999999", f64::INFINITY),
        ("0x1p-99999999999", 0.0),
        ("NaN", f64::NAN),
        ("-Infinity", f64::NEG_INFINITY),
    ] {
        check_number(text, expected);
    }
}

#[test]
fn everything_else_is_a_text() {
    for text in [
        "",
        ".",
        "e3",
        "1e",
        "0x10",
        "0x1",
        "0xp3",
        "0x1p",
        "0x1pz",
        "1_000",
        "inf",
        "nan",
        "infinity",
        "Infinityf",
        "ff",
        "10fd",
        "1 0",
        "--5",
        "+-5",
        "5-",
        "0x1.8",
        "SECONDS",
        "0x1p3.0",
    ] {
        assert_eq!(value(text), Value::Text(text), "{text}");
    }
}

#[test]
fn booleans_are_recognised_in_any_case() {
    assert_eq!(value("TRUE"), Value::Boolean(true));
    assert_eq!(value(" false "), Value::Boolean(false));
    assert_eq!(value("yes"), Value::Text("yes"));
}

#[test]
fn integers_take_the_whole_part_and_the_nearest_int() {
    for (text, expected) in [("1.9", 1), ("0x1.8p1", 3), ("3e9", i32::MAX), ("Infinity", i32::MAX), ("NaN", 0)] {
        let properties: Properties = [("maxPoolSize", text)].into_iter().collect();
        let mut draft = Draft::new(&properties);
        assert_eq!(draft.int("maxPoolSize", 0..=i32::MAX), Some(expected), "{text}");
    }
}

#[test]
fn spans_have_javas_units() {
    for ((name, unit), expected) in Unit::NAMES.into_iter().zip([
        Duration::from_nanos(90),
        Duration::from_micros(90),
        Duration::from_millis(90),
        Duration::from_secs(90),
        Duration::from_secs(90 * 60),
        Duration::from_secs(90 * 3600),
        Duration::from_secs(90 * 86_400),
    ]) {
        assert_eq!(unit.of(90), expected, "{name}");
    }
    let (_, days) = Unit::NAMES[6];
    assert_eq!(days.of(2_147_483_647), Duration::from_secs(2_147_483_647 * 86_400));
}
