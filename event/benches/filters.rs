//! What one evaluation of a filter costs: `cargo bench -p millrace-event`.
//!
//! Prints nanoseconds per event, the best of several rounds, for the goals of an exact filter (150 ns) and of CESQL
//! (500 ns). No harness and no statistics: the goals are far enough away that the best round answers the question.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use millrace_config::contract::FilterSpec;
use millrace_event::{Event, filter};

const ROUNDS: u32 = 9;
const EVENTS_PER_ROUND: u32 = 200_000;

fn main() {
    let event = event();
    for (name, spec) in specs() {
        let compiled = filter::compile(&[spec]).unwrap();
        let best = (0..ROUNDS).map(|_| round(&compiled, &event)).min().unwrap_or_default();
        println!("{name:<28} {:>8.1} ns", best.as_secs_f64() * 1e9 / f64::from(EVENTS_PER_ROUND));
    }
}

fn round(filter: &filter::Filter, event: &Event<'_>) -> Duration {
    let begin = Instant::now();
    for _ in 0..EVENTS_PER_ROUND {
        black_box(black_box(filter).matches(black_box(event)));
    }
    begin.elapsed()
}

/// Ten attributes and extensions, the ones that are asked for among the last.
fn event() -> Event<'static> {
    let mut event = Event::new("5b1d0a0e-7c5e", "/sensors/7/celsius", "com.example.sensor.measured").unwrap();
    event.subject = Some("building 3, room 7".into());
    event.time = Some("2020-07-06T09:23:12.123Z".into());
    for (name, value) in [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tenant", "a")] {
        event.extensions.set(name, value).unwrap();
    }
    event.extensions.set("hop", "5").unwrap();
    event.extensions.set("knativekafkapartition", 3).unwrap();
    event.extensions.set("knativekafkaoffset", 123_456_i64).unwrap();
    event
}

fn specs() -> Vec<(&'static str, FilterSpec)> {
    let entries =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sql = |text: &str| FilterSpec::CeSql(text.to_owned());
    vec![
        ("exact, 1 attribute", FilterSpec::Exact(entries(&[("type", "com.example.sensor.measured")]))),
        (
            "exact, 3 attributes",
            FilterSpec::Exact(entries(&[
                ("type", "com.example.sensor.measured"),
                ("source", "/sensors/7/celsius"),
                ("tenant", "a"),
            ])),
        ),
        ("exact, time", FilterSpec::Exact(entries(&[("time", "2020-07-06T09:23:12.123Z")]))),
        ("prefix", FilterSpec::Prefix(entries(&[("type", "com.example.")]))),
        ("cesql, equality", sql("type = 'com.example.sensor.measured'")),
        ("cesql, like", sql("source LIKE '/sensors/%/celsius'")),
        ("cesql, in", sql("tenant IN ('x', 'y', 'z', 'a')")),
        (
            "cesql, all of it",
            sql("type LIKE 'com.%.measured' AND (tenant IN ('x', 'a') OR missing = 1) AND INT(hop) + 1 < 10 \
                 AND EXISTS subject AND NOT LEFT(source, 4) = '/act'"),
        ),
        ("cesql, upper and concat", sql("UPPER(CONCAT_WS('/', tenant, subject)) = 'A/BUILDING 3, ROOM 7'")),
    ]
}
