//! From text to a moment, without allocating.
//!
//! Strict about days (no 30th of February) and lenient where Java is: lower-case letters, missing seconds, a fraction
//! without digits, offsets in hours or with seconds, years beyond four digits with a sign.

use super::{DateTime, TimeError};

/// Java's bound for years.
const MAX_YEAR_DIGITS: usize = 9;
/// Java's bound for offsets.
const MAX_OFFSET_SECONDS: i32 = 18 * 3600;

/// A moment, and whether its text was in the form that headers carry.
pub(super) struct Parsed {
    pub(super) date_time: DateTime,
    pub(super) is_normal: bool,
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

pub(super) fn parse(text: &str) -> Result<Parsed, TimeError> {
    read(&mut Cursor(text.as_bytes()))
        .ok_or(TimeError::Form)
        .and_then(|parsed| if is_real(&parsed.date_time) { Ok(parsed) } else { Err(TimeError::Range) })
}

fn read(cursor: &mut Cursor<'_>) -> Option<Parsed> {
    let (year, year_is_normal) = cursor.year()?;
    cursor.expect(b'-')?;
    let month = cursor.two_digits()?;
    cursor.expect(b'-')?;
    let day = cursor.two_digits()?;
    let upper_t = cursor.take(b'T');
    if !upper_t {
        cursor.expect(b't')?;
    }
    let hour = cursor.two_digits()?;
    cursor.expect(b':')?;
    let minute = cursor.two_digits()?;
    let has_seconds = cursor.take(b':');
    let second = if has_seconds { cursor.two_digits()? } else { 0 };
    let (nanosecond, fraction_is_normal) =
        if has_seconds && cursor.take(b'.') { cursor.fraction()? } else { (0, true) };
    let (offset_seconds, offset_is_normal) = cursor.offset()?;
    if !cursor.0.is_empty() {
        return None;
    }
    Some(Parsed {
        date_time: DateTime { year, month, day, hour, minute, second, nanosecond, offset_seconds },
        is_normal: year_is_normal && upper_t && has_seconds && fraction_is_normal && offset_is_normal,
    })
}

impl Cursor<'_> {
    fn take(&mut self, wanted: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == wanted => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        self.take(wanted).then_some(())
    }

    fn digit(&mut self) -> Option<u8> {
        match self.0 {
            [first, rest @ ..] if first.is_ascii_digit() => {
                self.0 = rest;
                Some(first - b'0')
            }
            _ => None,
        }
    }

    fn two_digits(&mut self) -> Option<u8> {
        Some(self.digit()? * 10 + self.digit()?)
    }

    /// Four digits; with a minus four to ten; with a plus five to ten. Also whether the digits have no needless zero.
    fn year(&mut self) -> Option<(i64, bool)> {
        let negative = self.take(b'-');
        let signed = negative || self.take(b'+');
        let leading_zero = self.0.first() == Some(&b'0');
        let mut year = 0_i64;
        let mut digits = 0_usize;
        while let Some(digit) = self.digit() {
            year = year * 10 + i64::from(digit);
            digits += 1;
            if digits > MAX_YEAR_DIGITS + 1 {
                return None;
            }
        }
        let least = if signed && !negative { 5 } else { 4 };
        let too_long = !signed && digits > 4;
        if digits < least || too_long || (negative && year == 0) {
            return None;
        }
        Some((if negative { -year } else { year }, digits == 4 || !leading_zero))
    }

    /// Nanoseconds from up to nine digits, and whether the last of them is needed.
    fn fraction(&mut self) -> Option<(u32, bool)> {
        let mut nanoseconds = 0_u32;
        let mut digits = 0_usize;
        let mut last = 0_u8;
        while let Some(digit) = self.digit() {
            if digits == 9 {
                return None;
            }
            nanoseconds = nanoseconds * 10 + u32::from(digit);
            digits += 1;
            last = digit;
        }
        for _ in digits..9 {
            nanoseconds *= 10;
        }
        Some((nanoseconds, last != 0))
    }

    /// `Z`, `+hh`, `+hh:mm` or `+hh:mm:ss`, and whether that is the shortest full form.
    fn offset(&mut self) -> Option<(i32, bool)> {
        if self.take(b'Z') {
            return Some((0, true));
        }
        if self.take(b'z') {
            return Some((0, false));
        }
        let negative = self.take(b'-');
        if !negative {
            self.expect(b'+')?;
        }
        let hours = self.two_digits()?;
        let (mut minutes, mut seconds) = (None, None);
        if self.take(b':') {
            minutes = Some(self.two_digits()?);
            if self.take(b':') {
                seconds = Some(self.two_digits()?);
            }
        }
        // Out of range on purpose, so that the range check says what is wrong.
        let in_range = minutes.unwrap_or(0) < 60 && seconds.unwrap_or(0) < 60;
        let total = i32::from(hours) * 3600 + i32::from(minutes.unwrap_or(0)) * 60 + i32::from(seconds.unwrap_or(0));
        let total = if in_range { total } else { i32::MAX };
        let is_normal = total != 0 && minutes.is_some() && seconds != Some(0);
        Some((if negative { -total } else { total }, is_normal))
    }
}

fn is_real(date_time: &DateTime) -> bool {
    let year_fits = date_time.year.unsigned_abs() < 10_u64.pow(9);
    let offset_fits = date_time.offset_seconds.unsigned_abs() <= MAX_OFFSET_SECONDS.unsigned_abs();
    let time_fits = date_time.hour < 24 && date_time.minute < 60 && date_time.second < 60;
    let day_fits = (1..=12).contains(&date_time.month)
        && (1..=days_of_month(date_time.year, date_time.month)).contains(&date_time.day);
    year_fits && offset_fits && time_fits && day_fits
}

fn days_of_month(year: i64, month: u8) -> u8 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
