//! Variables of the ingress.

use std::path::PathBuf;
use std::time::Duration;

use super::reading::Reading;
use super::{
    AdminEnv, AwsEnv, Env, EnvError, EnvErrors, LogEnv, MetricsEnv, OtelEnv, Required, ServiceEnv, aws, otel, required,
    shared,
};

/// The environment of an ingress process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressEnv {
    /// `INGRESS_PORT`, required; 0 is any free one.
    pub port: u16,
    /// `INGRESS_TLS_PORT`, required; used when a certificate is mounted.
    pub tls_port: u16,
    /// `LIVENESS_PROBE_PATH`, required.
    pub liveness_path: String,
    /// `READINESS_PROBE_PATH`, required.
    pub readiness_path: String,
    /// `HTTPSERVER_CONFIG_FILE_PATH`, required.
    pub http_server_config: PathBuf,
    /// `PRODUCER_CONFIG_FILE_PATH`, required.
    pub producer_config: PathBuf,
    /// `DATA_PLANE_CONFIG_FILE_PATH`, required: the contract file.
    pub contract: PathBuf,
    /// `CONFIG_OBSERVABILITY_PATH`, required: a directory.
    pub observability: PathBuf,
    /// `CONFIG_FEATURES_PATH`: a directory, which may appear later. Absent: features are off.
    pub features: Option<PathBuf>,
    /// `MILLRACE_OIDC_DISCOVERY_URL`: http or https address of the issuer whose tokens are accepted, or of its discovery
    /// document. Absent: the cluster's, with the credentials of this pod.
    pub oidc_discovery: Option<String>,
    /// `MILLRACE_TLS_PATH`: the directory with `tls.crt` and `tls.key`; `/etc/receiver-tls-secret` when absent.
    pub tls: PathBuf,
    /// `WAIT_STARTUP_SECONDS`, required.
    pub wait_startup: Duration,
    /// Who this is.
    pub service: ServiceEnv,
    /// Metrics.
    pub metrics: MetricsEnv,
    /// Exports.
    pub otel: OtelEnv,
    /// Amazon.
    pub aws: AwsEnv,
    /// Logs.
    pub log: LogEnv,
    /// Administration.
    pub admin: AdminEnv,
}

impl IngressEnv {
    /// What must be set.
    pub const REQUIRED: &'static [Required] = &[
        required("INGRESS_PORT", "port for events; 0 is any free one", "8080"),
        required("INGRESS_TLS_PORT", "port for events over TLS", "8443"),
        required("LIVENESS_PROBE_PATH", "path of the liveness probe", "/healthz"),
        required("READINESS_PROBE_PATH", "path of the readiness probe", "/readyz"),
        required(
            "HTTPSERVER_CONFIG_FILE_PATH",
            "file: HTTP server properties",
            "/etc/config/config-kafka-channel-httpserver.properties",
        ),
        required(
            "PRODUCER_CONFIG_FILE_PATH",
            "file: Kafka producer properties",
            "/etc/config/config-kafka-channel-producer.properties",
        ),
        required(
            "DATA_PLANE_CONFIG_FILE_PATH",
            "file: the contract, which says what to serve",
            "/etc/channels-subscriptions/data",
        ),
        required("CONFIG_OBSERVABILITY_PATH", "directory: metrics and tracing", "/etc/observability"),
        required("WAIT_STARTUP_SECONDS", "seconds: how long start-up may take", "8"),
    ];

    /// Reads the variables.
    ///
    /// # Errors
    /// Every variable that is missing or cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, EnvErrors> {
        let (found, errors) = Self::read_anyway(env);
        if errors.is_empty() { Ok(found) } else { Err(EnvErrors(errors)) }
    }

    /// As [`Self::read`], for who goes on to look for problems elsewhere: also gives what could be read. In place of a
    /// variable with a problem stands an empty value or the default.
    pub fn read_anyway(env: &dyn Env) -> (Self, Vec<EnvError>) {
        let mut reading = Reading::new(env);
        let result = Self {
            port: reading.required_number("INGRESS_PORT"),
            tls_port: reading.required_number("INGRESS_TLS_PORT"),
            liveness_path: reading.required("LIVENESS_PROBE_PATH"),
            readiness_path: reading.required("READINESS_PROBE_PATH"),
            http_server_config: reading.required_path("HTTPSERVER_CONFIG_FILE_PATH"),
            producer_config: reading.required_path("PRODUCER_CONFIG_FILE_PATH"),
            contract: reading.required_path("DATA_PLANE_CONFIG_FILE_PATH"),
            observability: reading.required_path("CONFIG_OBSERVABILITY_PATH"),
            features: reading.optional("CONFIG_FEATURES_PATH").map(PathBuf::from),
            oidc_discovery: reading.http_url("MILLRACE_OIDC_DISCOVERY_URL"),
            tls: reading.path_or("MILLRACE_TLS_PATH", "/etc/receiver-tls-secret"),
            wait_startup: shared::wait_startup(&mut reading),
            service: shared::service(&reading),
            metrics: shared::metrics(&reading),
            otel: otel::otel(&mut reading),
            aws: aws::aws(&reading),
            log: shared::log(&mut reading),
            admin: shared::admin(&mut reading),
        };
        reading.finish_anyway(result)
    }
}
