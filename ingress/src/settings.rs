//! Everything ingress is told at start: environment, properties, observability.
//!
//! Reading reports every problem of every source at once. Nothing is opened or started here.

use std::path::PathBuf;

use millrace_config::env::{Env, IngressEnv};
use millrace_config::observability::Observability;
use millrace_config::properties::http_server::{self, HttpServerSettings};
use millrace_config::properties::kafka::{self, ProducerSettings};
use millrace_config::properties::{Properties, Warning};
use millrace_runtime::admin;
use millrace_runtime::cluster::Cluster;
use millrace_runtime::startup::Problems;
use tracing::warn;

/// Settings of one ingress process.
#[derive(Debug)]
pub struct Settings {
    pub(crate) env: IngressEnv,
    pub(crate) producer: (Properties, ProducerSettings),
    pub(crate) http_server: (Properties, HttpServerSettings),
    /// Where the admin server listens, and the path of its metrics. None, one or two.
    pub(crate) admin: Vec<admin::Place>,
    /// Where metrics and traces go.
    pub(crate) observability: Observability,
    /// Keys without the effect their writer may expect, with the file or directory they are in.
    pub(crate) warnings: Vec<(PathBuf, Warning)>,
    /// Where Secrets are. The process's own cluster, unless a test has another.
    pub cluster: Cluster,
}

impl Settings {
    /// Reads everything. Blocks.
    ///
    /// # Errors
    ///
    /// Every problem found, each naming its variable, file or key.
    pub fn read(env: &dyn Env) -> Result<Self, Problems> {
        let (env, errors) = IngressEnv::read_anyway(env);
        let mut problems = Problems::new();
        problems.add_all(errors);
        let producer = problems.properties(&env.producer_config, kafka::producer);
        let http_server = problems.properties(&env.http_server_config, http_server::http_server);
        let observability = problems.check(Observability::read(&env.observability));
        let (Some(producer), Some(http_server), Some(observability), true) =
            (producer, http_server, observability, problems.is_empty())
        else {
            return Err(problems);
        };
        let warnings = [
            (&env.producer_config, &producer.1.warnings),
            (&env.http_server_config, &http_server.1.warnings),
            (&env.observability, &observability.warnings),
        ];
        let warnings = warnings
            .into_iter()
            .flat_map(|(path, warnings)| warnings.iter().map(|warning| (path.clone(), warning.clone())))
            .collect();
        let admin = admin::listeners(&env.admin, &env.metrics, &observability.metrics);
        Ok(Self { env, producer, http_server, admin, observability, warnings, cluster: Cluster::new() })
    }

    /// Logs what was set and does not do what its writer may expect.
    pub(crate) fn say_warnings(&self) {
        for (path, warning) in &self.warnings {
            let path = path.display();
            warn!(%path, key = warning.key, reason = warning.reason, "Property without the expected effect");
        }
        for (variable, reason) in self.env.metrics.without_effect() {
            warn!(variable, reason, "Variable without effect");
        }
    }
}

#[cfg(test)]
mod tests;
