//! Floating-point numbers in Java's spelling, which is what subscribers of a KafkaSource are used to.
//!
//! Source: `Double.toString` of JDK 19 and later: the shortest digits that read back as the same number, at least one
//! after the point; an exponent from 10 million up and below one thousandth. One known difference: of the smallest
//! subnormal numbers Java prints two exact digits (`4.9E-324`) where one is enough (`5.0E-324` here).

use std::fmt::{Display, LowerExp};

/// `f32` or `f64`: the width decides how many digits are needed.
pub(super) fn java_text<N: Copy + Display + LowerExp + Into<f64>>(number: N) -> String {
    let value: f64 = number.into();
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return with_fraction(&number.to_string());
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').expect("this format always has an exponent");
    format!("{}E{exponent}", with_fraction(digits))
}

fn with_fraction(digits: &str) -> String {
    if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") }
}
