//! Where metrics and traces go: the directory that the `config-observability` ConfigMap is mounted at.
//!
//! Read once at start. Values are trimmed; unknown protocols mean "nothing", as for the peer, but with a warning.
//! `host:port` endpoints, which Knative documents, are understood; the peer took them for the default port.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::directory::{self, DirectoryError};
use crate::properties::Warning;

/// Port of the metrics server when the endpoint names none.
pub const DEFAULT_METRICS_PORT: u16 = 9090;
/// Path of the metrics page when the endpoint names none.
pub const DEFAULT_METRICS_PATH: &str = "/metrics";
/// Pause between pushes when none is given.
pub const DEFAULT_EXPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Where metrics and traces go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observability {
    /// Where metrics go.
    pub metrics: MetricsExport,
    /// Where traces go.
    pub tracing: TracingExport,
    /// The part of traces without a parent that is recorded, from 0 to 1. Traces that come in keep their own decision.
    pub sampling_rate: f64,
    /// Keys that do not do what their writer may expect.
    pub warnings: Vec<Warning>,
}

/// Where metrics go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MetricsExport {
    /// Nowhere: there is no metrics port.
    #[default]
    None,
    /// They are fetched from a page of ours.
    Prometheus {
        /// To listen at; 0 is any free one.
        port: u16,
        /// Of the page; begins with `/`.
        path: String,
    },
    /// They are pushed by OTLP over HTTP.
    OtlpHttp {
        /// Full URL, used as it is.
        endpoint: http::Uri,
        /// Pause between pushes; never zero.
        interval: Duration,
    },
}

/// Where traces go. Trace headers are passed on in every case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TracingExport {
    /// Nowhere.
    #[default]
    None,
    /// OTLP over gRPC.
    Grpc(http::Uri),
    /// OTLP over HTTP.
    HttpProtobuf(http::Uri),
    /// To the log, for trying things out.
    Stdout,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ObservabilityError {
    /// It exists, but cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Values that cannot be used, each naming its key.
    #[error("{}", .0.join("; "))]
    Values(Vec<String>),
}

impl Observability {
    /// Reads the directory. If there is none, nothing is exported, with a warning. Blocks.
    ///
    /// # Errors
    /// When the directory cannot be read, and for every value that cannot be used.
    pub fn read(directory: &Path) -> Result<Self, ObservabilityError> {
        match directory::read(directory)? {
            Some(values) => Self::from_values(&values),
            None => Ok(Self {
                warnings: vec![warning(&directory.display().to_string(), "no such directory: nothing is exported")],
                ..Self::default()
            }),
        }
    }

    /// Reads values by key, as in the ConfigMap.
    ///
    /// # Errors
    /// [`ObservabilityError::Values`], with every value that cannot be used.
    pub fn from_values(values: &BTreeMap<String, String>) -> Result<Self, ObservabilityError> {
        let mut reading = Reading { values, warnings: Vec::new(), problems: Vec::new() };
        let metrics = reading.metrics();
        let tracing = reading.tracing();
        let sampling_rate = reading.sampling_rate();
        match reading.problems.is_empty() {
            true => Ok(Self { metrics, tracing, sampling_rate, warnings: reading.warnings }),
            false => Err(ObservabilityError::Values(reading.problems)),
        }
    }
}

struct Reading<'a> {
    values: &'a BTreeMap<String, String>,
    warnings: Vec<Warning>,
    problems: Vec<String>,
}

impl Reading<'_> {
    fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |value| value.trim())
    }

    fn metrics(&mut self) -> MetricsExport {
        match self.get("metrics-protocol").to_ascii_lowercase().as_str() {
            "" | "none" => MetricsExport::None,
            "prometheus" => {
                let (port, path) = self.prometheus();
                MetricsExport::Prometheus { port, path }
            }
            "http/protobuf" => {
                let interval = self.interval();
                match self.url("metrics-endpoint") {
                    Some(endpoint) => MetricsExport::OtlpHttp { endpoint, interval },
                    None => MetricsExport::None,
                }
            }
            "grpc" => {
                self.warn("metrics-protocol", "grpc is not supported for metrics: nothing is exported");
                MetricsExport::None
            }
            _ => {
                self.warn("metrics-protocol", "unknown protocol: nothing is exported");
                MetricsExport::None
            }
        }
    }

    fn tracing(&mut self) -> TracingExport {
        const KEY: &str = "tracing-endpoint";
        match self.get("tracing-protocol").to_ascii_lowercase().as_str() {
            "" | "none" => TracingExport::None,
            "stdout" => TracingExport::Stdout,
            "grpc" => self.url(KEY).map_or(TracingExport::None, TracingExport::Grpc),
            "http/protobuf" => self.url(KEY).map_or(TracingExport::None, TracingExport::HttpProtobuf),
            _ => {
                self.warn("tracing-protocol", "unknown protocol: nothing is exported");
                TracingExport::None
            }
        }
    }

    /// Port and path out of a URL, a `host:port` or a `:port`. The host does not matter: we listen, we do not connect.
    fn prometheus(&mut self) -> (u16, String) {
        const KEY: &str = "metrics-endpoint";
        let text = self.get(KEY).to_owned();
        let (authority, path) = match text.split_once("://") {
            Some((_, rest)) => match rest.split_once('/') {
                Some((authority, path)) => (authority, path.split(['?', '#']).next().unwrap_or_default()),
                None => (rest, ""),
            },
            None => (text.as_str(), ""),
        };
        let path = if path.is_empty() { DEFAULT_METRICS_PATH.to_owned() } else { format!("/{path}") };
        // What follows the last colon, unless that colon is inside the brackets of an IPv6 address.
        let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'));
        let port = match port.map(str::parse::<u16>) {
            Some(Ok(port)) => port,
            Some(Err(_)) => {
                self.problems.push(format!("{KEY}: {text:?} has no usable port"));
                DEFAULT_METRICS_PORT
            }
            None => DEFAULT_METRICS_PORT,
        };
        (port, path)
    }

    fn interval(&mut self) -> Duration {
        const KEY: &str = "metrics-export-interval";
        let text = self.get(KEY).to_owned();
        if text.is_empty() {
            return DEFAULT_EXPORT_INTERVAL;
        }
        let interval = text.parse::<jiff::SignedDuration>().ok().and_then(|interval| interval.try_into().ok());
        match interval.filter(|interval: &Duration| !interval.is_zero()) {
            Some(interval) => interval,
            None => {
                self.problems.push(format!("{KEY}: {text:?} is not a time such as 60s"));
                DEFAULT_EXPORT_INTERVAL
            }
        }
    }

    fn url(&mut self, key: &str) -> Option<http::Uri> {
        let text = self.get(key).to_owned();
        let url = text.parse::<http::Uri>().ok();
        let url = url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
        if url.is_none() {
            self.problems.push(format!("{key}: {text:?} is not an http or https URL"));
        }
        url
    }

    fn sampling_rate(&mut self) -> f64 {
        const KEY: &str = "tracing-sampling-rate";
        let text = self.get(KEY).to_owned();
        if text.is_empty() {
            return 0.0;
        }
        match text.parse::<f64>() {
            Ok(rate) if (0.0..=1.0).contains(&rate) => rate,
            Ok(_) | Err(_) => {
                self.problems.push(format!("{KEY}: {text:?} is not a number from 0 to 1"));
                0.0
            }
        }
    }

    fn warn(&mut self, key: &str, reason: &str) {
        self.warnings.push(warning(key, reason));
    }
}

fn warning(key: &str, reason: &str) -> Warning {
    Warning { key: key.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
