//! Asks the ingress whether it knows a channel.
//!
//! The only proof that a contract has arrived: the data plane reports nothing by itself.
//! Source: control-plane spec 2.5d.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, Url};
use tokio::sync::watch;

use crate::reconcile::observed::Probe;
use crate::topics::embedded::chain;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks every ingress that there is.
#[derive(Debug, Clone)]
pub struct Prober {
    ingresses: watch::Receiver<Vec<Url>>,
    client: Client,
}

impl Prober {
    /// Asks the ingress at `ingress`.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(ingress: Url) -> Result<Self, reqwest::Error> {
        // The value outlives its sender.
        Self::following(watch::channel(vec![ingress]).1)
    }

    /// Asks those that are in the list when a question is asked.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn following(ingresses: watch::Receiver<Vec<Url>>) -> Result<Self, reqwest::Error> {
        let client =
            Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { ingresses, client })
    }

    /// Asks for the channel with this path; ready when all know it. Takes a bounded time; dropping the future is safe.
    pub async fn ask(&self, path: &str) -> Probe {
        let answers = self.ask_all(path).await;
        let worst = answers.into_iter().max_by_key(|answer| match answer {
            Probe::Ready => 0,
            Probe::Unreachable(_) => 1,
            Probe::NotReady(_) => 2,
        });
        worst.unwrap_or_else(nobody)
    }

    /// Asks for a channel that should be gone; not ready when nobody knows it any more. As [`Self::ask`] otherwise.
    pub async fn ask_whether_gone(&self, path: &str) -> Probe {
        let answers = self.ask_all(path).await;
        let best = answers.into_iter().max_by_key(|answer| match answer {
            Probe::NotReady(_) => 0,
            Probe::Unreachable(_) => 1,
            Probe::Ready => 2,
        });
        best.unwrap_or_else(nobody)
    }

    async fn ask_all(&self, path: &str) -> Vec<Probe> {
        let ingresses = self.ingresses.borrow().clone();
        join_all(ingresses.iter().map(|ingress| self.ask_one(ingress, path))).await
    }

    async fn ask_one(&self, ingress: &Url, path: &str) -> Probe {
        let mut url = ingress.clone();
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

fn nobody() -> Probe {
    Probe::Unreachable("no pod of the ingress is ready".to_owned())
}
