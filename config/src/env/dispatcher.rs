//! Variables of the dispatcher.
//!
//! `INSTANCE_ID` and `CONFIG_FEATURES_PATH` are set by the peer's manifests; they change nothing that can be seen from
//! outside and are not read. `EGRESSES_INITIAL_CAPACITY` is only checked, as the peer does not start without it.

use std::path::PathBuf;
use std::time::Duration;

use super::reading::Reading;
use super::{
    AdminEnv, AwsEnv, Env, EnvError, EnvErrors, LogEnv, MetricsEnv, OtelEnv, Required, ServiceEnv, aws, otel, required,
    shared,
};

/// The environment of a dispatcher process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatcherEnv {
    /// `PRODUCER_CONFIG_FILE_PATH`, required: for replies to topics.
    pub producer_config: PathBuf,
    /// `CONSUMER_CONFIG_FILE_PATH`, required.
    pub consumer_config: PathBuf,
    /// `WEBCLIENT_CONFIG_FILE_PATH`, required.
    pub http_client_config: PathBuf,
    /// `DATA_PLANE_CONFIG_FILE_PATH`, required: the contract file.
    pub contract: PathBuf,
    /// `CONFIG_OBSERVABILITY_PATH`, required: a directory.
    pub observability: PathBuf,
    /// `SERVICE_NAMESPACE`, required: where the system's own Secrets are.
    pub system_namespace: String,
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

impl DispatcherEnv {
    /// What must be set.
    pub const REQUIRED: &'static [Required] = &[
        required("EGRESSES_INITIAL_CAPACITY", "a number above 0, which changes nothing here", "20"),
        required(
            "PRODUCER_CONFIG_FILE_PATH",
            "file: Kafka producer properties, for replies",
            "/etc/config/config-kafka-channel-producer.properties",
        ),
        required(
            "CONSUMER_CONFIG_FILE_PATH",
            "file: Kafka consumer properties",
            "/etc/config/config-kafka-channel-consumer.properties",
        ),
        required(
            "WEBCLIENT_CONFIG_FILE_PATH",
            "file: HTTP client properties",
            "/etc/config/config-kafka-channel-webclient.properties",
        ),
        required(
            "DATA_PLANE_CONFIG_FILE_PATH",
            "file: the contract, which says what to deliver",
            "/etc/contract-resources/data",
        ),
        required("CONFIG_OBSERVABILITY_PATH", "directory: metrics and tracing", "/etc/observability"),
        required("SERVICE_NAMESPACE", "namespace of the system's own Secrets", "knative-eventing"),
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
        if reading.optional("EGRESSES_INITIAL_CAPACITY").is_some_and(|text| text.trim() == "0") {
            reading.error("EGRESSES_INITIAL_CAPACITY", "must be above 0");
        }
        reading.required_number::<u32>("EGRESSES_INITIAL_CAPACITY");
        let result = Self {
            producer_config: reading.required_path("PRODUCER_CONFIG_FILE_PATH"),
            consumer_config: reading.required_path("CONSUMER_CONFIG_FILE_PATH"),
            http_client_config: reading.required_path("WEBCLIENT_CONFIG_FILE_PATH"),
            contract: reading.required_path("DATA_PLANE_CONFIG_FILE_PATH"),
            observability: reading.required_path("CONFIG_OBSERVABILITY_PATH"),
            system_namespace: reading.required("SERVICE_NAMESPACE"),
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
