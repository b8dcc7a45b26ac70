//! Sends one HTTP request to one target and reads its answer, under one deadline and with bounded memory.
//!
//! It knows nothing of retries, records or CloudEvents: `delivery` decides what is sent and how often.
//! Source: dispatcher spec 3.3; design section 5 (hyper-util's pooled client) and row 8 (one deadline for the
//! whole attempt).

pub(crate) mod client;
mod verify;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use millrace_config::properties::http_client::HttpClientSettings;
use millrace_runtime::startup::with_causes;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::outcome::{Answer, Failure};
use client::Client;
pub(crate) use client::{ClientError, TrustedRoots};

/// How much of a failed answer's body is kept: what a dead letter carries of it.
/// Source: dispatcher spec 4.5.
pub(crate) const ERROR_BODY_BYTES: usize = 1024;

/// An answer's body may have this many bytes; a longer one fails the delivery. A reply is an event, and events
/// beyond Kafka's default record size could not be stored anyway.
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;

/// What the body of a successful answer is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerBody {
    /// It may be an event: it is read whole.
    Wanted,
    /// Nobody looks at it, however long it is.
    Ignored,
}

/// One request, ready to go.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) target: Uri,
    pub(crate) headers: HeaderMap,
    /// Empty means no body and no `Content-Length`.
    pub(crate) body: Bytes,
    pub(crate) answer: AnswerBody,
}

/// A pool of connections to the targets of one role (subscriber, dead letter sink or reply) of one egress.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    /// One permit a connection; waiting for one is not part of an attempt's time.
    connections: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Sender {
    /// A sender for targets of the scheme of `target`.
    ///
    /// # Errors
    ///
    /// When TLS is needed and a CA certificate cannot be used.
    pub(crate) fn new(target: &Uri, settings: &HttpClientSettings, roots: &TrustedRoots) -> Result<Self, ClientError> {
        Ok(Self {
            client: Client::new(target, settings, roots)?,
            connections: Semaphore::new(at_a_time(settings)),
            waiting: AtomicUsize::new(0),
            waiting_max: settings.max_wait_queue_size.unwrap_or(usize::MAX),
        })
    }

    /// A place among the connections, if one is free.
    pub(crate) fn try_connection(&self) -> Option<Connection<'_>> {
        let permit = self.connections.try_acquire().ok()?;
        Some(Connection { sender: self, _permit: permit })
    }

    /// Waits for a place among the connections. Dropping the future gives up waiting.
    ///
    /// # Errors
    ///
    /// [`Failure::Transport`] when as many wait as may.
    pub(crate) async fn connection(&self) -> Result<Connection<'_>, Failure> {
        let Some(_waiting) = Waiting::begin(&self.waiting, self.waiting_max) else {
            return Err(Failure::Crowded { waiting: self.waiting_max });
        };
        let permit = self.connections.acquire().await;
        let permit = permit.map_err(|_closed| Failure::Transport("sender is closed".to_owned()))?;
        Ok(Connection { sender: self, _permit: permit })
    }

    async fn exchange(&self, outgoing: Outgoing) -> Result<Answer, Failure> {
        let mut request = Request::new(Full::new(outgoing.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = outgoing.target;
        *request.headers_mut() = outgoing.headers;
        let wanted = outgoing.answer;
        let response = self.client.request(request).await?;
        let status = response.status();
        if status >= StatusCode::MULTIPLE_CHOICES {
            let (parts, body) = response.into_parts();
            let body = read_beginning(body).await;
            return Err(Failure::Status { status, headers: Box::new(parts.headers), body });
        }
        match wanted {
            AnswerBody::Wanted => read_answer(response).await,
            AnswerBody::Ignored => {
                let (parts, body) = response.into_parts();
                read_beginning(body).await;
                Ok(Answer { status, headers: parts.headers, body: Bytes::new() })
            }
        }
    }
}

/// How many requests may be under way to one target at a time.
pub(crate) fn at_a_time(settings: &HttpClientSettings) -> usize {
    settings.max_pool_size.clamp(1, Semaphore::MAX_PERMITS)
}

/// A place among a sender's connections, for one request.
#[derive(Debug)]
pub(crate) struct Connection<'a> {
    sender: &'a Sender,
    _permit: SemaphorePermit<'a>,
}

impl Connection<'_> {
    /// Sends once. `timeout` bounds everything from connecting to the last byte of the answer.
    ///
    /// # Errors
    ///
    /// Every status from 300 on, every network error, and answers that are too long.
    /// Dropping the future cuts the connection.
    pub(crate) async fn attempt(self, outgoing: Outgoing, timeout: Duration) -> Result<Answer, Failure> {
        match tokio::time::timeout(timeout, self.sender.exchange(outgoing)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Failure::TimedOut(timeout)),
        }
    }
}

/// One of those who wait for a connection.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
        let guard = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < max).then_some(guard)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn read_answer(response: Response<Incoming>) -> Result<Answer, Failure> {
    let (parts, mut body) = response.into_parts();
    let mut read = BytesMut::new();
    let mut single = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Transport(with_causes(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = single.as_ref().map_or(read.len(), Bytes::len);
        if length + data.len() > ANSWER_LIMIT_BYTES {
            return Err(Failure::AnswerTooLarge { limit_bytes: ANSWER_LIMIT_BYTES });
        }
        // Nearly every answer comes in one frame or none: keep that frame as it is.
        if let Some(first) = single.take() {
            let first: Bytes = first;
            read.extend_from_slice(&first);
            read.extend_from_slice(&data);
        } else if read.is_empty() {
            single = Some(data);
        } else {
            read.extend_from_slice(&data);
        }
    }
    let body = single.unwrap_or_else(|| read.freeze());
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// The first bytes of an answer. A short body is read to its end, so that the connection can be used again; a longer one
/// costs its connection.
async fn read_beginning(mut body: Incoming) -> Bytes {
    let mut read = BytesMut::new();
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        let room = ERROR_BODY_BYTES - read.len();
        read.extend_from_slice(data.get(..room).unwrap_or(&data));
        if seen > ANSWER_LIMIT_BYTES {
            break;
        }
    }
    read.freeze()
}

#[cfg(test)]
mod tests;
