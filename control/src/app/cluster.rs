//! `millrace-control kubernetes`: from the environment to the shell that lives on an API server.
//!
//! Takes the variables of the peer's controller with their defaults, so that its Deployment needs only another image.
//! Source: control-plane spec 7.5.

use millrace_config::env::{ControlEnv, ProcessEnv};
use millrace_runtime::drain::{Drain, Signals};
use millrace_runtime::health::Readiness;
use millrace_runtime::logging;
use millrace_runtime::metrics::Metrics;
use millrace_runtime::startup::Problems;
use tracing::info;
use uuid::Uuid;

use crate::addressable::Addressing;
use crate::kubernetes::{self, Cluster};
use crate::metrics::ControlMetrics;
use crate::reconcile::{ClusterSettings, Settings};

/// Secret with the certificate of the channels' ingress.
const TLS_SECRET: &str = "kafka-channel-ingress-server-tls";

/// Runs until a signal.
pub(super) fn run() -> Result<(), Problems> {
    let env = ControlEnv::read(&ProcessEnv)?;
    logging::init(&env.log, "control");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(serve(&env));
    // A Kafka client that waits for its cluster must not hold up the end of the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

async fn serve(env: &ControlEnv) -> Result<(), Problems> {
    let mut signals = Signals::register()?;
    let drain = Drain::new(env.admin.drain);
    let readiness = Readiness::new();
    let metrics = Metrics::new();
    let own_metrics = ControlMetrics::register(&metrics)?;
    super::serve_admin(env, &drain, metrics, &readiness).await?;
    let running = kubernetes::run(cluster(env), own_metrics, readiness, drain.token());
    let shell = drain.tracker().spawn(running);
    let mut shell = std::pin::pin!(shell);
    tokio::select! {
        ended = &mut shell => return flattened(ended),
        signal = signals.next() => info!(signal, "Stopping"),
    }
    // The shell gives its lease back, so that the next leader need not wait for it to run out.
    drain.start();
    let ended = tokio::time::timeout(drain.remaining(), shell).await;
    drain.finish().await;
    ended.map_or(Ok(()), flattened)
}

fn flattened(ended: Result<Result<(), kubernetes::KubernetesError>, tokio::task::JoinError>) -> Result<(), Problems> {
    ended.map_err(std::io::Error::other)?.map_err(Problems::from)
}

fn cluster(env: &ControlEnv) -> Cluster {
    let channel = &env.channel;
    let (system, domain) = (&channel.system_namespace, &env.cluster_domain);
    let ingress_host = format!("{}.{system}.svc.{domain}", channel.ingress_name);
    let place = format!("{}/{}", channel.data_plane_namespace, channel.contract_config_map);
    let settings = Settings {
        bootstrap_servers: None,
        embedded_broker: false,
        addressing: Addressing::Cluster { domain: domain.clone() },
        general_config: channel.general_config_map.clone(),
        data_plane_config: channel.data_plane_config_map.clone(),
        system_namespace: system.clone(),
        default_backoff: channel.default_backoff_delay,
        contract_place: format!("Config map {place}"),
        cluster: Some(ClusterSettings {
            ingress_host: ingress_host.clone(),
            tls_secret: (system.clone(), TLS_SECRET.to_owned()),
        }),
    };
    Cluster {
        settings,
        system_namespace: system.clone(),
        data_plane_namespace: channel.data_plane_namespace.clone(),
        contract: channel.contract_config_map.clone(),
        election: env.leader_election_config.clone(),
        ingress_host,
        ingress_port: channel.ingress_pod_port,
        identity: env.pod_name.clone().unwrap_or_else(|| format!("millrace-control-{}", Uuid::new_v4())),
        deletion_patience: env.deletion_patience,
        partitions_again: env.partitions_again,
    }
}
