//! Reads and writes the `time` attribute.
//!
//! Two texts of one moment: headers carry [`normalise`]d text, which keeps the sender's offset, and attribute filters
//! compare the UTC instant of [`to_instant`]. No clock, no time zones, no leap seconds (Java refuses them, so no reader
//! of our records would understand one).
//! Source: RFC 3339 as `java.time.OffsetDateTime` reads and prints it; the tables in the tests were run through it.

use std::borrow::Cow;

use self::parse::parse;

mod parse;
mod print;

/// Why a text is no date-time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text is not `year-month-dayThour:minute[:second[.fraction]]offset`.
    #[error("expected a form like 2020-01-31T10:20:30.5Z")]
    Form,
    /// The form is right, but there is no such day, time or offset.
    #[error("there is no such day, time of day or offset")]
    Range,
}

/// A moment as written, with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DateTime {
    year: i64,
    /// 1 to 12.
    month: u8,
    /// 1 to 31.
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
    /// East of Greenwich is positive; at most 18 hours either way.
    offset_seconds: i32,
}

/// The text that headers carry: seconds always there, no trailing zeros in the fraction, `Z` for no offset. Borrows if
/// the text has that form already, as almost every text has.
///
/// # Errors
/// If the text is no date-time, or has no offset.
pub fn normalise(text: &str) -> Result<Cow<'_, str>, TimeError> {
    let parsed = parse(text)?;
    Ok(if parsed.is_normal { Cow::Borrowed(text) } else { Cow::Owned(print::header_text(&parsed.date_time)) })
}

/// The text that filters compare: the moment in UTC, its fraction in 0, 3, 6 or 9 digits. Borrows if the text has that
/// form already.
///
/// # Errors
/// If the text is no date-time, or has no offset.
pub fn to_instant(text: &str) -> Result<Cow<'_, str>, TimeError> {
    let parsed = parse(text)?;
    let is_instant = parsed.is_normal && text.ends_with('Z') && parsed.date_time.nanosecond == 0;
    Ok(if is_instant { Cow::Borrowed(text) } else { Cow::Owned(print::instant_text(&parsed.date_time)) })
}

/// Header text, in UTC, of a moment counted in milliseconds from 1970.
pub fn from_unix_millis(millis: i64) -> String {
    print::header_text(&print::utc(millis.div_euclid(1000), print::nanoseconds(millis)))
}

#[cfg(test)]
mod tests;
