//! Plain lines for people: time of day, level, message, then the fields.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Fields, Value};
use crate::clock;

pub(super) struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        write_line(&mut writer, time_of_day(), event.metadata().level().as_str(), &fields)
    }
}

/// The line that says how many lines were dropped.
pub(super) fn dropped(lines: u64) -> String {
    format!("{} WARN  {} lines={lines}\n", time_of_day(), super::DROPPED)
}

fn write_line(writer: &mut dyn fmt::Write, time: impl fmt::Display, level: &str, fields: &Fields) -> fmt::Result {
    write!(writer, "{time} {level:<5} {}", fields.message)?;
    for (name, value) in &fields.others {
        match value {
            Value::Text(text) if text.is_empty() || text.contains([' ', '"', '\n']) => {
                write!(writer, " {name}={text:?}")?;
            }
            Value::Text(text) => write!(writer, " {name}={text}")?,
            Value::Unsigned(number) => write!(writer, " {name}={number}")?,
            Value::Signed(number) => write!(writer, " {name}={number}")?,
            Value::Float(number) => write!(writer, " {name}={number}")?,
            Value::Bool(flag) => write!(writer, " {name}={flag}")?,
        }
    }
    writeln!(writer)
}

/// `hh:mm:ss.mmm` in UTC.
fn time_of_day() -> impl fmt::Display {
    let since_epoch = clock::since_epoch();
    let second = since_epoch.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", second / 3600, second / 60 % 60, second % 60, since_epoch.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_time_level_message_fields() {
        let fields = Fields {
            message: "Receiver started".to_owned(),
            others: vec![("port", Value::Unsigned(8080)), ("reason", Value::Text("two words".to_owned()))],
        };
        let mut line = String::new();
        write_line(&mut line, "03:04:05.006", "INFO", &fields).unwrap();
        assert_eq!(line, "03:04:05.006 INFO  Receiver started port=8080 reason=\"two words\"\n");
    }
}
