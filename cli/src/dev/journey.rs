//! Turns steps into the rows of one table, in the order in which things happened to each event.
//!
//! Pure: the caller passes the time. The steps of one event come from two processes and, in the demo, from the sender;
//! their pipes are read independently, so "delivered" may be read before "stored". Rows of an event are therefore
//! held until what must come before them has been seen, or for [`HELD_AT_MOST`].

mod table;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::lines::{Attempt, AttemptOutcome, AttemptRole, FinishOutcome, Finished, Refused, Step, Stored};
use crate::console::millis;
use table::Tone;
pub(crate) use table::{Row, Table};

/// After this time rows are shown even if an earlier step was never seen: another process may have produced the event.
const HELD_AT_MOST: Duration = Duration::from_millis(400);
/// Events whose order is remembered. Beyond it the oldest is forgotten and what was held of it is shown.
const REMEMBERED: usize = 2000;

/// The answer that the sender got: the first step, known only to the sender.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Accepted {
    pub(crate) event_id: String,
    pub(crate) status: u16,
    pub(crate) elapsed_ms: f64,
    pub(crate) url: String,
}

/// What is known about one event.
#[derive(Default)]
struct Progress {
    awaits_answer: bool,
    /// The sender tells its answer by itself, which is a row of its own.
    is_ours: bool,
    awaits_record: bool,
    /// Rank and row: the answer before the record before everything else.
    held: Vec<(u8, Row)>,
    since: Option<Instant>,
}

/// The events on their way.
#[derive(Default)]
pub(crate) struct Journeys {
    by_event: HashMap<String, Progress>,
    order: VecDeque<String>,
}

impl Journeys {
    /// Announces an event whose answer will be given with [`Journeys::accepted`]; until then its other rows wait.
    pub(crate) fn expect_answer(&mut self, event_id: &str) -> Vec<Row> {
        let (progress, shown) = self.progress(event_id);
        progress.awaits_answer = true;
        progress.is_ours = true;
        shown
    }

    pub(crate) fn accepted(&mut self, accepted: &Accepted, now: Instant) -> Vec<Row> {
        let event_id = accepted.event_id.clone();
        let (progress, mut shown) = self.progress(&event_id);
        progress.awaits_answer = false;
        progress.is_ours = true;
        let is_success = (200..300).contains(&accepted.status);
        let row = Row {
            event_id,
            step: if is_success { "accepted" } else { "refused" },
            tone: if is_success { Tone::Plain } else { Tone::Bad },
            status: Some(i64::from(accepted.status)),
            attempt: None,
            elapsed_ms: Some(accepted.elapsed_ms),
            place: accepted.url.clone(),
        };
        shown.extend(progress.add(0, row, now));
        shown
    }

    /// Takes one step; returns the rows that may be shown now, in order.
    pub(crate) fn step(&mut self, step: &Step, now: Instant) -> Vec<Row> {
        let (progress, mut shown) = self.progress(step.event_id());
        match step {
            Step::Stored(stored) => {
                progress.awaits_record = false;
                let row = if progress.is_ours { stored_row(stored) } else { accepted_row(stored) };
                shown.extend(progress.add(1, row, now));
            }
            Step::Attempt(attempt) => shown.extend(progress.add(2, attempt_row(attempt), now)),
            Step::Finished(finished) => {
                if let Some(row) = finished_row(finished) {
                    shown.extend(progress.add(2, row, now));
                }
            }
        }
        shown
    }

    /// Gives up waiting where it has taken too long.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<Row> {
        let mut shown = Vec::new();
        for event_id in &self.order {
            let Some(progress) = self.by_event.get_mut(event_id) else { continue };
            if progress.since.is_some_and(|since| now.saturating_duration_since(since) >= HELD_AT_MOST) {
                shown.extend(progress.open());
            }
        }
        shown
    }

    fn progress(&mut self, event_id: &str) -> (&mut Progress, Vec<Row>) {
        let mut shown = Vec::new();
        if !self.by_event.contains_key(event_id) {
            if self.order.len() >= REMEMBERED
                && let Some(oldest) = self.order.pop_front()
                && let Some(mut progress) = self.by_event.remove(&oldest)
            {
                shown = progress.open();
            }
            self.order.push_back(event_id.to_owned());
        }
        let fresh = || Progress { awaits_record: true, ..Progress::default() };
        (self.by_event.entry(event_id.to_owned()).or_insert_with(fresh), shown)
    }
}

impl Progress {
    fn add(&mut self, rank: u8, row: Row, now: Instant) -> Vec<Row> {
        self.held.push((rank, row));
        let first_missing = if self.awaits_answer {
            0
        } else if self.awaits_record {
            1
        } else {
            u8::MAX
        };
        if self.held.iter().all(|(rank, _)| *rank <= first_missing) && first_missing > 0 {
            return self.take();
        }
        self.since.get_or_insert(now);
        Vec::new()
    }

    /// Shows everything and waits for nothing any more.
    fn open(&mut self) -> Vec<Row> {
        self.awaits_answer = false;
        self.awaits_record = false;
        self.take()
    }

    fn take(&mut self) -> Vec<Row> {
        self.since = None;
        // The sort is stable: rows of one rank keep the order in which they were read.
        self.held.sort_by_key(|(rank, _)| *rank);
        self.held.drain(..).map(|(_, row)| row).collect()
    }
}

fn stored_row(stored: &Stored) -> Row {
    Row {
        event_id: stored.event_id.clone(),
        step: "stored",
        tone: Tone::Plain,
        status: None,
        attempt: None,
        elapsed_ms: stored.elapsed_ms,
        place: format!("{}  partition {} offset {}", stored.topic, stored.partition, stored.offset),
    }
}

/// For an event whose sender is somebody else: the ingress says that it is stored when it answers with 202.
fn accepted_row(stored: &Stored) -> Row {
    let row = stored_row(stored);
    Row { step: "accepted", status: Some(202), place: format!("stored in {}", row.place), ..row }
}

/// A request without an event that could be followed.
pub(crate) fn refused_row(refused: &Refused) -> Row {
    let host = refused.host.as_ref().map(|host| format!(" at {host}")).unwrap_or_default();
    let reason = refused.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    Row {
        event_id: "-".to_owned(),
        step: "refused",
        tone: Tone::Bad,
        status: Some(refused.status),
        attempt: None,
        elapsed_ms: None,
        place: format!("{} {}{host}{reason}", refused.method, refused.path),
    }
}

fn attempt_row(attempt: &Attempt) -> Row {
    let (step, tone) = match (attempt.outcome, attempt.role) {
        (AttemptOutcome::Delivered, AttemptRole::Subscriber) => ("delivered", Tone::Good),
        (AttemptOutcome::Delivered, AttemptRole::Reply) => ("replied", Tone::Good),
        (AttemptOutcome::Delivered, AttemptRole::DeadLetterSink) => ("dead letter", Tone::Special),
        (AttemptOutcome::Retry, _) => ("retry", Tone::Odd),
        (AttemptOutcome::Failed, _) => ("failed", Tone::Bad),
    };
    let mut place = attempt.subscription.clone();
    match attempt.role {
        AttemptRole::Subscriber => {}
        AttemptRole::DeadLetterSink | AttemptRole::Reply => place = format!("{place} -> {}", attempt.target),
    }
    // A status says enough, and has a column of its own.
    if let (Some(error), None) = (&attempt.error, attempt.status) {
        place = format!("{place}: {error}");
    }
    match (attempt.outcome, attempt.retry_in_ms) {
        (AttemptOutcome::Retry, Some(pause)) => place = format!("{place}, again in {}", millis(pause)),
        (AttemptOutcome::Failed, _) => place = format!("{place}, not tried again"),
        (AttemptOutcome::Retry, None) | (AttemptOutcome::Delivered, _) => {}
    }
    Row {
        event_id: attempt.event_id.clone(),
        step,
        tone,
        status: attempt.status,
        attempt: Some(attempt.number),
        elapsed_ms: attempt.elapsed_ms,
        place,
    }
}

/// Outcomes that an attempt has already shown have no row of their own.
fn finished_row(finished: &Finished) -> Option<Row> {
    let (step, tone) = match finished.outcome {
        FinishOutcome::Delivered | FinishOutcome::DeadLettered => return None,
        FinishOutcome::Filtered => ("filtered", Tone::Plain),
        FinishOutcome::Undelivered => ("undelivered", Tone::Odd),
        FinishOutcome::Lost => ("LOST", Tone::Bad),
        FinishOutcome::Invalid => ("no event", Tone::Bad),
    };
    let kept = if finished.outcome == FinishOutcome::Undelivered { ", kept in the undelivered topic" } else { "" };
    let place = format!(
        "{}  {} partition {} offset {}{kept}",
        finished.subscription, finished.topic, finished.partition, finished.offset
    );
    Some(Row { event_id: finished.event_id.clone(), step, tone, status: None, attempt: None, elapsed_ms: None, place })
}

#[cfg(test)]
mod tests;
