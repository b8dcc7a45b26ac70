//! Posts one CloudEvent and measures the answer: what `send` and `demo` share.
//!
//! The event becomes a request with the same codec as in the data planes. Redirects are not followed: an ingress never
//! answers with one, and following it would hide a wrong URL.

use std::error::Error;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, header};
use millrace_event::{Event, EventError, http_binding, json};
use reqwest::{Client, Url};

/// Longer than an ingress with the shipped properties waits for Kafka: up to 60 s for a place in the producer's queue
/// (`max.block.ms`), then up to 120 s for the acknowledgement (`delivery.timeout.ms`). Who gives up earlier never learns
/// whether the event was stored.
const ANSWER_WITHIN: Duration = Duration::from_secs(200);
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// Of the answer's body; problem details are far smaller.
const MOST_BODY_BYTES: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error("cannot prepare an HTTP client")]
    Client(#[source] reqwest::Error),
    #[error("the event cannot be written as a request")]
    Event(#[source] EventError),
    #[error(
        "nothing answers at {url}: does `millrace dev` or `millrace demo` run, and is this the URL that it printed?"
    )]
    NoConnection { url: Url },
    #[error("no answer from {url} within {} s", ANSWER_WITHIN.as_secs())]
    TimedOut { url: Url },
    #[error("the connection to {url} broke ({reason})")]
    Broken { url: Url, reason: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Attributes as headers, data as body.
    Binary,
    /// The whole event as JSON.
    Structured,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// From the first byte sent to the head of the answer.
    pub(crate) elapsed: Duration,
    /// The first part of the body, for people.
    pub(crate) body: String,
}

/// A client to post with; keeps its connections.
pub(crate) struct Poster {
    client: Client,
}

impl Poster {
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new() -> Result<Self, PostError> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // An ingress is on this machine or in a cluster, never behind the proxy of a browser.
            .no_proxy()
            .connect_timeout(CONNECTED_WITHIN)
            .timeout(ANSWER_WITHIN)
            .build()
            .map_err(PostError::Client)?;
        Ok(Self { client })
    }

    /// Posts an event and waits for the answer. Dropping the future ends the request, whose outcome is then unknown.
    ///
    /// # Errors
    /// When there was no answer; an answer that is no success is none.
    pub(crate) async fn post(&self, url: &Url, event: &Event<'_>, mode: Mode) -> Result<Answer, PostError> {
        let (headers, body) = request(event, mode).map_err(PostError::Event)?;
        let started = Instant::now();
        let sending = self.client.post(url.clone()).headers(headers).body(body).send();
        let answer = sending.await.map_err(|error| explain(url, &error))?;
        let elapsed = started.elapsed();
        let status = answer.status().as_u16();
        Ok(Answer { status, elapsed, body: beginning(answer).await })
    }

    /// The status of a GET with these headers; `None` without an answer.
    pub(crate) async fn get(&self, url: &Url, headers: HeaderMap) -> Option<u16> {
        self.client.get(url.clone()).headers(headers).send().await.ok().map(|answer| answer.status().as_u16())
    }
}

/// Headers and body of the request.
pub(crate) fn request(event: &Event<'_>, mode: Mode) -> Result<(HeaderMap, Vec<u8>), EventError> {
    let mut headers = HeaderMap::new();
    let body = match mode {
        Mode::Binary => {
            http_binding::write(event, &mut headers)?;
            event.data.bytes().unwrap_or_default().to_vec()
        }
        Mode::Structured => {
            headers
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/cloudevents+json; charset=UTF-8"));
            json::write(event)?
        }
    };
    Ok((headers, body))
}

fn explain(url: &Url, error: &reqwest::Error) -> PostError {
    let url = url.clone();
    if error.is_connect() {
        PostError::NoConnection { url }
    } else if error.is_timeout() {
        PostError::TimedOut { url }
    } else {
        // reqwest's own message repeats the URL; the innermost cause says what happened.
        let mut cause: &dyn Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        PostError::Broken { url, reason: cause.to_string() }
    }
}

async fn beginning(mut answer: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MOST_BODY_BYTES
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(MOST_BODY_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_event::Data;

    fn event() -> Event<'static> {
        let mut event = Event::new("a-1", "/me", "greeting").unwrap();
        event.data_content_type = Some("application/json".into());
        event.data = Data::Json((&b"{\"n\":1}"[..]).into());
        event
    }

    #[test]
    fn a_binary_event_has_its_attributes_in_headers() {
        let (headers, body) = request(&event(), Mode::Binary).unwrap();
        assert_eq!(headers["ce-id"], "a-1");
        assert_eq!(headers["ce-specversion"], "1.0");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(body, b"{\"n\":1}");
    }

    #[test]
    fn a_structured_event_is_one_json_object() {
        let (headers, body) = request(&event(), Mode::Structured).unwrap();
        assert!(headers["content-type"].to_str().unwrap().starts_with("application/cloudevents+json"));
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((json["id"].as_str(), json["data"]["n"].as_i64()), (Some("a-1"), Some(1)));
        assert!(!headers.contains_key("ce-id"));
    }

    #[tokio::test]
    async fn a_url_where_nobody_listens_says_what_to_do() {
        let holder = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        drop(holder);
        let url = Url::parse(&format!("http://127.0.0.1:{port}/default/a")).unwrap();
        let error = Poster::new().unwrap().post(&url, &event(), Mode::Binary).await.unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(&format!("nothing answers at {url}")), "{message}");
    }
}
