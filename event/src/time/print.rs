//! From a moment to text.

use std::fmt::Write as _;

use super::DateTime;

const SECONDS_PER_DAY: i64 = 86_400;
/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_TO_1970: i64 = 719_468;
/// Days in 400 years of the Gregorian calendar.
const DAYS_PER_ERA: i64 = 146_097;

/// Shortest fraction, the moment's own offset.
pub(super) fn header_text(date_time: &DateTime) -> String {
    let mut text = date_and_time(date_time);
    if date_time.nanosecond != 0 {
        push(&mut text, format_args!(".{:09}", date_time.nanosecond));
        text.truncate(text.trim_end_matches('0').len());
    }
    let offset = date_time.offset_seconds.unsigned_abs();
    if offset == 0 {
        text.push('Z');
        return text;
    }
    let sign = if date_time.offset_seconds < 0 { '-' } else { '+' };
    push(&mut text, format_args!("{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60));
    if !offset.is_multiple_of(60) {
        push(&mut text, format_args!(":{:02}", offset % 60));
    }
    text
}

/// UTC, the fraction in groups of three digits.
pub(super) fn instant_text(date_time: &DateTime) -> String {
    let seconds = unix_seconds(date_time);
    let mut text = date_and_time(&utc(seconds, date_time.nanosecond));
    match date_time.nanosecond {
        0 => {}
        nanos if nanos % 1_000_000 == 0 => push(&mut text, format_args!(".{:03}", nanos / 1_000_000)),
        nanos if nanos % 1_000 == 0 => push(&mut text, format_args!(".{:06}", nanos / 1_000)),
        nanos => push(&mut text, format_args!(".{nanos:09}")),
    }
    text.push('Z');
    text
}

/// The part below a second of a moment in milliseconds.
pub(super) fn nanoseconds(millis: i64) -> u32 {
    u32::try_from(millis.rem_euclid(1000)).expect("a remainder by 1000 is 0 to 999") * 1_000_000
}

/// The calendar in UTC. The arithmetic counts from March, so that the leap day is the last of its year.
pub(super) fn utc(unix_seconds: i64, nanosecond: u32) -> DateTime {
    let days = unix_seconds.div_euclid(SECONDS_PER_DAY) + DAYS_TO_1970;
    let second_of_day = unix_seconds.rem_euclid(SECONDS_PER_DAY);
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    DateTime {
        year: era * 400 + year_of_era + i64::from(month <= 2),
        month: small(month),
        day: small(day),
        hour: small(second_of_day / 3600),
        minute: small(second_of_day / 60 % 60),
        second: small(second_of_day % 60),
        nanosecond,
        offset_seconds: 0,
    }
}

/// Seconds from 1970, the offset taken into account.
fn unix_seconds(date_time: &DateTime) -> i64 {
    let (month, day) = (i64::from(date_time.month), i64::from(date_time.day));
    let year = date_time.year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
    let second_of_day =
        i64::from(date_time.hour) * 3600 + i64::from(date_time.minute) * 60 + i64::from(date_time.second);
    days * SECONDS_PER_DAY + second_of_day - i64::from(date_time.offset_seconds)
}

fn date_and_time(date_time: &DateTime) -> String {
    // Room for the longest text of a year with four digits.
    let mut text = String::with_capacity(36);
    match date_time.year {
        0..=9999 => push(&mut text, format_args!("{:04}", date_time.year)),
        10_000.. => push(&mut text, format_args!("+{}", date_time.year)),
        _ => push(&mut text, format_args!("-{:04}", date_time.year.unsigned_abs())),
    }
    let DateTime { month, day, hour, minute, second, .. } = date_time;
    push(&mut text, format_args!("-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
    text
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String cannot fail");
}

fn small(value: i64) -> u8 {
    u8::try_from(value).expect("a part of a date or of a time of day is below 256")
}
