//! Sends one HTTP request to one target and reads its answer, under one deadline and with bounded memory.
//!
//! It knows nothing of retries, records or CloudEvents: `delivery` decides what is sent and how often.
//! Source: dispatcher spec 3.3; design section 5 (connections of our own for HTTP/1.1 in clear text, hyper-util's pooled client for the rest) and row 8 (one deadline for the
//! whole attempt).

mod answer;
pub(crate) mod client;
mod connect;
mod encoding;
mod guard;
mod pool;
pub(crate) mod token;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body_util::Full;
use millrace_config::properties::http_client::HttpClientSettings;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::outcome::{Answer, Failure};
pub(crate) use answer::AnswerBody;
use answer::Answers;
use client::Client;
pub(crate) use client::{ClientError, TrustedRoots};

/// How much of a failed answer's body is kept: what a dead letter carries of it.
/// Source: dispatcher spec 4.5.
pub(crate) const ERROR_BODY_BYTES: usize = 1024;

/// One request, ready to go.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) headers: HeaderMap,
    /// Empty means no body and no `Content-Length`.
    pub(crate) body: Bytes,
    pub(crate) answer: AnswerBody,
}

/// A pool of connections to the target of one role (subscriber, dead letter sink or reply) of one egress.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    answers: Answers,
    /// One permit a request; waiting for one is not part of an attempt's time.
    connections: Semaphore,
    connections_certain: usize,
    /// What HTTP/2 adds to them.
    streams_more: usize,
    widened: AtomicBool,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Sender {
    /// A sender for `target`.
    ///
    /// # Errors
    ///
    /// When TLS is needed and a CA certificate cannot be used.
    pub(crate) fn new(target: &Uri, settings: &HttpClientSettings, roots: &TrustedRoots) -> Result<Self, ClientError> {
        Ok(Self {
            client: Client::new(target, settings, roots)?,
            answers: Answers::new(settings),
            connections: Semaphore::new(at_a_time(settings)),
            connections_certain: at_a_time(settings),
            streams_more: streams(settings).saturating_sub(at_a_time(settings)),
            widened: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            waiting_max: settings.max_wait_queue_size.unwrap_or(usize::MAX),
        })
    }

    /// How many requests may be under way, as far as is known.
    pub(crate) fn connections_at_most(&self) -> usize {
        let more = if self.widened.load(Ordering::Relaxed) { self.streams_more } else { 0 };
        self.connections_certain.saturating_add(more)
    }

    /// Whether a place among the connections is free.
    pub(crate) fn has_room(&self) -> bool {
        self.connections.available_permits() > 0
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
    /// [`Failure::Crowded`] when as many wait as may.
    pub(crate) async fn connection(&self) -> Result<Connection<'_>, Failure> {
        let Some(_waiting) = Waiting::begin(&self.waiting, self.waiting_max) else {
            return Err(Failure::Crowded { waiting: self.waiting_max });
        };
        let permit = self.connections.acquire().await;
        let permit = permit.map_err(|_closed| Failure::Transport("sender is closed".to_owned()))?;
        Ok(Connection { sender: self, _permit: permit })
    }

    async fn exchange(&self, outgoing: Outgoing, timeout: Duration) -> Result<Answer, Failure> {
        let mut request = Request::new(Full::new(outgoing.body));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = outgoing.headers;
        if self.answers.decompress {
            request.headers_mut().insert(ACCEPT_ENCODING, encoding::ACCEPTED);
        }
        let seen = |version| {
            if version == Version::HTTP_2 {
                self.widen();
            }
        };
        self.client.exchange(request, (self.answers, outgoing.answer), timeout, seen).await
    }

    /// The target speaks HTTP/2 after all: requests share connections, so more of them may be under way.
    fn widen(&self) {
        if self.streams_more > 0 && !self.widened.swap(true, Ordering::Relaxed) {
            self.connections.add_permits(self.streams_more);
        }
    }
}

/// How many requests may be under way to one target at a time, as far as is known before it has answered: one a
/// connection, but several where HTTP/2 is certain.
pub(crate) fn at_a_time(settings: &HttpClientSettings) -> usize {
    let certain = settings.http2 && !settings.use_alpn;
    let number = if certain { streams(settings) } else { settings.max_pool_size };
    number.clamp(1, Semaphore::MAX_PERMITS)
}

/// How many may be once the target is known to speak HTTP/2. Without a limit of streams only the slots of the egress count.
fn streams(settings: &HttpClientSettings) -> usize {
    let limit = settings.http2_multiplexing_limit.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(Semaphore::MAX_PERMITS, |limit| limit.saturating_mul(settings.http2_max_pool_size))
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
        self.sender.exchange(outgoing, timeout).await
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

#[cfg(test)]
mod tests;
