//! The tables were run through `java.time.OffsetDateTime` of JDK 17.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{TimeError, from_unix_millis, normalise, to_instant};

#[track_caller]
fn check(text: &str, header: &str, instant: &str) {
    assert_eq!(normalise(text).as_deref(), Ok(header), "header text of {text:?}");
    assert_eq!(to_instant(text).as_deref(), Ok(instant), "instant of {text:?}");
    let again = normalise(header).unwrap();
    assert!(matches!(again, Cow::Borrowed(same) if same == header), "{header:?} is normal and borrowed");
}

#[test]
fn a_normal_time_is_borrowed() {
    for text in ["2020-07-06T09:23:12Z", "2020-07-06T09:23:12.1Z", "2020-07-06T09:23:12.123456789+02:00"] {
        assert!(matches!(normalise(text), Ok(Cow::Borrowed(same)) if same == text), "{text:?}");
    }
    assert!(matches!(to_instant("2020-07-06T09:23:12Z"), Ok(Cow::Borrowed(_))));
}

#[test]
fn seconds_are_always_there_and_fractions_are_minimal() {
    check("2020-07-06T09:23Z", "2020-07-06T09:23:00Z", "2020-07-06T09:23:00Z");
    check("2020-07-06T09:23:12.Z", "2020-07-06T09:23:12Z", "2020-07-06T09:23:12Z");
    check("2020-07-06T09:23:12.000Z", "2020-07-06T09:23:12Z", "2020-07-06T09:23:12Z");
    check("2020-07-06T09:23:12.100Z", "2020-07-06T09:23:12.1Z", "2020-07-06T09:23:12.100Z");
    check("2020-07-06T09:23:12.0001Z", "2020-07-06T09:23:12.0001Z", "2020-07-06T09:23:12.000100Z");
    check("2020-07-06T09:23:12.000000001Z", "2020-07-06T09:23:12.000000001Z", "2020-07-06T09:23:12.000000001Z");
    check("2020-07-06t09:23:12z", "2020-07-06T09:23:12Z", "2020-07-06T09:23:12Z");
}

#[test]
fn offsets_are_kept_in_headers_and_taken_off_in_filters() {
    check("2020-01-01T10:20+02:00", "2020-01-01T10:20:00+02:00", "2020-01-01T08:20:00Z");
    check("2020-07-06T09:23:12+02", "2020-07-06T09:23:12+02:00", "2020-07-06T07:23:12Z");
    check("2020-07-06T09:23:12+00:00", "2020-07-06T09:23:12Z", "2020-07-06T09:23:12Z");
    check("2020-07-06T09:23:12+00", "2020-07-06T09:23:12Z", "2020-07-06T09:23:12Z");
    check("2020-07-06T09:23:12-00:00", "2020-07-06T09:23:12Z", "2020-07-06T09:23:12Z");
    check("2020-07-06T09:23:12-00:30", "2020-07-06T09:23:12-00:30", "2020-07-06T09:53:12Z");
    check("2020-07-06T09:23:12+02:00:00", "2020-07-06T09:23:12+02:00", "2020-07-06T07:23:12Z");
    check("2020-07-06T09:23:12+02:00:01", "2020-07-06T09:23:12+02:00:01", "2020-07-06T07:23:11Z");
    check("2020-07-06T09:23:12-18:00", "2020-07-06T09:23:12-18:00", "2020-07-07T03:23:12Z");
    check("2020-01-01T00:00:00.120+02", "2020-01-01T00:00:00.12+02:00", "2019-12-31T22:00:00.120Z");
    check("1985-04-12T19:20:50.00-04:00", "1985-04-12T19:20:50-04:00", "1985-04-12T23:20:50Z");
}

#[test]
fn years_beyond_four_digits_have_a_sign() {
    check("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z");
    check("-0001-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "-0001-01-01T00:00:00Z");
    check("-02020-01-01T00:00:00Z", "-2020-01-01T00:00:00Z", "-2020-01-01T00:00:00Z");
    check("+12020-01-01T00:00:00Z", "+12020-01-01T00:00:00Z", "+12020-01-01T00:00:00Z");
    check("+0012020-01-01T00:00:00Z", "+12020-01-01T00:00:00Z", "+12020-01-01T00:00:00Z");
    check("+09999-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "9999-01-01T00:00:00Z");
    check("-999999999-01-01T00:00:00+18:00", "-999999999-01-01T00:00:00+18:00", "-1000000000-12-31T06:00:00Z");
    check("+999999999-12-31T23:59:59-18:00", "+999999999-12-31T23:59:59-18:00", "+1000000000-01-01T17:59:59Z");
}

#[test]
fn texts_of_another_form_are_refused() {
    for text in [
        "",
        "T",
        "2020-07-06",
        "2020-07-06T09:23:12",
        "2020-07-06T09Z",
        "2020-07-06T9:23:12Z",
        "2020-1-01T00:00:00Z",
        "202-01-01T00:00:00Z",
        "2020-01-01 00:00:00Z",
        " 2020-01-01T00:00:00Z",
        "2020-01-01T00:00:00Z ",
        "2020-07-06T09:23:12+2",
        "2020-07-06T09:23:12+0200",
        "2020-07-06T09:23:12+02:0",
        "2020-07-06T09:23:12+02:",
        "2020-07-06T09:23:12+020001",
        "2020-07-06T09:23:12+02Z",
        "2020-07-06T09:23:12.1234567890Z",
        "2020-07-06T09:23:12,5Z",
        "2020-01-01T00:00.5Z",
        "12020-01-01T00:00:00Z",
        "+2020-01-01T00:00:00Z",
        "-0000-01-01T00:00:00Z",
        "２020-01-01T00:00:00Z",
        "+99999999999999999999-01-01T00:00:00Z",
    ] {
        assert_eq!(normalise(text), Err(TimeError::Form), "{text:?}");
    }
}

#[test]
fn days_times_and_offsets_that_do_not_exist_are_refused() {
    for text in [
        "2020-02-30T09:23:12Z",
        "2021-02-29T09:23:12Z",
        "1900-02-29T00:00:00Z",
        "2020-04-31T00:00:00Z",
        "2020-13-01T00:00:00Z",
        "2020-00-01T00:00:00Z",
        "2020-01-00T00:00:00Z",
        "2020-07-06T24:00:00Z",
        "2020-07-06T23:59:60Z",
        "2020-01-01T00:60:00Z",
        "2020-07-06T09:23:12+18:01",
        "2020-07-06T09:23:12+19:00",
        "2020-07-06T09:23:12+02:60",
        "2020-07-06T09:23:12-18:00:01",
        "+1000000000-01-01T00:00:00Z",
    ] {
        assert_eq!(normalise(text), Err(TimeError::Range), "{text:?}");
    }
    assert!(normalise("2000-02-29T00:00:00Z").is_ok());
}

#[test]
fn milliseconds_from_1970_become_utc_text() {
    assert_eq!(from_unix_millis(0), "1970-01-01T00:00:00Z");
    assert_eq!(from_unix_millis(1_594_027_392_100), "2020-07-06T09:23:12.1Z");
    assert_eq!(from_unix_millis(-1), "1969-12-31T23:59:59.999Z");
    assert_eq!(from_unix_millis(951_782_400_000), "2000-02-29T00:00:00Z");
    assert!(!from_unix_millis(i64::MAX).is_empty() && !from_unix_millis(i64::MIN).is_empty());
}

proptest! {
    #[test]
    fn a_normalised_time_is_normal_and_names_the_same_instant(
        year in 0..10_000_i32, month in 1..13_u8, day in 1..29_u8, hour in 0..24_u8, minute in 0..60_u8,
        second in proptest::option::of(0..60_u8), fraction in proptest::option::of("[0-9]{0,9}"),
        offset in prop_oneof![Just("Z".to_owned()), Just("z".to_owned()), "[+-](0[0-9]|1[0-7])", "[+-](0[0-9]|1[0-7]):[0-5][0-9]"],
    ) {
        let seconds = second.map(|second| format!(":{second:02}")).unwrap_or_default();
        let fraction = fraction.filter(|_| second.is_some()).map(|digits| format!(".{digits}")).unwrap_or_default();
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}{seconds}{fraction}{offset}");
        let normal = normalise(&text).unwrap();
        let is_same = *normal == text;
        prop_assert_eq!(matches!(normal, Cow::Borrowed(_)), is_same, "borrowed exactly if unchanged");
        prop_assert!(matches!(normalise(&normal), Ok(Cow::Borrowed(_))), "{} is normal", normal);
        prop_assert_eq!(to_instant(&text), to_instant(&normal));
    }

    #[test]
    fn every_millisecond_survives_a_trip_through_text(millis in -62_000_000_000_000..253_000_000_000_000_i64) {
        let text = from_unix_millis(millis);
        prop_assert!(matches!(normalise(&text), Ok(Cow::Borrowed(_))), "{} is normal", text);
        prop_assert!(to_instant(&text).is_ok());
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}", digits in "[-+0-9TZ:.tz]{0,40}") {
        prop_assert!(normalise(&text).is_err() || normalise(&text).is_ok());
        prop_assert!(to_instant(&digits).is_err() || normalise(&digits).is_ok());
    }
}
