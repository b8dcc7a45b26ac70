//! Integers of the protobuf-JSON mapping: as a number or as a text, in any notation whose value is whole.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::ser::Serializer;

use super::json::Value;

/// An integer type of the contract.
trait Integer: Sized {
    /// For messages about values out of range.
    const EXPECTED: &'static str;
    fn convert(wide: i128) -> Option<Self>;
}

struct Number<T>(PhantomData<T>);

impl<T: Integer> Visitor<'_> for Number<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(T::EXPECTED)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::convert(value.into()).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::convert(value.into()).ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        whole(value).and_then(T::convert).ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        let number = match value.parse::<i128>() {
            // Rust accepts a plus sign; JSON does not.
            Ok(number) if !value.starts_with('+') => Some(number),
            Ok(_) => None,
            Err(_) if value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
                value.parse::<f64>().ok().and_then(whole)
            }
            Err(_) => None,
        };
        number.and_then(T::convert).ok_or_else(|| E::invalid_value(Unexpected::Str(value), &self))
    }
}

/// The integer that a floating point number stands for. Beyond 2^64 nothing of the contract fits anyway.
fn whole(value: f64) -> Option<i128> {
    let fits = value.fract() == 0.0 && value.abs() <= 18_446_744_073_709_551_616.0;
    #[expect(clippy::cast_possible_truncation, reason = "the value is whole and far inside the range of i128")]
    fits.then_some(value as i128)
}

macro_rules! integers {
    ($($type:ty, $expected:literal, $write:ident;)*) => { $(
        impl Integer for $type {
            const EXPECTED: &'static str = $expected;
            fn convert(wide: i128) -> Option<Self> {
                Self::try_from(wide).ok()
            }
        }

        impl Value for $type {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Number(PhantomData))
            }

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $write(*self, serializer)
            }
        }
    )* };
}

integers! {
    u32, "an integer from 0 to 4294967295", as_number;
    i32, "an integer from -2147483648 to 2147483647", as_number;
    u64, "an integer from 0 to 18446744073709551615", as_text;
}

fn as_number<S: Serializer>(value: impl Into<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(value.into())
}

/// JavaScript cannot hold 64-bit integers, so the mapping writes them as texts.
fn as_text<S: Serializer>(value: u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value)
}
