//! What `dev` and `demo` show while they run: the table of journeys, the objects' states, trouble of the roles.
//!
//! Decides what is shown and how; knows nothing of processes. More rows than a person can read are counted
//! instead of shown, so that a load test is not slowed down by a terminal.

use std::path::Path;
use std::time::{Duration, Instant};

use super::journey::{self, Accepted, Journeys, Row, Table};
use super::lines::{Line, Step, Trouble};
use super::retention::Retention;
use super::status::Status;
use super::status::view::StatusView;
use super::supervisor::{Exit, Said};
use crate::console::{Console, millis, one_line};

/// Rows in [`THROTTLE_WINDOW`]; the rest are counted.
const MOST_ROWS: u32 = 200;
const THROTTLE_WINDOW: Duration = Duration::from_secs(1);

/// For whom it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Someone who works on their own objects and can act on a warning.
    Developer,
    /// Someone who has set up nothing: warnings about what the demo set up would only be noise. Errors are shown.
    Spectator,
}

pub(crate) struct Screen {
    console: Console,
    audience: Audience,
    table: Table,
    head_shown: bool,
    /// The last line is blank already.
    gap_shown: bool,
    journeys: Journeys,
    status: StatusView,
    /// Absent when every row is shown.
    throttle: Option<Throttle>,
    /// Absent with a real Kafka, which keeps what it is told to keep.
    retention: Option<Retention>,
    /// From here on nothing is started again.
    stopping: bool,
}

impl Screen {
    /// `objects` is the folder of the objects, for hints.
    pub(crate) fn new(console: Console, audience: Audience, objects: &Path, embedded_broker: bool) -> Self {
        let paint = console.paint();
        Self {
            console,
            audience,
            table: Table::new(paint),
            head_shown: false,
            gap_shown: false,
            journeys: Journeys::default(),
            status: StatusView::new(paint, objects),
            // The demo paces its own events, and each of them is to be seen.
            throttle: (audience == Audience::Developer).then(Throttle::default),
            retention: embedded_broker.then(Retention::default),
            stopping: false,
        }
    }

    pub(crate) fn console(&self) -> &Console {
        &self.console
    }

    pub(crate) fn retention(&mut self) -> Option<&mut Retention> {
        self.retention.as_mut()
    }

    /// A part runs.
    pub(crate) fn started(&mut self, what: &str, detail: &str) {
        self.note(what, &self.console.paint().good("started  "), detail);
    }

    /// A part takes longer than a moment.
    pub(crate) fn waiting(&mut self, what: &str, detail: &str) {
        self.note(what, &self.console.paint().odd("waiting  "), detail);
    }

    pub(crate) fn warning(&mut self, what: &str, detail: &str) {
        self.note(what, &self.console.paint().odd("warning  "), detail);
    }

    /// Belongs to the line before.
    pub(crate) fn hint(&mut self, text: &str) {
        let hint = self.console.paint().faint(text);
        self.note("", "         ", &hint);
    }

    pub(crate) fn stopping(&mut self) {
        self.stopping = true;
        self.interrupt();
        self.console.blank();
        let hint = self.console.paint().faint("what is in flight is finished first; Ctrl-C again does not wait");
        self.note("millrace", &self.console.paint().odd("stopping "), &hint);
    }

    fn note(&mut self, what: &str, state: &str, detail: &str) {
        self.interrupt();
        self.gap_shown = false;
        self.console.line(format!("{what:12} {state} {detail}").trim_end());
    }

    fn interrupt(&mut self) {
        self.table.interrupted();
    }

    /// Shows what a child says, if it is for a person.
    pub(crate) fn said(&mut self, said: &Said, now: Instant) {
        match said {
            Said::Line(role, line) => match line {
                Line::Step(step) => self.step(step, now),
                Line::Refused(refused) => self.rows(&[journey::refused_row(refused)], now),
                Line::Trouble(trouble) => {
                    if trouble.is_error || self.audience == Audience::Developer {
                        self.trouble(role.name(), trouble);
                    }
                }
                Line::Admin { address } => {
                    if self.audience == Audience::Developer {
                        let url = format!("http://{address}/metrics");
                        self.note(role.name(), &self.console.paint().faint("metrics  "), &url);
                    }
                }
                Line::Text(text) => self.note(role.name(), "says     ", &one_line(text)),
                Line::Ready | Line::Assigned { .. } | Line::Quiet => {}
            },
            Said::Exited(exit) => self.exited(exit),
        }
    }

    fn step(&mut self, step: &Step, now: Instant) {
        if let Step::Stored(stored) = step
            && let Some(warning) = self.retention.as_mut().and_then(|retention| retention.stored(stored))
        {
            self.warning("broker", &warning);
        }
        let rows = self.journeys.step(step, now);
        self.rows(&rows, now);
    }

    /// The demo sends events itself and knows their answers.
    pub(crate) fn expect_answer(&mut self, event_id: &str, now: Instant) {
        let rows = self.journeys.expect_answer(event_id);
        self.rows(&rows, now);
    }

    pub(crate) fn accepted(&mut self, accepted: &Accepted, now: Instant) {
        let rows = self.journeys.accepted(accepted, now);
        self.rows(&rows, now);
    }

    /// To be called about ten times a second.
    pub(crate) fn tick(&mut self, now: Instant) {
        let rows = self.journeys.overdue(now);
        self.rows(&rows, now);
        if let Some(hidden) = self.throttle.as_mut().and_then(|throttle| throttle.report(now)) {
            let text = format!("... {hidden} more steps are not shown: more than {MOST_ROWS} a second");
            self.interrupt();
            self.console.line(&self.console.paint().faint(&text));
        }
    }

    pub(crate) fn status(&mut self, status: &Status) {
        let lines = self.status.changes(status);
        if lines.is_empty() {
            return;
        }
        self.interrupt();
        let is_between_rows = self.head_shown && !std::mem::replace(&mut self.gap_shown, true);
        if is_between_rows {
            self.console.blank();
        }
        for line in lines {
            self.console.line(&line);
        }
        if self.head_shown {
            self.console.blank();
        }
    }

    fn rows(&mut self, rows: &[Row], now: Instant) {
        for row in rows {
            if self.throttle.as_mut().is_some_and(|throttle| !throttle.admits(now)) {
                continue;
            }
            if !self.head_shown {
                self.head_shown = true;
                self.console.blank();
                self.console.line(&self.table.head());
            }
            self.gap_shown = false;
            self.console.line(&self.table.render(row));
        }
    }

    fn trouble(&mut self, role: &str, trouble: &Trouble) {
        let paint = self.console.paint();
        let state = if trouble.is_error { paint.bad("error    ") } else { paint.odd("warning  ") };
        let fields = paint.faint(&one_line(&trouble.fields));
        self.note(role, &state, format!("{} {fields}", one_line(&trouble.message)).trim_end());
    }

    fn exited(&mut self, exit: &Exit) {
        let pause = millis(exit.restart_in.as_secs_f64() * 1000.0);
        let what_next = if self.stopping { String::new() } else { format!("; starts again in {pause}") };
        let state = self.console.paint().bad("ended    ");
        self.note(exit.role.name(), &state, &format!("unexpectedly ({}){what_next}", exit.how));
    }
}

/// Counts rows in windows of a second.
#[derive(Default)]
struct Throttle {
    window: Option<Instant>,
    shown: u32,
    hidden: u64,
}

impl Throttle {
    fn admits(&mut self, now: Instant) -> bool {
        let is_over = self.window.is_none_or(|start| now.saturating_duration_since(start) >= THROTTLE_WINDOW);
        if is_over {
            self.window = Some(now);
            self.shown = 0;
        }
        if self.shown >= MOST_ROWS {
            self.hidden += 1;
            return false;
        }
        self.shown += 1;
        true
    }

    /// What was hidden, once the window is over.
    fn report(&mut self, now: Instant) -> Option<u64> {
        let is_over = self.window.is_some_and(|start| now.saturating_duration_since(start) >= THROTTLE_WINDOW);
        if !is_over || self.hidden == 0 {
            return None;
        }
        Some(std::mem::take(&mut self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_shows_every_row() {
        let screen = |audience| Screen::new(Console::stdout(), audience, Path::new("objects"), true);
        assert!(screen(Audience::Spectator).throttle.is_none());
        assert!(screen(Audience::Developer).throttle.is_some());
    }

    #[test]
    fn rows_beyond_what_can_be_read_are_counted() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let shown = (0..MOST_ROWS + 30).filter(|_| throttle.admits(now)).count();
        assert_eq!(shown, usize::try_from(MOST_ROWS).unwrap());
        assert_eq!(throttle.report(now), None);
        assert_eq!(throttle.report(now + THROTTLE_WINDOW), Some(30));
        assert_eq!(throttle.report(now + THROTTLE_WINDOW), None);
        assert!(throttle.admits(now + THROTTLE_WINDOW));
    }
}
