//! Understands the log lines of the roles: one JSON object a line in, one [`Line`] out.
//!
//! Pure. The texts and fields it looks for are the processes' contract with whoever watches them; every other line
//! is either trouble (warnings and errors, shown as they are) or of no interest. A line that is not JSON, such as
//! a panic, is shown whole: nothing a child says in distress may be lost.

use serde_json::{Map, Value};

/// What one line of a child says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    /// The role answers requests, reads records or writes contracts from now on.
    Ready,
    /// The dispatcher owns partitions for this egress.
    Assigned {
        egress: String,
    },
    /// Where the role tells about itself: /metrics and others.
    Admin {
        address: String,
    },
    Step(Step),
    /// The ingress took no event.
    Refused(Refused),
    Trouble(Trouble),
    /// Not JSON: a panic, or a message of a C library.
    Text(String),
    /// Life of the process that a person need not see.
    Quiet,
}

/// One step in an event's journey.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Stored(Stored),
    Attempt(Attempt),
    Finished(Finished),
}

/// The broker has acknowledged the record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) event_id: String,
    pub(crate) topic: String,
    pub(crate) partition: i64,
    pub(crate) offset: i64,
    pub(crate) elapsed_ms: Option<f64>,
    /// Of the record's value, absent if the ingress does not say.
    pub(crate) size_bytes: Option<u64>,
}

/// A request that the ingress answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: i64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) host: Option<String>,
    pub(crate) reason: Option<String>,
}

/// One request to a subscriber, a reply address or a dead letter sink has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) event_id: String,
    pub(crate) subscription: String,
    pub(crate) role: AttemptRole,
    pub(crate) target: String,
    /// 1 is the first.
    pub(crate) number: i64,
    /// Absent when there was no response.
    pub(crate) status: Option<i64>,
    pub(crate) error: Option<String>,
    pub(crate) elapsed_ms: Option<f64>,
    pub(crate) outcome: AttemptOutcome,
    pub(crate) retry_in_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptRole {
    Subscriber,
    DeadLetterSink,
    Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptOutcome {
    Delivered,
    Retry,
    Failed,
}

/// The event is settled for one subscription.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finished {
    pub(crate) event_id: String,
    pub(crate) subscription: String,
    pub(crate) topic: String,
    pub(crate) partition: i64,
    pub(crate) offset: i64,
    pub(crate) outcome: FinishOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinishOutcome {
    Delivered,
    Filtered,
    DeadLettered,
    /// Neither subscriber nor dead letter sink took it; the undelivered topic keeps it.
    Undelivered,
    Lost,
    Invalid,
}

/// A warning or an error, with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) is_error: bool,
    pub(crate) message: String,
    /// `name: value` for every field that is not part of each line.
    pub(crate) fields: String,
}

impl Step {
    pub(crate) fn event_id(&self) -> &str {
        match self {
            Self::Stored(stored) => &stored.event_id,
            Self::Attempt(attempt) => &attempt.event_id,
            Self::Finished(finished) => &finished.event_id,
        }
    }
}

/// Fields that every line has and no person needs.
const FIELDS_OF_EVERY_LINE: &[&str] = &[
    "@timestamp",
    "@version",
    "timestamp",
    "level",
    "level_value",
    "message",
    "logger_name",
    "thread_name",
    "target",
    "process",
    "span",
    "spans",
];

/// Reads one line of a child's standard output.
pub(crate) fn read(line: &str) -> Line {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(line) else {
        let text = line.trim();
        return if text.is_empty() { Line::Quiet } else { Line::Text(text.to_owned()) };
    };
    let message = text(&fields, "message").unwrap_or_default();
    if let Some(known) = known(&message, &fields) {
        return known;
    }
    let level = text(&fields, "level").unwrap_or_default();
    let is_error = level.eq_ignore_ascii_case("error");
    // A warning about one event repeats what its journey shows.
    let is_warning = level.eq_ignore_ascii_case("warn") && !fields.contains_key("event_id");
    if is_error || is_warning {
        return Line::Trouble(Trouble { is_error, message, fields: others(&fields) });
    }
    Line::Quiet
}

fn known(message: &str, fields: &Map<String, Value>) -> Option<Line> {
    match message {
        "Receiver started" | "Dispatcher started" | "Control started" => Some(Line::Ready),
        // Shown from control's status, where it stands with all its parts.
        "Problem with an object" => Some(Line::Quiet),
        "Partitions assigned" => Some(Line::Assigned { egress: text(fields, "egress")? }),
        "Admin server listening" => Some(Line::Admin { address: text(fields, "address")? }),
        "Record produced" => stored(fields).map(|stored| Line::Step(Step::Stored(stored))),
        "Request refused" => refused(fields),
        // Each repeats another line, in the words of Knative's receiver or dispatcher.
        "Resource not found"
        | "Method not allowed:"
        | "Failed to get cloudevent from request"
        | "Failed to send record"
        | "failed to send event to subscriber"
        | "Failed to send event to subscriber"
        | "Failed to send event to dead letter sink"
        | "Failed to handle subscriber response"
        | "No dead letter sink set"
        | "Failed to startup the receiver"
        | "Failed to reconcile contract generation" => Some(Line::Quiet),
        // Every properties file here is control's, which has told about it with file and line.
        "Property not used as given" | "Property without the expected effect" => Some(Line::Quiet),
        "Delivery attempt" => attempt(fields).map(|attempt| Line::Step(Step::Attempt(attempt))),
        "Event finished" => finished(fields).map(|finished| Line::Step(Step::Finished(finished))),
        _ => None,
    }
}

fn stored(fields: &Map<String, Value>) -> Option<Stored> {
    Some(Stored {
        event_id: text(fields, "event_id")?,
        topic: text(fields, "topic")?,
        partition: whole(fields, "partition")?,
        offset: whole(fields, "offset")?,
        elapsed_ms: number(fields, "elapsed_ms"),
        size_bytes: whole(fields, "size_bytes").and_then(|bytes| u64::try_from(bytes).ok()),
    })
}

fn refused(fields: &Map<String, Value>) -> Option<Line> {
    let (method, status) = (text(fields, "method")?, whole(fields, "status")?);
    // Control probes with GET whether a channel is known yet; a person who used GET gets 405.
    if method != "POST" && status == 404 {
        return Some(Line::Quiet);
    }
    let (path, host, reason) = (text(fields, "path")?, text(fields, "host"), text(fields, "reason"));
    Some(Line::Refused(Refused { status, method, path, host, reason }))
}

fn attempt(fields: &Map<String, Value>) -> Option<Attempt> {
    Some(Attempt {
        event_id: text(fields, "event_id")?,
        subscription: text(fields, "subscription").or_else(|| text(fields, "egress"))?,
        role: match text(fields, "role")?.as_str() {
            "subscriber" => AttemptRole::Subscriber,
            "dead_letter_sink" => AttemptRole::DeadLetterSink,
            "reply" => AttemptRole::Reply,
            _ => return None,
        },
        target: text(fields, "target").unwrap_or_default(),
        number: whole(fields, "attempt")?,
        status: whole(fields, "status_code"),
        error: text(fields, "error"),
        elapsed_ms: number(fields, "elapsed_ms"),
        outcome: match text(fields, "outcome")?.as_str() {
            "delivered" => AttemptOutcome::Delivered,
            "retry" => AttemptOutcome::Retry,
            "failed" => AttemptOutcome::Failed,
            _ => return None,
        },
        retry_in_ms: number(fields, "retry_in_ms"),
    })
}

fn finished(fields: &Map<String, Value>) -> Option<Finished> {
    Some(Finished {
        event_id: text(fields, "event_id")?,
        subscription: text(fields, "subscription").or_else(|| text(fields, "egress"))?,
        topic: text(fields, "topic").unwrap_or_default(),
        partition: whole(fields, "partition")?,
        offset: whole(fields, "offset")?,
        outcome: match text(fields, "outcome")?.as_str() {
            "delivered" => FinishOutcome::Delivered,
            "filtered" => FinishOutcome::Filtered,
            "dead_lettered" => FinishOutcome::DeadLettered,
            "undelivered" => FinishOutcome::Undelivered,
            "lost" => FinishOutcome::Lost,
            "invalid" => FinishOutcome::Invalid,
            _ => return None,
        },
    })
}

/// An empty text counts as absent.
fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Numbers may come as JSON numbers or, where a log field was formatted, as text.
fn number(fields: &Map<String, Value>, name: &str) -> Option<f64> {
    let value = fields.get(name)?;
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn whole(fields: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = fields.get(name)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn others(fields: &Map<String, Value>) -> String {
    let shown = fields.iter().filter(|(name, _)| !FIELDS_OF_EVERY_LINE.contains(&name.as_str()));
    let pairs: Vec<String> = shown
        .map(|(name, value)| match value {
            Value::String(text) => format!("{}: {text}", name.replace('_', " ")),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                format!("{}: {value}", name.replace('_', " "))
            }
        })
        .collect();
    pairs.join(", ")
}

#[cfg(test)]
mod tests;
