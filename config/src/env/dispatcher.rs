//! Variables of the dispatcher.
//!
//! `EGRESSES_INITIAL_CAPACITY`, `INSTANCE_ID` and `CONFIG_FEATURES_PATH` are set by the peer's manifests; they change
//! nothing that can be seen from outside and are not read.

use std::path::PathBuf;
use std::time::Duration;

use super::reading::Reading;
use super::{AdminEnv, Env, EnvErrors, LogEnv, MetricsEnv, ServiceEnv, shared};

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
    /// `WAIT_STARTUP_SECONDS`; 8 s when absent.
    pub wait_startup: Duration,
    /// Who this is.
    pub service: ServiceEnv,
    /// Metrics.
    pub metrics: MetricsEnv,
    /// Logs.
    pub log: LogEnv,
    /// Administration.
    pub admin: AdminEnv,
}

impl DispatcherEnv {
    /// Reads the variables.
    ///
    /// # Errors
    /// Every variable that is missing or cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, EnvErrors> {
        let mut reading = Reading::new(env);
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
            log: shared::log(&mut reading),
            admin: shared::admin(&mut reading),
        };
        reading.finish(result)
    }
}
