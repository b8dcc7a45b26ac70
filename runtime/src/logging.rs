//! Logs on standard output: JSON lines for a cluster, plain lines for people.
//!
//! Levels come from `MILLRACE_LOG`, else from the logback file Knative mounts, else INFO. librdkafka's own lines stay at
//! WARN unless a directive names them: its Rust wrapper traces every call. Source: spec ingress 8.3.

use std::time::Duration;

use millrace_config::env::{LogEnv, LogFormat};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

mod fields;
mod json;
mod levels;
mod queue;
mod text;

/// Said in place of lines that a reader of standard output was too slow for.
const DROPPED: &str = "Log lines dropped";

/// Starts logging for the whole process. The second call in one process changes nothing, so that a multi-call binary
/// and tests may both call it.
pub fn init(env: &LogEnv, process: &'static str) {
    let levels = levels::read(env.directives.as_deref(), &env.config_path);
    let lines = |note| tracing_subscriber::fmt::layer().with_writer(queue::Output::stdout(note));
    let layer = match env.format {
        LogFormat::Json => lines(json::dropped).event_format(json::Json).boxed(),
        LogFormat::Text => lines(text::dropped).event_format(text::Text).with_ansi(false).boxed(),
    };
    let installed = tracing_subscriber::registry().with(layer.with_filter(levels.filter)).try_init().is_ok();
    if installed {
        for problem in &levels.problems {
            tracing::warn!(process, problem, "Log level ignored");
        }
    }
}

/// What is wrong with the levels of a logback file. They are ignored; the rest of the file counts.
#[must_use]
pub fn logback_problems(xml: &str) -> Vec<String> {
    levels::from_logback(xml).problems
}

/// Waits until every line logged so far has been handed to the operating system, at most for `limit`. Blocks.
pub fn flush(limit: Duration) {
    queue::flush(limit);
}
