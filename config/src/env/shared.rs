//! Variables that several processes have.

use std::path::PathBuf;
use std::time::Duration;

use super::reading::Reading;
use super::{Env, EnvErrors};

/// Who the process is, in traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEnv {
    /// `SERVICE_NAME`; `Knative` when absent.
    pub name: String,
    /// `SERVICE_NAMESPACE`; `Knative` when absent.
    pub namespace: String,
}

/// The peer's switches for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsEnv {
    /// `METRICS_HOST`: address to listen at; `0.0.0.0` when absent.
    pub host: String,
    /// `METRICS_PEM_CERT_PATH` and `METRICS_PEM_KEY_PATH`: with both, metrics are served over TLS.
    pub pem: Option<(PathBuf, PathBuf)>,
    /// `METRICS_PUBLISH_QUANTILES`; without effect, like the next three.
    pub publish_quantiles: bool,
    /// `METRICS_JVM_ENABLED`.
    pub process: bool,
    /// `METRICS_HTTP_CLIENT_ENABLED`.
    pub http_client: bool,
    /// `METRICS_HTTP_SERVER_ENABLED`.
    pub http_server: bool,
    /// `METRICS_DISABLE_EVENT_TYPE_TAG`: the label for the type of events is always `unknown`.
    pub disable_event_type: bool,
    /// `DISABLE_KAFKA_CLIENTS_METRICS`.
    pub disable_kafka_clients: bool,
}

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnv {
    /// `MILLRACE_LOG_FORMAT`: `json` (default) or `text`.
    pub format: LogFormat,
    /// `MILLRACE_LOG`: filter directives, which win over the file.
    pub directives: Option<String>,
    /// `MILLRACE_LOGGING_CONFIG_PATH`: a logback file, of which the levels are used; `/etc/logging/config.xml` when
    /// absent. It need not exist.
    pub config_path: PathBuf,
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Administration and the end of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminEnv {
    /// `MILLRACE_ADMIN_ADDRESS`: `host:port` to listen at; port 0 is any free one. Absent: there is no admin server
    /// unless metrics ask for one.
    pub address: Option<String>,
    /// `MILLRACE_HEALTH_FILE`: exists while the process is ready; `/tmp/healthy` when absent.
    pub health_file: PathBuf,
    /// `MILLRACE_DRAIN_SECONDS`: how long work in flight may take after a signal to end; 25 s when absent, which is
    /// less than Kubernetes waits.
    pub drain: Duration,
}

impl MetricsEnv {
    /// Variables that are set and change nothing, each with the reason.
    pub fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let instead = "there are other metrics of HTTP under names of our own, always";
        let all = [
            (self.publish_quantiles, "METRICS_PUBLISH_QUANTILES", "histograms have fine buckets anyway"),
            (self.process, "METRICS_JVM_ENABLED", "there is no Java virtual machine"),
            (self.http_client, "METRICS_HTTP_CLIENT_ENABLED", instead),
            (self.http_server, "METRICS_HTTP_SERVER_ENABLED", instead),
        ];
        all.into_iter().filter(|(set, _, _)| *set).map(|(_, name, reason)| (name, reason)).collect()
    }
}

impl LogEnv {
    /// Reads the variables. Also for tools, before anything else.
    ///
    /// # Errors
    /// Every variable that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, EnvErrors> {
        let mut reading = Reading::new(env);
        let log = log(&mut reading);
        reading.finish(log)
    }

    /// Reads the variables and takes the default for each that cannot be used: logging starts before anything else and
    /// must not hide other problems. The process's own environment reads the same variables and reports them.
    pub fn read_anyway(env: &dyn Env) -> Self {
        log(&mut Reading::new(env))
    }
}

impl AdminEnv {
    /// Reads the variables.
    ///
    /// # Errors
    /// Every variable that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, EnvErrors> {
        let mut reading = Reading::new(env);
        let admin = admin(&mut reading);
        reading.finish(admin)
    }
}

impl Default for LogEnv {
    fn default() -> Self {
        Self { format: LogFormat::Json, directives: None, config_path: PathBuf::from("/etc/logging/config.xml") }
    }
}

pub(super) fn service(reading: &Reading<'_>) -> ServiceEnv {
    ServiceEnv { name: reading.or("SERVICE_NAME", "Knative"), namespace: reading.or("SERVICE_NAMESPACE", "Knative") }
}

pub(super) fn metrics(reading: &Reading<'_>) -> MetricsEnv {
    let pem = reading.optional("METRICS_PEM_CERT_PATH").zip(reading.optional("METRICS_PEM_KEY_PATH"));
    MetricsEnv {
        host: reading.or("METRICS_HOST", "0.0.0.0"),
        pem: pem.map(|(certificate, key)| (PathBuf::from(certificate), PathBuf::from(key))),
        publish_quantiles: reading.flag("METRICS_PUBLISH_QUANTILES"),
        process: reading.flag("METRICS_JVM_ENABLED"),
        http_client: reading.flag("METRICS_HTTP_CLIENT_ENABLED"),
        http_server: reading.flag("METRICS_HTTP_SERVER_ENABLED"),
        disable_event_type: reading.flag("METRICS_DISABLE_EVENT_TYPE_TAG"),
        disable_kafka_clients: reading.flag("DISABLE_KAFKA_CLIENTS_METRICS"),
    }
}

pub(super) fn log(reading: &mut Reading<'_>) -> LogEnv {
    const FORMAT: &str = "MILLRACE_LOG_FORMAT";
    let format = match reading.or(FORMAT, "json").trim() {
        "json" => LogFormat::Json,
        "text" => LogFormat::Text,
        other => {
            reading.error(FORMAT, format!("{other:?} is neither json nor text"));
            LogFormat::Json
        }
    };
    let default = LogEnv::default();
    LogEnv {
        format,
        directives: reading.optional("MILLRACE_LOG"),
        config_path: reading.optional("MILLRACE_LOGGING_CONFIG_PATH").map_or(default.config_path, PathBuf::from),
    }
}

pub(super) fn admin(reading: &mut Reading<'_>) -> AdminEnv {
    const ADDRESS: &str = "MILLRACE_ADMIN_ADDRESS";
    let address = match reading.optional(ADDRESS) {
        None => None,
        Some(text) => {
            let address = host_and_port(text.trim());
            if address.is_none() {
                reading.error(ADDRESS, format!("{text:?} is not host:port"));
            }
            address
        }
    };
    AdminEnv {
        address,
        health_file: reading.path_or("MILLRACE_HEALTH_FILE", "/tmp/healthy"),
        drain: Duration::from_secs(reading.number::<u32>("MILLRACE_DRAIN_SECONDS").unwrap_or(25).into()),
    }
}

/// `:port` listens at every address.
fn host_and_port(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    // An IPv6 address without brackets would be cut in the wrong place.
    let ambiguous = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    (!ambiguous).then(|| format!("{host}:{port}"))
}

/// How long start-up may take: `WAIT_STARTUP_SECONDS`. Required as by the peer, so that a manifest that its processes
/// refuse is refused here too and swapping back works.
pub(super) fn wait_startup(reading: &mut Reading<'_>) -> Duration {
    Duration::from_secs(reading.required_number::<u32>("WAIT_STARTUP_SECONDS").into())
}
