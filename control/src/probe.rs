//! Asks the ingress whether it knows a channel.
//!
//! The only proof that a contract has arrived: the data plane reports nothing by itself.
//! Source: control-plane spec 2.5d.

use std::time::Duration;

use reqwest::{Client, Url};

use crate::reconcile::observed::Probe;
use crate::topics::embedded::chain;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks one ingress.
#[derive(Debug, Clone)]
pub struct Prober {
    ingress: Url,
    client: Client,
}

impl Prober {
    /// Asks the ingress at `ingress`.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(ingress: Url) -> Result<Self, reqwest::Error> {
        let client =
            Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { ingress, client })
    }

    /// Asks for the channel with this path. Takes a bounded time; dropping the future is safe.
    pub async fn ask(&self, path: &str) -> Probe {
        let mut url = self.ingress.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/').filter(|segment| !segment.is_empty()));
        }
        let request = self.client.get(url).header("K-Network-Probe", "probe").header("K-Network-Hash", "probe");
        match request.send().await {
            Ok(response) if response.status() == reqwest::StatusCode::OK => Probe::Ready,
            Ok(response) => Probe::NotReady(response.status().as_u16()),
            Err(error) => Probe::Unreachable(chain(&error)),
        }
    }
}
