//! Delivers one event to one target: attempts, pauses between them, and when to stop trying.
//!
//! It does not know what a record is or what happens afterwards. What follows an attempt is decided by `retry`;
//! sending is `sender`'s.
//! Source: dispatcher spec 3.1 (the request), 5 (retries); design row 6 (a waiting retry frees its slot).

pub(crate) mod lines;
pub(crate) mod request;
pub(crate) mod retry;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http::header::AUTHORIZATION;
use millrace_event::Event;
use millrace_runtime::clock;
use millrace_runtime::telemetry::OpenSpan;

use crate::metrics::Role;
use crate::outcome::{Answer, Failure};
use crate::pipeline::Pipeline;
use crate::pressure::limit::Signal;
use crate::pressure::line::Turn;
use crate::pressure::{NotAdmitted, Patience, Report};
use crate::record::Record;
use crate::route::Route;
use crate::sender::{Connection, Outgoing};
use crate::slot::{Slot, Stopping};
use crate::spans;
use lines::Attempt;
use request::Trace;
use retry::{FailedAttempt, NextStep, next_step, spread};

/// Between two looks of a record that found too many before it. Up to twice as long, so that not all look at once.
const CROWDED_PAUSE: Duration = Duration::from_millis(500);

/// Where the event comes from: for logs, the spread of retries, the trace headers, and texts that need not be copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) record: &'a Record,
    pub(crate) trace: request::Trace<'a>,
}

/// Why a delivery ended without success.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// The target had all the attempts that are due.
    Failed(Failure),
    /// The partition is being handed over or the process ends: whoever reads the record next starts again. Or the
    /// record was parked.
    Abandoned,
}

/// Sends `event` until it is taken, no attempt is left, or `stopping` asks to end.
///
/// The slot is given back during pauses; a pause may end this delivery, see [`Slot::park`]. Dropping the future
/// cuts the attempt that runs.
///
/// # Errors
///
/// The last failure, or that the delivery was abandoned.
pub(crate) async fn deliver(
    pipeline: &Pipeline,
    role: Role,
    route: &Route,
    event: &Event<'_>,
    body: &Bytes,
    origin: Origin<'_>,
    slot: &mut Slot,
) -> Result<Answer, Undelivered> {
    let mut number = slot.attempts_before();
    let mut patience =
        Patience { left: route.patience.saturating_sub(slot.waited_before()), in_place: role == Role::Subscriber };
    loop {
        number += 1;
        let turn = if number == 1 { Turn::First } else { Turn::Retry };
        let admitted = match route.pressure.admit(turn, &mut patience, slot.stopping()).await {
            Ok(admitted) => admitted,
            Err(NotAdmitted::Stopping) => return Err(Undelivered::Abandoned),
            Err(NotAdmitted::Crowded) => {
                number -= 1;
                let pause = CROWDED_PAUSE.mul_f64(1.0 + spread(origin.record.partition, origin.record.offset, number));
                slot.park(number, pause).await.map_err(|Stopping| Undelivered::Abandoned)?;
                continue;
            }
            Err(NotAdmitted::Down { ask_again_in }) => {
                number -= 1;
                let pause = ask_again_in.mul_f64(1.0 + spread(origin.record.partition, origin.record.offset, number));
                outwait(route, &mut patience, pause, number, slot).await?;
                continue;
            }
        };
        let connection = connection(route, slot).await?;
        let started = Instant::now();
        let result = match connection {
            Ok(connection) => {
                let _in_flight = pipeline.metrics.in_flight(role);
                attempt(route, event, body, origin, number, connection).await
            }
            Err(failure) => Err(failure),
        };
        let elapsed = started.elapsed();
        admitted.report(report(&result, number, elapsed));
        pipeline.metrics.attempts.ended(role, &result);
        let attempt = Attempt { pipeline, role, route, event, origin, number, elapsed };
        let failure = match result {
            Ok(answer) => {
                attempt.log_success(&answer);
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        let failed =
            FailedAttempt { number, retryable: failure.retryable(), retry_after: failure.retry_after(clock::now()) };
        let step = next_step(&route.policy, failed, spread(origin.record.partition, origin.record.offset, number));
        attempt.log_failure(&failure, step);
        let pause = match step {
            NextStep::GiveUp => {
                pipeline.live.failed(role, number, &failure, None);
                return Err(Undelivered::Failed(failure));
            }
            NextStep::RetryAfter(pause) => pause,
        };
        pipeline.live.failed(role, number, &failure, Some(pause));
        slot.note_waited(route.patience.saturating_sub(patience.left));
        slot.park(number, pause).await.map_err(|Stopping| Undelivered::Abandoned)?;
    }
}

/// Waits because the target is down, without a slot: events that have nothing to do with this target go on meanwhile.
async fn outwait(
    route: &Route,
    patience: &mut Patience,
    pause: Duration,
    made: u32,
    slot: &mut Slot,
) -> Result<(), Undelivered> {
    let pause = pause.min(patience.left);
    patience.left -= pause;
    slot.note_waited(route.patience.saturating_sub(patience.left));
    slot.park(made, pause).await.map_err(|Stopping| Undelivered::Abandoned)
}

async fn attempt(
    route: &Route,
    event: &Event<'_>,
    body: &Bytes,
    origin: Origin<'_>,
    number: u32,
    connection: Connection<'_>,
) -> Result<Answer, Failure> {
    // Not part of the attempt's time: the cluster has limits of its own.
    let token = route.authorization.header().await?;
    let span = spans::attempt(origin.trace, &route.target);
    let trace = Trace { attempt: span.as_ref().map(OpenSpan::context), ..origin.trace };
    let mut headers = request::headers(route, event, &Origin { trace, ..origin }, number)?;
    if let Some(token) = &token {
        headers.insert(AUTHORIZATION, token.clone());
    }
    let outgoing = Outgoing { headers, body: body.clone(), answer: route.answer };
    let result = connection.attempt(outgoing, route.attempt_timeout).await;
    if let (Some(token), Err(failure)) = (&token, &result)
        && failure.status() == Some(StatusCode::UNAUTHORIZED)
    {
        route.authorization.refused(token);
    }
    spans::attempted(span, &result);
    result
}

/// A place among the target's connections. Waiting for one is not part of an attempt's time.
async fn connection<'a>(route: &'a Route, slot: &Slot) -> Result<Result<Connection<'a>, Failure>, Undelivered> {
    if let Some(connection) = route.sender.try_connection() {
        return Ok(Ok(connection));
    }
    let _waiting = route.pressure.waiting_for_connection();
    tokio::select! {
        biased;
        () = slot.stopping().cancelled() => Err(Undelivered::Abandoned),
        connection = route.sender.connection() => Ok(connection),
    }
}

/// What the attempt says about the target.
fn report(result: &Result<Answer, Failure>, number: u32, took: Duration) -> Report {
    let (signal, reached) = match result {
        Ok(_answer) => (Some(Signal::Answered), Some(true)),
        Err(failure) => (failure.signal(), failure.reached()),
    };
    Report { signal, reached, first_attempt: number == 1, took }
}

#[cfg(test)]
mod tests;
