//! What a process is started with, as far as the core needs it.

use std::time::Duration;

use crate::addressable::Addressing;

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Wins over the ConfigMap's `bootstrap.servers`.
    pub bootstrap_servers: Option<Vec<String>>,
    /// The broker is the embedded one, which has no authentication.
    pub embedded_broker: bool,
    /// Where channels are reached.
    pub addressing: Addressing,
    /// Name of the ConfigMap with `bootstrap.servers`.
    pub general_config: String,
    /// Name of the ConfigMap with the properties files.
    pub data_plane_config: String,
    /// Its ConfigMaps win over namesakes elsewhere.
    pub system_namespace: String,
    /// Pause before the first retry in a channel's own delivery block.
    pub default_backoff: Duration,
    /// How conditions name the place of the contract, such as `Config map ns/name`.
    pub contract_place: String,
    /// Absent outside a cluster, where nobody deletes anything in Kafka and an unready subscriber is its own affair.
    pub cluster: Option<ClusterSettings>,
}

/// What only matters in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The cluster name of the ingress' Service.
    pub ingress_host: String,
    /// Namespace and name of the Secret with the ingress' certificate.
    pub tls_secret: (String, String),
}
