//! The story of one request: who asks, for what, may it pass, is it an event, does Kafka have it.
//!
//! Decides in the order of spec ingress 1.2 and answers only when Kafka has answered. Holds no lock and starts no task.

use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Version};
use http_body::Body;
use millrace_event::{Event, http_binding};
use millrace_runtime::health::Readiness;
use millrace_runtime::telemetry::Tracer;
use tracing::{Level, debug};

mod batch;
mod body;
mod inflate;
mod limits;
mod lines;
pub(crate) mod trace;

use body::Received;
pub(crate) use limits::RequestLimits;
use lines::Lines;
use trace::RequestTrace;

use crate::auth::{Permit, Tokens};
use crate::error::{Answer, Rejection, empty};
use crate::metrics::{IngressMetrics, UNKNOWN_TYPE};
use crate::probe::{self, ProbePaths};
use crate::producer::Delivered;
use crate::routes::{Routes, Target};

/// What every request needs.
#[derive(Debug)]
pub(crate) struct Ingress {
    pub(crate) routes: Routes,
    pub(crate) probes: ProbePaths,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: IngressMetrics,
    pub(crate) tokens: Tokens,
    /// Absent while traces are not exported.
    pub(crate) tracer: Option<Tracer>,
    lines: Lines,
}

/// An answer, and whether the sender may still be sending when the connection is closed after it.
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    pub(crate) unread: bool,
}

/// A request as far as it is known before its body.
struct Asked<'a, 'h> {
    head: &'h Parts,
    trace: &'a mut RequestTrace<'h>,
    started: Instant,
}

impl Ingress {
    pub(crate) fn new(
        routes: Routes,
        probes: ProbePaths,
        readiness: Readiness,
        metrics: IngressMetrics,
        tokens: Tokens,
        tracer: Option<Tracer>,
    ) -> Self {
        Self { routes, probes, readiness, metrics, tokens, tracer, lines: Lines::default() }
    }
}

/// Answers one request; with a `fault` that the server found in its head, by saying so.
pub(crate) async fn handle<B>(
    ingress: &Ingress,
    limits: &RequestLimits,
    fault: Option<Rejection>,
    head: &Parts,
    body: &mut B,
) -> Outcome
where
    B: Body<Data = Bytes> + Unpin,
{
    let _in_flight = ingress.metrics.asked();
    let mut trace = RequestTrace::begin(ingress.tracer.as_ref(), head);
    let decided = match fault {
        Some(fault) => Err(fault),
        None => decide(ingress, limits, head, body, &mut trace).await,
    };
    let outcome = match decided {
        Ok(answer) => Outcome { answer, unread: false },
        Err(rejection) => {
            ingress.lines.refused(&rejection, head);
            refuse(&rejection, head, body).await
        }
    };
    ingress.metrics.answered(outcome.answer.status());
    trace.answered(outcome.answer.status());
    outcome
}

/// Every decision about a request, in order.
async fn decide<'h, B>(
    ingress: &Ingress,
    limits: &RequestLimits,
    head: &'h Parts,
    body: &mut B,
    trace: &mut RequestTrace<'h>,
) -> Result<Answer, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    let started = Instant::now();
    limits.check(head)?;
    if let Some(answer) = ingress.probes.answer(head, ingress.readiness.get()) {
        return Ok(answer);
    }
    let is_probe = probe::is_control_plane(head);
    if head.method != Method::POST && !is_probe {
        return Err(Rejection::MethodNotAllowed);
    }
    let target = ingress.routes.load().resolve(head)?;
    if is_probe {
        return Ok(probe::served(head));
    }
    let permit = match &target.guard {
        // Boxed: what only guarded targets need must not make the futures of all larger.
        Some(guard) => Some(Box::pin(guard.check(&ingress.tokens, &head.headers)).await?),
        None => None,
    };
    let received = body::receive(&target, &head.headers, body, limits).await;
    let batch = http_binding::is_batch(&head.headers).then_some(limits.batch);
    let asked = Asked { head, trace, started };
    let stored = match (batch, received) {
        (Some(limit), Ok(received)) => {
            Box::pin(batch::accept(ingress, &target, asked, (received, permit), limit)).await
        }
        (_, received) => accept(ingress, &target, asked, (received, permit)).await,
    };
    stored.map(|()| empty(StatusCode::ACCEPTED))
}

/// From a body to a stored record. Every end of it is measured under the target's name, but not what may not be sent:
/// the peer does not count that either.
async fn accept(
    ingress: &Ingress,
    target: &Target,
    Asked { head, trace, started }: Asked<'_, '_>,
    (received, permit): (Result<Received, Rejection>, Option<Permit<'_>>),
) -> Result<(), Rejection> {
    let unknown = |rejection: Rejection| {
        target.measure(UNKNOWN_TYPE, rejection.status(), started.elapsed());
        rejection
    };
    let Received { bytes, admission } = received.map_err(unknown)?;
    let event = http_binding::read(&head.headers, &bytes).map_err(|error| unknown(Rejection::NotAnEvent(error)))?;
    if let Some(permit) = permit {
        permit.check(&event)?;
    }
    say_received(head, &event);
    trace.event(&event);
    let mut sending = trace.send(target.topic());
    let stored = match target.begin(&event, sending.headers(), admission) {
        Ok(begun) => target.finish(begun).await,
        Err(error) => Err(error),
    };
    match stored {
        Ok(delivered) => {
            target.measure(&event.ty, StatusCode::ACCEPTED, started.elapsed());
            target.learn(&event);
            say_produced(target, head, &event, delivered, started);
            Ok(())
        }
        Err(error) => {
            sending.fail(&error);
            ingress.lines.not_produced(target, head, &error);
            let rejection = Rejection::Produce { error, retry_after: target.retry_after };
            target.measure(&event.ty, rejection.status(), started.elapsed());
            Err(rejection)
        }
    }
}

/// The answer to a refused request, after which the connection goes on only if nothing of the request is left in it.
async fn refuse<B>(rejection: &Rejection, head: &Parts, body: &mut B) -> Outcome
where
    B: Body<Data = Bytes> + Unpin,
{
    if tracing::enabled!(Level::DEBUG) {
        let host = head.headers.get(HOST).map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
        debug!(
            path = head.uri.path(),
            host = host.as_deref(),
            method = head.method.as_str(),
            status = rejection.status().as_u16(),
            reason = %rejection,
            "Request refused"
        );
    }
    let go_on = !rejection.ends_connection() && body::discard(head, body).await;
    // HTTP/2 has no such header: an unread stream is reset and the connection goes on.
    let unread = !go_on && head.version != Version::HTTP_2;
    let answer = if unread { closing(rejection) } else { rejection.answer() };
    Outcome { answer, unread }
}

/// A refusal after which an HTTP/1 connection ends.
pub(crate) fn closing(rejection: &Rejection) -> Answer {
    let mut answer = rejection.answer();
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// What came, without its data; costs nothing unless DEBUG is on.
fn say_received(head: &Parts, event: &Event<'_>) {
    if tracing::enabled!(Level::DEBUG) {
        debug!(
            event_id = %event.id,
            event_type = %event.ty,
            event_source = %event.source,
            path = head.uri.path(),
            "Received event"
        );
    }
}

/// The line the tools of this project wait for; costs nothing unless DEBUG is on.
fn say_produced(target: &Target, head: &Parts, event: &Event<'_>, delivered: Delivered, started: Instant) {
    if tracing::enabled!(Level::DEBUG) {
        debug!(
            event_id = %event.id,
            event_type = %event.ty,
            path = head.uri.path(),
            topic = target.topic(),
            partition = delivered.partition,
            offset = delivered.offset,
            size_bytes = event.data.bytes().map_or(0, <[u8]>::len),
            elapsed_ms = started.elapsed().as_secs_f64() * 1000.0,
            "Record produced"
        );
    }
}
