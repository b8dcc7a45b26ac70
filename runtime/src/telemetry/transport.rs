//! Hands OTLP messages to a collector, over HTTP or gRPC.
//!
//! The endpoint of HTTP is used as it is, nothing is appended. A gRPC call is one HTTP/2 request with a framed body and
//! its status in the trailers, which is all that an export needs. Answers are bounded and waited for a limited time.
//! Sources: OTLP specification 1.x, "OTLP/HTTP" and "OTLP/gRPC"; gRPC over HTTP/2.

use std::fmt;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use millrace_config::env::OtelHeaders;
use reqwest::Client;
use reqwest::redirect::Policy;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// A collector says little; more is not read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_OK: &str = "0";
/// Codes of gRPC after which the same request may succeed, by the OTLP specification: cancelled, deadline exceeded,
/// aborted, out of range, unavailable, data loss.
const GRPC_RETRYABLE: [&str; 6] = ["1", "4", "10", "11", "14", "15"];

/// How to speak to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Grpc,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

/// One collector.
pub(super) struct Transport {
    client: Client,
    protocol: Protocol,
    endpoint: String,
    headers: HeaderMap,
}

/// Why something was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("cannot reach {endpoint}")]
    Http { endpoint: String, source: reqwest::Error },
    #[error("{endpoint} answered with status {status}")]
    Status { endpoint: String, status: StatusCode },
    #[error("{endpoint} answered with gRPC status {status}: {message}")]
    Grpc { endpoint: String, status: String, message: String },
}

impl TransportError {
    /// Whether the same request may be taken a little later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Http { .. } => true,
            Self::Status { status, .. } => matches!(status.as_u16(), 429 | 502..=504),
            Self::Grpc { status, .. } => GRPC_RETRYABLE.contains(&status.as_str()),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers are credentials.
        f.debug_struct("Transport").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Transport {
    /// # Errors
    ///
    /// When no client can be made.
    pub(super) fn new(protocol: Protocol, endpoint: &Uri, headers: &OtelHeaders) -> Result<Self, reqwest::Error> {
        let client = Client::builder().timeout(LIMIT).redirect(Policy::none()).no_proxy();
        let client = match protocol {
            Protocol::Http => client,
            Protocol::Grpc => client.http2_prior_knowledge(),
        };
        let mut own = HeaderMap::new();
        for (name, value) in headers.iter() {
            // A header that cannot be one is left out: the collector will say what it misses.
            if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                value.set_sensitive(true);
                own.insert(name, value);
            }
        }
        Ok(Self { client: client.build()?, protocol, endpoint: endpoint.to_string(), headers: own })
    }

    /// Sends an encoded message.
    ///
    /// # Errors
    ///
    /// When the collector has not taken it.
    pub(super) async fn send(&self, signal: Signal, message: Vec<u8>) -> Result<(), TransportError> {
        match self.protocol {
            Protocol::Http => self.send_http(message).await,
            Protocol::Grpc => self.send_grpc(signal, &message).await,
        }
    }

    async fn send_http(&self, message: Vec<u8>) -> Result<(), TransportError> {
        let request = self.client.post(&self.endpoint).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(message);
        let response = request.send().await.map_err(|source| self.unreachable(source))?;
        let response = self.successful(response)?;
        // Read, so that the connection can be used again.
        drop(Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await);
        Ok(())
    }

    async fn send_grpc(&self, signal: Signal, message: &[u8]) -> Result<(), TransportError> {
        let method = match signal {
            Signal::Traces => "opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        };
        let url = format!("{}/{method}", self.endpoint.trim_end_matches('/'));
        let request = self.client.post(url).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/grpc").header(TE, "trailers").body(framed(message));
        let response = request.send().await.map_err(|source| self.unreachable(source))?;
        let response = self.successful(response)?;
        // A call that fails at once has its status in the headers.
        let head = response.headers().clone();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let trailers = body.ok().and_then(|body| body.trailers().cloned());
        let said = |name: &HeaderName| {
            let value = trailers.as_ref().and_then(|trailers| trailers.get(name)).or_else(|| head.get(name));
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        match said(&GRPC_STATUS) {
            Some(status) if status == GRPC_OK => Ok(()),
            status => Err(TransportError::Grpc {
                endpoint: self.endpoint.clone(),
                status: status.unwrap_or_else(|| "missing".to_owned()),
                message: said(&GRPC_MESSAGE).unwrap_or_default(),
            }),
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> TransportError {
        TransportError::Http { endpoint: self.endpoint.clone(), source: source.without_url() }
    }

    fn successful(&self, response: reqwest::Response) -> Result<http::Response<reqwest::Body>, TransportError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response.into());
        }
        Err(TransportError::Status { endpoint: self.endpoint.clone(), status })
    }
}

/// Not compressed, and how long it is.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    // A batch has 512 spans at most, each with a handful of short texts: far from 4 GiB.
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}
