//! A subscriber that does what a script says and remembers everything that arrived.
//!
//! The script is a function from an arrival to an answer, so that a test can decide by path, event id and attempt.

use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::server::{Reply, Server};
use crate::wait::wait_for;

/// One request that came in.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The request's path.
    pub path: String,
    /// The `ce-id` header; empty if there was none.
    pub id: String,
    /// 1 for the first arrival of this id on this path.
    pub attempt: u32,
    /// When the whole request was read.
    pub at: Instant,
    /// When the answer was given; `None` while it is held back, and for ever if there is none.
    pub answered: Option<Instant>,
    /// The number of the connection, from 0.
    pub connection: u64,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Arrival {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// An integer header.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.header(name)?.parse().ok()
    }
}

/// What the subscriber does with one request.
#[derive(Debug, Clone)]
pub struct Answer {
    delay: Duration,
    held: Option<Arc<AtomicBool>>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Respond { status: u16, headers: Vec<(String, String)>, body: Bytes },
    Hang,
    Close,
}

impl Answer {
    /// Answers with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::respond(status, &[], "")
    }

    /// Answers with headers and a body.
    #[must_use]
    pub fn respond(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { delay: Duration::ZERO, held: None, kind: Kind::Respond { status, headers, body: body.into() } }
    }

    /// Never answers; the connection stays open.
    #[must_use]
    pub fn hang() -> Self {
        Self { delay: Duration::ZERO, held: None, kind: Kind::Hang }
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn close() -> Self {
        Self { delay: Duration::ZERO, held: None, kind: Kind::Close }
    }

    /// Does so only once the test has set this.
    #[must_use]
    pub fn once(mut self, released: &Arc<AtomicBool>) -> Self {
        self.held = Some(Arc::clone(released));
        self
    }

    /// Does so only after a while.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A running subscriber; ends with this value.
#[derive(Debug)]
pub struct Subscriber {
    server: Server,
    arrivals: Arrivals,
}

#[derive(Debug, Clone, Default)]
struct Arrivals(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    all: Vec<Arrival>,
    attempts: HashMap<(String, String), u32>,
}

impl Subscriber {
    /// Answers 202 to everything.
    #[must_use]
    pub fn accepting() -> Self {
        Self::scripted(|_| Answer::status(202))
    }

    /// Answers as the script says.
    #[must_use]
    pub fn scripted(script: impl Fn(&Arrival) -> Answer + Send + Sync + 'static) -> Self {
        let arrivals = Arrivals::default();
        let (script, known) = (Arc::new(script), arrivals.clone());
        let server = Server::start(move |request, connection| {
            let (script, known) = (Arc::clone(&script), known.clone());
            async move { known.answer(request, connection, &*script).await }
        });
        Self { server, arrivals }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its URL with this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// Everything that arrived so far, in order.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().all.clone()
    }

    /// What arrived on one path so far, in order.
    #[must_use]
    pub fn arrivals_on(&self, path: &str) -> Vec<Arrival> {
        self.arrivals.lock().all.iter().filter(|arrival| arrival.path == path).cloned().collect()
    }

    /// How often something arrived on one path.
    #[must_use]
    pub fn count_on(&self, path: &str) -> usize {
        self.arrivals.lock().all.iter().filter(|arrival| arrival.path == path).count()
    }

    /// Waits for so many arrivals on one path and gives them.
    ///
    /// # Panics
    /// When they do not come in `timeout`.
    #[track_caller]
    pub fn wait_for_arrivals(&self, path: &str, count: usize, timeout: Duration) -> Vec<Arrival> {
        wait_for(&format!("{count} arrivals on {path}"), timeout, || {
            let found = self.arrivals_on(path);
            if found.len() >= count { Ok(found) } else { Err(format!("{} arrivals", found.len())) }
        })
    }

    /// Waits until each of these ids has arrived on one path at least once.
    ///
    /// # Panics
    /// When one is missing after `timeout`; the message names up to ten.
    #[track_caller]
    pub fn wait_for_ids(&self, path: &str, ids: &[String], timeout: Duration) {
        wait_for(&format!("{} ids on {path}", ids.len()), timeout, || {
            let known = self.arrivals.lock();
            let missing = ids.iter().filter(|id| !known.attempts.contains_key(&(path.to_owned(), (*id).clone())));
            let missing: Vec<&String> = missing.collect();
            let some: Vec<_> = missing.iter().take(10).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{} missing, such as {some:?}", missing.len())) }
        });
    }
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: u64,
        script: &(dyn Fn(&Arrival) -> Answer + Send + Sync),
    ) -> Reply {
        let (head, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let (index, arrival) = self.record(head.uri.path(), head.headers, body, connection);
        let answer = script(&arrival);
        tokio::time::sleep(answer.delay).await;
        while answer.held.as_ref().is_some_and(|released| !released.load(Ordering::Relaxed)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if matches!(answer.kind, Kind::Hang) {
            return pending().await;
        }
        if let Some(known) = self.lock().all.get_mut(index) {
            known.answered = Some(Instant::now());
        }
        match answer.kind {
            Kind::Respond { status, headers, body } => respond(status, &headers, body),
            Kind::Hang | Kind::Close => None,
        }
    }

    fn record(&self, path: &str, headers: HeaderMap, body: Bytes, connection: u64) -> (usize, Arrival) {
        let id = headers.get("ce-id").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let mut known = self.lock();
        let attempt = known.attempts.entry((path.to_owned(), id.clone())).or_default();
        *attempt += 1;
        let (path, attempt) = (path.to_owned(), *attempt);
        let arrival = Arrival { path, id, attempt, at: Instant::now(), answered: None, connection, headers, body };
        known.all.push(arrival.clone());
        (known.all.len() - 1, arrival)
    }
}

fn respond(status: u16, headers: &[(String, String)], body: Bytes) -> Reply {
    let builder = Response::builder().status(status);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
    Some(builder.body(Full::new(body)).expect("a script's answer is valid HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TestEvent;
    use crate::raw_http::RawClient;

    #[test]
    fn a_script_decides_by_attempt_and_arrivals_are_remembered() {
        let subscriber = Subscriber::scripted(|arrival| {
            if arrival.attempt == 1 {
                Answer::respond(503, &[("retry-after", "1")], "busy")
            } else {
                Answer::status(200)
            }
        });
        let mut client = RawClient::connect(subscriber.address()).unwrap();
        let event = TestEvent::new("a");
        let first = client.post("x", "/p", &event).unwrap();
        assert_eq!((first.status, first.header("retry-after"), first.text().as_str()), (503, Some("1"), "busy"));
        assert_eq!(client.post("x", "/p", &event).unwrap().status, 200);
        let arrivals = subscriber.wait_for_arrivals("/p", 2, crate::PATIENCE);
        assert_eq!(arrivals.iter().map(|arrival| arrival.attempt).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(arrivals.iter().map(|arrival| arrival.connection).collect::<Vec<_>>(), [0, 0]);
        assert_eq!(arrivals[0].body, event.data.unwrap());
    }

    #[test]
    fn a_closed_connection_gets_no_answer() {
        let subscriber = Subscriber::scripted(|_| Answer::close());
        let mut client = RawClient::connect(subscriber.address()).unwrap();
        client.post("x", "/", &TestEvent::new("a")).unwrap_err();
    }

    #[test]
    fn a_hanging_subscriber_neither_answers_nor_blocks_others_nor_the_end() {
        let subscriber =
            Subscriber::scripted(|arrival| if arrival.id == "h" { Answer::hang() } else { Answer::status(200) });
        let limit = Duration::from_millis(100);
        let mut client = RawClient::connect_with_timeout(subscriber.address(), limit).unwrap();
        client.post("x", "/", &TestEvent::new("h")).unwrap_err();
        let mut other = RawClient::connect(subscriber.address()).unwrap();
        assert_eq!(other.post("x", "/", &TestEvent::new("b")).unwrap().status, 200);
        assert!(subscriber.arrivals()[0].answered.is_none());
    }
}
