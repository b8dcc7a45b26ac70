//! One JSON object a line, with the names logstash's encoder uses, so that the peer's log pipelines keep working.
//!
//! Structured fields stand beside them at the top level. A field that has one of the fixed names gets a `_` in front.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Fields, Value};
use crate::clock;

pub(super) struct Json;

const FIXED: [&str; 7] = ["@timestamp", "@version", "message", "logger_name", "thread_name", "level", "level_value"];

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let thread = std::thread::current();
        write_line(
            &mut writer,
            &timestamp(),
            event.metadata().target(),
            thread.name().unwrap_or("unnamed"),
            *event.metadata().level(),
            &fields,
        )
    }
}

/// The line that says how many lines were dropped.
pub(super) fn dropped(lines: u64) -> String {
    let fields = Fields { message: super::DROPPED.to_owned(), others: vec![("lines", Value::Unsigned(lines))] };
    let mut line = String::new();
    match write_line(&mut line, &timestamp(), module_path!(), "log", Level::WARN, &fields) {
        Ok(()) => line,
        Err(fmt::Error) => String::new(),
    }
}

fn write_line(
    writer: &mut dyn fmt::Write,
    timestamp: &str,
    target: &str,
    thread: &str,
    level: Level,
    fields: &Fields,
) -> fmt::Result {
    let (name, value) = level_of(level);
    write!(writer, "{{\"@timestamp\":\"{timestamp}\",\"@version\":\"1\",\"message\":")?;
    write_text(writer, &fields.message)?;
    writer.write_str(",\"logger_name\":")?;
    write_text(writer, target)?;
    writer.write_str(",\"thread_name\":")?;
    write_text(writer, thread)?;
    write!(writer, ",\"level\":\"{name}\",\"level_value\":{value}")?;
    for (name, value) in &fields.others {
        writer.write_str(if FIXED.contains(name) { ",\"_" } else { ",\"" })?;
        // Field names are Rust identifiers or string literals of ours: nothing in them needs escaping.
        write!(writer, "{name}\":")?;
        write_value(writer, value)?;
    }
    writer.write_str("}\n")
}

fn write_value(writer: &mut dyn fmt::Write, value: &Value) -> fmt::Result {
    match value {
        Value::Text(text) => write_text(writer, text),
        Value::Unsigned(number) => write!(writer, "{number}"),
        Value::Signed(number) => write!(writer, "{number}"),
        // JSON has no word for infinity.
        Value::Float(number) if !number.is_finite() => write!(writer, "\"{number}\""),
        Value::Float(number) => write!(writer, "{number}"),
        Value::Bool(flag) => write!(writer, "{flag}"),
    }
}

fn write_text(writer: &mut dyn fmt::Write, text: &str) -> fmt::Result {
    writer.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

/// Nanoseconds and an offset, as logstash's encoder writes them. The offset is always that of UTC.
fn timestamp() -> String {
    match jiff::Timestamp::try_from(clock::now()) {
        Ok(timestamp) => format!("{timestamp:.9}"),
        Err(_) => jiff::Timestamp::UNIX_EPOCH.to_string(),
    }
}

/// The name and the number logback gives a level.
fn level_of(level: Level) -> (&'static str, u32) {
    match level {
        Level::TRACE => ("TRACE", 5000),
        Level::DEBUG => ("DEBUG", 10_000),
        Level::INFO => ("INFO", 20_000),
        Level::WARN => ("WARN", 30_000),
        Level::ERROR => ("ERROR", 40_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: &Fields) -> String {
        let mut line = String::new();
        write_line(&mut line, "2026-01-02T03:04:05.000000006Z", "millrace::x", "main", Level::WARN, fields).unwrap();
        line
    }

    #[test]
    fn a_line_has_logstashs_fields_first_and_ours_beside_them() {
        let fields = Fields {
            message: "say \"hi\"\n".to_owned(),
            others: vec![
                ("port", Value::Unsigned(8080)),
                ("offset", Value::Signed(-1)),
                ("elapsed_ms", Value::Float(0.25)),
                ("never", Value::Float(f64::INFINITY)),
                ("ready", Value::Bool(true)),
                ("level", Value::Text("mine".to_owned())),
            ],
        };
        assert_eq!(
            line(&fields),
            concat!(
                r#"{"@timestamp":"2026-01-02T03:04:05.000000006Z","@version":"1","message":"say \"hi\"\n","#,
                r#""logger_name":"millrace::x","thread_name":"main","level":"WARN","level_value":30000,"#,
                r#""port":8080,"offset":-1,"elapsed_ms":0.25,"never":"inf","ready":true,"_level":"mine"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn every_line_is_json_whatever_the_text() {
        for text in ["", "\u{0}\u{1f}", "täxt", "</script>", "\\"] {
            let fields = Fields { message: text.to_owned(), others: vec![("field", Value::Text(text.to_owned()))] };
            let parsed: serde_json::Value = serde_json::from_str(&line(&fields)).unwrap();
            assert_eq!(parsed["message"], text);
            assert_eq!(parsed["field"], text);
        }
    }

    #[test]
    fn a_timestamp_has_nine_fraction_digits_and_an_offset() {
        let timestamp = timestamp();
        assert_eq!(timestamp.len(), "2026-01-02T03:04:05.000000006Z".len());
        assert!(timestamp.ends_with('Z'));
    }

    #[test]
    fn levels_have_logbacks_numbers() {
        let numbers =
            [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR].map(|level| level_of(level).1);
        assert_eq!(numbers, [5000, 10_000, 20_000, 30_000, 40_000]);
    }
}
