//! The shell that lives on a Kubernetes API server.
//!
//! Copies objects, asks the pure core what to do, does it, and writes what came of it into statuses, Services, the
//! contract's ConfigMap and events. Of several processes one leads and does all of this; the others wait. All decisions
//! about channels are in `reconcile`; this only acts.
//! Source: control-plane spec 2, 7 and section 10; design section 6.

mod contract_map;
mod events;
mod lease;
mod marks;
mod objects;
mod pods;
mod services;
mod shell;
mod snapshot;
mod statuses;
mod store;
mod watches;
mod writes;

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use millrace_runtime::health::Readiness;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::lease::Election;
use self::shell::Shell;
use self::watches::Places;
use crate::election::Timing;
use crate::metrics::ControlMetrics;
use crate::reconcile::Settings;

/// As whom fields are owned.
const FIELD_MANAGER: &str = "millrace-control";
/// How long a small request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What the shell is started with.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// For the core.
    pub settings: Settings,
    /// Of ConfigMaps that are read, and of the Lease.
    pub system_namespace: String,
    /// Of the contract and of the data plane's pods.
    pub data_plane_namespace: String,
    /// Name of the contract's ConfigMap.
    pub contract: String,
    /// Name of the ConfigMap with the timing of leader election.
    pub election: String,
    /// Cluster name of the ingress' Service.
    pub ingress_host: String,
    /// Port of the ingress' pods.
    pub ingress_port: u16,
    /// Who holds the Lease.
    pub identity: String,
    /// How long a deleted channel may wait for what cannot be deleted.
    pub deletion_patience: Duration,
    /// How often topics are looked at for partitions that somebody added.
    pub partitions_again: Duration,
}

/// Why the shell cannot start.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// There is no configuration for a cluster.
    #[error("cannot find a cluster")]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// The configuration cannot be used.
    #[error("cannot make a client for the cluster")]
    Client(#[source] Box<kube::Error>),
    /// The prober.
    #[error("cannot make an HTTP client")]
    Prober(#[from] reqwest::Error),
}

/// Runs until `shutdown`: waits for its turn to lead, leads, and waits again when it lost its turn.
///
/// # Errors
/// When there is no cluster to be found. Trouble later is logged and tried again.
pub async fn run(
    cluster: Cluster,
    metrics: ControlMetrics,
    readiness: Readiness,
    shutdown: CancellationToken,
) -> Result<(), KubernetesError> {
    let mut config = kube::Config::infer().await.map_err(|error| KubernetesError::Config(Box::new(error)))?;
    config.connect_timeout = Some(LIMIT);
    let client = Client::try_from(config).map_err(|error| KubernetesError::Client(Box::new(error)))?;
    info!(identity = cluster.identity, "Control started");
    while !shutdown.is_cancelled() {
        let timing = timing(&client, &cluster).await;
        let mut election = Election::new(client.clone(), &cluster.system_namespace, cluster.identity.clone(), timing);
        // One that waits is as ready as it can be while it sees the Lease.
        let acquired = tokio::select! {
            () = shutdown.cancelled() => break,
            acquired = election.acquire(|reached| readiness.set(reached)) => acquired,
        };
        readiness.set(false);
        metrics.leading.set(1);
        let places = Places {
            system_namespace: cluster.system_namespace.clone(),
            data_plane_namespace: cluster.data_plane_namespace.clone(),
            contract: cluster.contract.clone(),
        };
        let stop = shutdown.child_token();
        let shell =
            Shell::new(client.clone(), cluster.clone(), places, metrics.clone(), readiness.clone(), stop.clone())?;
        // Dropping the shell ends its writes in flight; none of them needs to be finished.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = election.keep(acquired) => {}
            () = shell.lead() => {}
        }
        stop.cancel();
        metrics.leading.set(0);
        readiness.set(false);
        if shutdown.is_cancelled() {
            election.release().await;
        }
    }
    info!("Control stopped");
    Ok(())
}

/// How leader election is timed here.
async fn timing(client: &Client, cluster: &Cluster) -> Timing {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &cluster.system_namespace);
    match timeout(LIMIT, api.get_opt(&cluster.election)).await {
        Ok(Ok(Some(map))) => Timing::from_config(|key| map.data.as_ref()?.get(key).cloned()),
        Ok(Ok(None)) => Timing::default(),
        Ok(Err(error)) => {
            warn!(map = cluster.election, error = error_text(&error), "Leader election's settings cannot be read");
            Timing::default()
        }
        Err(_) => Timing::default(),
    }
}

/// The server's own words, or those of the first cause.
fn error_text(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    millrace_runtime::startup::with_causes(error)
}
