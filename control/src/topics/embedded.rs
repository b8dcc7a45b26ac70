//! Creates topics on the broker that runs inside `millrace dev`, by asking the process that owns it.
//!
//! One request a topic: `PUT {url}/topics/{name}?partitions=N`, which may be repeated. Replication and retention mean
//! nothing there: the broker is one process and keeps everything in memory.

use std::time::Duration;

use reqwest::{Client, Url};

use super::{TopicError, Topics};
use crate::kafka_access::KafkaAccess;
use crate::reconcile::TopicRequest;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Topics of the embedded broker.
#[derive(Debug, Clone)]
pub struct EmbeddedTopics {
    url: Url,
    client: Client,
}

impl EmbeddedTopics {
    /// Topics of the broker whose owner listens at `url`.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(url: Url) -> Result<Self, reqwest::Error> {
        let client =
            Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { url, client })
    }

    async fn put(&self, request: &TopicRequest) -> Result<(), TopicError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["topics", &request.key.topic]);
        }
        url.query_pairs_mut().append_pair("partitions", &request.partitions.to_string());
        let failed = |error: reqwest::Error| {
            TopicError::Request(format!("the embedded broker does not answer: {}", chain(&error)))
        };
        let response = self.client.put(url).send().await.map_err(failed)?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(TopicError::Refused(format!("the embedded broker answered {}", response.status())))
    }
}

/// An error with its causes: reqwest's own text rarely says what happened.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    millrace_runtime::startup::with_causes(error)
}

impl Topics for EmbeddedTopics {
    async fn ensure(&self, _access: &KafkaAccess, requests: &[TopicRequest]) -> Vec<Result<(), TopicError>> {
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            let result = self.put(request).await;
            // A broker that does not answer will not answer for the next topic either.
            let gone = matches!(result, Err(TopicError::Request(_)));
            results.push(result);
            if gone {
                break;
            }
        }
        while results.len() < requests.len() {
            results.push(Err(TopicError::Request("not attempted: the embedded broker does not answer".to_owned())));
        }
        results
    }
}
