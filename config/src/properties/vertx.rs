//! How values of the two HTTP files are read: as Vert.x does after Java made booleans and numbers of them.
//!
//! `true` and `false` in any case are booleans; what Java can parse as a double is a number, of which integers take the
//! whole part; anything else is a text. A value of the wrong kind has no effect in the peer: here neither, but with a
//! warning. A number out of range or an unknown word stops the peer at start, and us.
//!
//! Source: eventing-kafka-broker's `Configurations`, Vert.x 4.5 option converters, `java.lang.Double.parseDouble`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::draft::Draft;

#[derive(Debug, PartialEq)]
enum Value<'a> {
    Boolean(bool),
    Number(f64),
    Text(&'a str),
}

fn value(text: &str) -> Value<'_> {
    let trimmed = text.trim();
    if trimmed.eq_ignore_ascii_case("true") {
        Value::Boolean(true)
    } else if trimmed.eq_ignore_ascii_case("false") {
        Value::Boolean(false)
    } else {
        java_double(trimmed).map_or(Value::Text(text), Value::Number)
    }
}

/// Reads options of one file.
pub(super) trait Options {
    /// An integer in `range`.
    fn int(&mut self, key: &'static str, range: RangeInclusive<i32>) -> Option<i32>;
    /// A boolean.
    fn flag(&mut self, key: &'static str) -> Option<bool>;
    /// A text that is neither a boolean nor a number.
    fn word(&mut self, key: &'static str) -> Option<String>;
    /// A word of a fixed set; Java's names are case-sensitive.
    fn name<T: Copy>(&mut self, key: &'static str, names: &[(&str, T)]) -> Option<T>;
    /// A number that is not negative, of the unit that `unit_key` names or else `default_unit`. Zero counts as absent.
    fn span(&mut self, key: &'static str, unit: Unit) -> Option<Duration>;
    /// Takes keys that have no effect.
    fn without_effect(&mut self, keys: &[(&'static str, &str)]);
}

impl Options for Draft<'_> {
    fn int(&mut self, key: &'static str, range: RangeInclusive<i32>) -> Option<i32> {
        let text = self.text(key)?;
        let Value::Number(number) = value(text) else {
            self.warn(key, format!("{text:?} is not a number, ignored"));
            return None;
        };
        let number = java_int(number);
        if !range.contains(&number) {
            let (min, max) = range.into_inner();
            self.error(key, format!("{text:?} is not a number from {min} to {max}"));
            return None;
        }
        Some(number)
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        let text = self.text(key)?;
        if let Value::Boolean(flag) = value(text) {
            return Some(flag);
        }
        self.warn(key, format!("{text:?} is neither true nor false, ignored"));
        None
    }

    fn word(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        if let Value::Text(word) = value(text) {
            return Some(word.trim().to_owned());
        }
        self.warn(key, format!("{text:?} is not a text, ignored"));
        None
    }

    fn name<T: Copy>(&mut self, key: &'static str, names: &[(&str, T)]) -> Option<T> {
        let word = self.word(key)?;
        if let Some((_, found)) = names.iter().find(|(name, _)| *name == word) {
            return Some(*found);
        }
        let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        self.error(key, format!("{word:?} is not one of {}", known.join(", ")));
        None
    }

    fn span(&mut self, key: &'static str, unit: Unit) -> Option<Duration> {
        let number = self.int(key, 0..=i32::MAX)?;
        Some(unit.of(u64::try_from(number).unwrap_or_default())).filter(|span| !span.is_zero())
    }

    fn without_effect(&mut self, keys: &[(&'static str, &str)]) {
        for (key, reason) in keys {
            if self.text(key).is_some() {
                self.warn(key, format!("ignored: {reason}"));
            }
        }
    }
}

/// A unit of time, by Java's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    nanos: u64,
}

impl Unit {
    pub(super) const MILLISECONDS: Self = Self { nanos: 1_000_000 };
    pub(super) const SECONDS: Self = Self { nanos: 1_000_000_000 };

    /// `java.util.concurrent.TimeUnit`.
    pub(super) const NAMES: [(&'static str, Self); 7] = [
        ("NANOSECONDS", Self { nanos: 1 }),
        ("MICROSECONDS", Self { nanos: 1000 }),
        ("MILLISECONDS", Self::MILLISECONDS),
        ("SECONDS", Self::SECONDS),
        ("MINUTES", Self { nanos: 60 * Self::SECONDS.nanos }),
        ("HOURS", Self { nanos: 3600 * Self::SECONDS.nanos }),
        ("DAYS", Self { nanos: 86_400 * Self::SECONDS.nanos }),
    ];

    /// Largest: 2^31 days, which is far inside what a `Duration` holds.
    fn of(self, count: u64) -> Duration {
        let (seconds, rest) = (self.nanos / Self::SECONDS.nanos, self.nanos % Self::SECONDS.nanos);
        Duration::from_secs(seconds.saturating_mul(count)) + Duration::from_nanos(rest.saturating_mul(count))
    }
}

/// A Java number as an `int`: the whole part, the nearest `int` if it does not fit, 0 for NaN.
fn java_int(number: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "the cast does exactly what Java's does")]
    let int = number as i32;
    int
}

/// `Double.parseDouble`: decimal or hexadecimal, with an optional sign and an optional `f` or `d` at the end.
fn java_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let magnitude = match unsigned {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        _ => {
            let number = unsigned.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(unsigned);
            match number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
                Some(_) => hexadecimal(unsigned)?,
                None => decimal(number)?,
            }
        }
    };
    Some(sign * magnitude)
}

/// Rust's parser takes more than Java's, such as `inf`, so only what can be a Java number gets there.
fn decimal(text: &str) -> Option<f64> {
    let allowed = |char: char| char.is_ascii_digit() || matches!(char, '.' | 'e' | 'E' | '+' | '-');
    let begins = text.starts_with(|char: char| char.is_ascii_digit() || char == '.');
    (begins && text.chars().all(allowed)).then(|| text.parse().ok()).flatten()
}

/// `0x1.8p3`: the exponent is obligatory and binary. Digits beyond the 64-bit mantissa are rounded down, which is far
/// finer than any setting.
fn hexadecimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let (mantissa, exponent) = digits.split_once(['p', 'P'])?;
    let exponent = exponent.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(exponent);
    // Beyond these bounds the result is zero or infinite anyway.
    let exponent: i32 = exponent.parse::<i64>().ok()?.clamp(-20_000, 20_000).try_into().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number = 0.0_f64;
    let mut place = 0_i32;
    for char in whole.chars() {
        number = number * 16.0 + f64::from(char.to_digit(16)?);
    }
    for char in fraction.chars() {
        number = number * 16.0 + f64::from(char.to_digit(16)?);
        place = place.saturating_sub(4);
    }
    Some(number * 2_f64.powi(exponent.saturating_add(place)))
}

#[cfg(test)]
mod tests;
