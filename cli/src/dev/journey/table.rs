//! The table in which journeys are shown: one row a step, aligned, coloured by what the step means.
//!
//! Pure: rows in, lines out.

use crate::console::{Paint, fit, millis, one_line};

const EVENT_WIDTH: usize = 12;
const STEP_WIDTH: usize = 11;
const STATUS_WIDTH: usize = 6;
const TRY_WIDTH: usize = 3;
const TIME_WIDTH: usize = 8;

/// One line of the table, ready to be printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) event_id: String,
    pub(crate) step: &'static str,
    pub(super) tone: Tone,
    pub(super) status: Option<i64>,
    pub(super) attempt: Option<i64>,
    pub(super) elapsed_ms: Option<f64>,
    pub(super) place: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Odd,
    Bad,
    Special,
}

/// Prints rows as a table; an event's name stands only where it changes.
pub(crate) struct Table {
    paint: Paint,
    last_event: Option<String>,
}

impl Table {
    pub(crate) fn new(paint: Paint) -> Self {
        Self { paint, last_event: None }
    }

    pub(crate) fn head(&mut self) -> String {
        self.last_event = None;
        let head = format!(
            "{:EVENT_WIDTH$}  {:STEP_WIDTH$}  {:>STATUS_WIDTH$}  {:>TRY_WIDTH$}  {:>TIME_WIDTH$}  WHERE",
            "EVENT", "STEP", "STATUS", "TRY", "TIME"
        );
        self.paint.faint(&head)
    }

    pub(crate) fn render(&mut self, row: &Row) -> String {
        let is_same = self.last_event.as_deref() == Some(row.event_id.as_str());
        let event = if is_same { String::new() } else { fit(&one_line(&row.event_id), EVENT_WIDTH) };
        self.last_event = Some(row.event_id.clone());
        // Padding comes before colour: escape sequences have no width.
        let event = self.paint.strong(&format!("{event:EVENT_WIDTH$}"));
        let step = self.paint.tone(row.tone, &format!("{:STEP_WIDTH$}", row.step));
        let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
        let time = row.elapsed_ms.map(millis).unwrap_or_default();
        let line = format!(
            "{event}  {step}  {:>STATUS_WIDTH$}  {:>TRY_WIDTH$}  {time:>TIME_WIDTH$}  {}",
            number(row.status),
            number(row.attempt),
            one_line(&row.place)
        );
        line.trim_end().to_owned()
    }

    /// Something else was printed in between: the next row names its event again.
    pub(crate) fn interrupted(&mut self) {
        self.last_event = None;
    }
}

impl Paint {
    fn tone(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Good => self.good(text),
            Tone::Odd => self.odd(text),
            Tone::Bad => self.bad(text),
            Tone::Special => self.special(text),
        }
    }
}
