//! ISO-8601 durations as Knative's fields take them.
//!
//! Pure. A superset of the library that upstream uses: any precision, any length. Upstream keeps one decimal digit
//! and at most 3276.7 of each unit; what it accepts means the same here, what it cuts off is kept here.
//! Source: control-plane spec 1.4.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form `PnYnMnWnDTnHnMnS`.
    #[error("{0:?} is not an ISO-8601 duration such as PT0.5S, PT10M or P1D")]
    Malformed(String),
    /// Longer than a 64-bit number of milliseconds.
    #[error("{0:?} is too long")]
    TooLong(String),
}

/// A duration with its sign. The fields of a delivery ignore the sign, as upstream does; a retention refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// True for a text that starts with a minus sign.
    pub negative: bool,
    /// The length without the sign, cut to nanoseconds.
    pub length: Duration,
}

const SECOND: u128 = 1_000_000_000;
const DAY: u128 = 86_400 * SECOND;
/// 365.2425 days, the Gregorian average.
const YEAR: u128 = 31_556_952 * SECOND;

/// Units before the `T`, in the only order allowed. A month is a twelfth of a year (30.436875 days).
const DATE_UNITS: [(char, u128); 4] = [('Y', YEAR), ('M', YEAR / 12), ('W', 7 * DAY), ('D', DAY)];
const TIME_UNITS: [(char, u128); 3] = [('H', 3_600 * SECOND), ('M', 60 * SECOND), ('S', SECOND)];

/// Reads an ISO-8601 duration.
///
/// # Errors
/// When the text has another form or is longer than a 64-bit number of milliseconds.
pub fn parse(text: &str) -> Result<Signed, DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let (negative, unsigned) = match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => (false, text),
    };
    let body = unsigned.strip_prefix('P').ok_or_else(malformed)?;
    let (date, time) = match body.split_once('T') {
        Some((_, "")) => return Err(malformed()),
        Some((date, time)) => (date, time),
        None => (body, ""),
    };
    if date.is_empty() && time.is_empty() {
        return Err(malformed());
    }
    let mut total: u128 = 0;
    for (part, units) in [(date, DATE_UNITS.as_slice()), (time, TIME_UNITS.as_slice())] {
        let nanos = sum(part, units).ok_or_else(malformed)?.ok_or_else(too_long)?;
        total = total.checked_add(nanos).ok_or_else(too_long)?;
    }
    // Everything later counts in milliseconds, which 64 bits must hold.
    u64::try_from(total / 1_000_000).map_err(|_| too_long())?;
    let seconds = u64::try_from(total / SECOND).map_err(|_| too_long())?;
    let nanos = u32::try_from(total % SECOND).map_err(|_| too_long())?;
    Ok(Signed { negative, length: Duration::new(seconds, nanos) })
}

/// Nanoseconds of one half. The outer `None` means malformed, the inner one too long.
fn sum(mut part: &str, mut units: &[(char, u128)]) -> Option<Option<u128>> {
    let mut total: Option<u128> = Some(0);
    while !part.is_empty() {
        let end = part.find(|c: char| c.is_ascii_uppercase())?;
        let (number, rest) = (part.get(..end)?, part.get(end..)?);
        let unit_name = rest.chars().next()?;
        let position = units.iter().position(|(name, _)| *name == unit_name)?;
        let (_, unit) = units.get(position)?;
        // Each unit at most once, largest first.
        units = units.get(position + 1..)?;
        part = rest.strip_prefix(unit_name)?;
        let nanos = scaled(number, *unit)?;
        total = total.and_then(|sum| sum.checked_add(nanos?));
    }
    Some(total)
}

/// `number` (with `.` or `,` before decimals) times `unit`. The outer `None` means malformed, the inner one too long.
fn scaled(number: &str, unit: u128) -> Option<Option<u128>> {
    let (whole, fraction) = match number.split_once(['.', ',']) {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole_part = whole.parse::<u128>().ok().and_then(|n| n.checked_mul(unit));
    // Twelve decimals of the largest unit are finer than a nanosecond; more would only overflow.
    let mut nanos = Some(0);
    let mut scale = 1;
    for digit in fraction.chars().take(12) {
        scale *= 10;
        nanos = nanos.and_then(|sum: u128| sum.checked_add(u128::from(digit.to_digit(10)?) * unit / scale));
    }
    Some(whole_part.and_then(|whole| whole.checked_add(nanos?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, millis: u64) {
        let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(parsed.length, Duration::from_millis(millis), "{text}");
    }

    #[test]
    fn what_upstream_accepts_means_the_same_here() {
        check("PT0.2S", 200);
        check("PT1M0.2S", 60_200);
        check("-PT2S", 2_000);
        check("PT0,5S", 500);
        check("P1W", 7 * 86_400_000);
        check("P1D", 86_400_000);
        check("P1M", 2_629_746_000);
        check("P1Y", 31_556_952_000);
        check("PT3276S", 3_276_000);
        check("PT168H", 604_800_000);
        check("P1DT12H", 129_600_000);
        check("PT0S", 0);
    }

    #[test]
    fn what_upstream_cuts_off_is_kept_here() {
        check("PT0.25S", 250);
        check("PT0.001S", 1);
        check("PT3277S", 3_277_000);
        check("PT100000H", 360_000_000_000);
        assert_eq!(parse("PT0.123456789123S").unwrap().length, Duration::from_nanos(123_456_789));
    }

    #[test]
    fn other_texts_are_refused_with_the_text() {
        for text in [
            "", "P", "PT", "P1", "PT1", "5s", "PT5s", "1S", "PTS", "PT.5S", "PT5.S", "PT1S2", "PT1S1M", "P1S",
            "PT1S1S", "PT1,2.3S", "PT-1S", " PT1S", "PT1S ", "P1DT", "--PT1S", "PT１S",
        ] {
            assert_eq!(parse(text), Err(DurationError::Malformed(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_length_beyond_64_bits_of_milliseconds_is_refused() {
        for text in ["P999999999999Y", "PT99999999999999999999999999999999999999999999S", "P584554531Y"] {
            assert_eq!(parse(text), Err(DurationError::TooLong(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn the_sign_is_told() {
        assert!(parse("-PT2S").unwrap().negative);
        assert!(!parse("+PT2S").unwrap().negative);
    }
}
