//! What a process tells at its admin port.

use crate::process::{Process, is_message};
use crate::raw_http::get;

/// The value of a metric without labels.
///
/// # Panics
/// When the process does not say where its admin port is, or has no such metric.
#[must_use]
#[track_caller]
pub fn metric(process: &Process, name: &str) -> f64 {
    let line = process.lines().into_iter().find(|line| is_message(line, "Admin server listening"));
    let line = line.expect("the admin server listens");
    let address =
        line["address"].as_str().and_then(|address| address.parse().ok()).expect("the line tells the address");
    let text = get(address, "/metrics").expect("the admin server answers").text();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no {name} in:\n{text}"))
}
