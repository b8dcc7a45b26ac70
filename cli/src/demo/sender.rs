//! Makes the demo's events and sends them.

use http::{HeaderMap, HeaderValue};
use millrace_event::{Data, Event};
use millrace_runtime::clock;
use reqwest::Url;

use super::expect::Sent;
use crate::dev::journey::Accepted;
use crate::post::{Mode, PostError, Poster};

const PRODUCTS: &[&str] = &["tea", "flour", "bread", "salt"];

pub(super) struct Sender {
    poster: Poster,
    url: Url,
    products: std::iter::Cycle<std::slice::Iter<'static, &'static str>>,
    sent: u32,
}

impl Sender {
    /// # Errors
    /// When no HTTP client can be made.
    pub(super) fn new(url: Url) -> Result<Self, PostError> {
        Ok(Self { poster: Poster::new()?, url, products: PRODUCTS.iter().cycle(), sent: 0 })
    }

    /// Asks as the control plane does whether the ingress knows the channel.
    pub(super) async fn is_route_there(&self) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("k-network-probe", HeaderValue::from_static("probe"));
        headers.insert("k-network-hash", HeaderValue::from_static("demo"));
        self.poster.get(&self.url, headers).await == Some(200)
    }

    /// The next event to send; its id counts from 1.
    pub(super) fn next_event(&mut self) -> Sent {
        let product = self.products.next().expect("a cycle of something has no end");
        self.sent += 1;
        let number = self.sent;
        Sent { id: format!("order-{number}"), body: format!("{{\"number\":{number},\"product\":\"{product}\"}}") }
    }

    /// # Errors
    /// When there was no answer.
    pub(super) async fn send(&self, sent: &Sent) -> Result<Accepted, PostError> {
        let mut event =
            Event::new(&*sent.id, "/millrace/demo", "com.example.order.placed").map_err(PostError::Event)?;
        event.data_content_type = Some("application/json".into());
        event.time = Some(millrace_event::time::from_unix_millis(clock::now_millis()).into());
        event.data = Data::Binary(sent.body.as_bytes().into());
        let answer = self.poster.post(&self.url, &event, Mode::Binary).await?;
        Ok(Accepted {
            event_id: sent.id.clone(),
            status: answer.status,
            elapsed_ms: answer.elapsed.as_secs_f64() * 1000.0,
            url: self.url.to_string(),
        })
    }
}
