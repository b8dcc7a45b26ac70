//! Variables of the control plane: the names of its objects and ports, as upstream's controller deployment gives them.

use std::path::PathBuf;
use std::time::Duration;

use super::reading::Reading;
use super::{AdminEnv, Env, EnvErrors, LogEnv, shared};

/// The environment of a control process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlEnv {
    /// `SYSTEM_NAMESPACE`; `knative-eventing` when absent.
    pub system_namespace: String,
    /// Names for brokers and triggers.
    pub broker: PlaneEnv,
    /// Names for channels and subscriptions.
    pub channel: PlaneEnv,
    /// Names for sinks.
    pub sink: PlaneEnv,
    /// `CLUSTER_DOMAIN`; `cluster.local` when absent.
    pub cluster_domain: String,
    /// `CONFIG_LEADERELECTION_NAME`; `config-kafka-leader-election` when absent.
    pub leader_election_config: String,
    /// `CONFIG_LOGGING_NAME`; `config-logging` when absent.
    pub logging_config: String,
    /// `CONFIG_OBSERVABILITY_NAME`; `config-observability` when absent.
    pub observability_config: String,
    /// `POD_NAME`: who holds leases. Absent: a name is made up.
    pub pod_name: Option<String>,
    /// `MILLRACE_OBJECTS_DIR`: for the directory shell, where objects are.
    pub objects: Option<PathBuf>,
    /// `MILLRACE_STATE_DIR`: for the directory shell, where results go.
    pub state: Option<PathBuf>,
    /// `MILLRACE_KAFKA`: for the directory shell, bootstrap servers to use when the objects name none.
    pub kafka: Option<String>,
    /// `MILLRACE_EMBEDDED_BROKER`: for the directory shell, URL of the process that owns the embedded broker.
    pub embedded_broker: Option<String>,
    /// `MILLRACE_INGRESS_URL`: for the directory shell, where the ingress can be reached.
    pub ingress_url: Option<String>,
    /// `MILLRACE_DELETION_PATIENCE_SECONDS`: for the shell on Kubernetes, how long a deleted channel stays because
    /// something of it cannot be deleted; 300 when absent.
    pub deletion_patience: Duration,
    /// `MILLRACE_PARTITIONS_SECONDS`: for the shell on Kubernetes, how often topics are looked at for partitions that
    /// somebody added; 60 when absent.
    pub partitions_again: Duration,
    /// Logs.
    pub log: LogEnv,
    /// Administration.
    pub admin: AdminEnv,
}

/// Names for one kind of resource. The variables begin with `BROKER`, `CHANNEL` or `SINK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneEnv {
    /// `…_DATA_PLANE_CONFIG_MAP_NAMESPACE`; the system namespace when absent.
    pub data_plane_namespace: String,
    /// `…_CONTRACT_CONFIG_MAP_NAME`: where the contract is written.
    pub contract_config_map: String,
    /// `…_DATA_PLANE_CONFIG_CONFIG_MAP_NAME`: where the properties files are.
    pub data_plane_config_map: String,
    /// `…_GENERAL_CONFIG_MAP_NAME`: bootstrap servers and the like.
    pub general_config_map: String,
    /// `…_INGRESS_NAME`: the Service of the ingress.
    pub ingress_name: String,
    /// `…_INGRESS_POD_PORT`; 8080 when absent.
    pub ingress_pod_port: u16,
    /// `…_INGRESS_POD_TLS_PORT`; 8443 when absent.
    pub ingress_pod_tls_port: u16,
    /// `…_SYSTEM_NAMESPACE`; the system namespace when absent.
    pub system_namespace: String,
    /// `…_DEFAULT_BACKOFF_DELAY_MS`; 1000 when absent.
    pub default_backoff_delay: Duration,
}

impl ControlEnv {
    /// Reads the variables; every one of them has a default.
    ///
    /// # Errors
    /// Every variable that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, EnvErrors> {
        let mut reading = Reading::new(env);
        let system_namespace = reading.or("SYSTEM_NAMESPACE", "knative-eventing");
        let mut plane = |names: &PlaneNames| plane(&mut reading, names, &system_namespace);
        let (broker, channel, sink) = (plane(&BROKER), plane(&CHANNEL), plane(&SINK));
        json_only(&mut reading, "CONSUMER_CONTRACT_CONFIG_MAP_FORMAT");
        let result = Self {
            broker,
            channel,
            sink,
            cluster_domain: reading.or("CLUSTER_DOMAIN", "cluster.local"),
            leader_election_config: reading.or("CONFIG_LEADERELECTION_NAME", "config-kafka-leader-election"),
            logging_config: reading.or("CONFIG_LOGGING_NAME", "config-logging"),
            observability_config: reading.or("CONFIG_OBSERVABILITY_NAME", "config-observability"),
            pod_name: reading.optional("POD_NAME"),
            objects: reading.optional("MILLRACE_OBJECTS_DIR").map(PathBuf::from),
            state: reading.optional("MILLRACE_STATE_DIR").map(PathBuf::from),
            kafka: reading.optional("MILLRACE_KAFKA"),
            embedded_broker: reading.optional("MILLRACE_EMBEDDED_BROKER"),
            ingress_url: reading.optional("MILLRACE_INGRESS_URL"),
            deletion_patience: Duration::from_secs(
                reading.number::<u32>("MILLRACE_DELETION_PATIENCE_SECONDS").unwrap_or(300).into(),
            ),
            partitions_again: Duration::from_secs(
                reading.number::<u32>("MILLRACE_PARTITIONS_SECONDS").unwrap_or(60).max(1).into(),
            ),
            log: shared::log(&mut reading),
            admin: shared::admin(&mut reading),
            system_namespace,
        };
        reading.finish(result)
    }
}

struct PlaneNames {
    prefix: &'static str,
    contract: &'static str,
    data_plane: &'static str,
    general: &'static str,
    ingress: &'static str,
}

const BROKER: PlaneNames = PlaneNames {
    prefix: "BROKER",
    contract: "kafka-broker-brokers-triggers",
    data_plane: "config-kafka-broker-data-plane",
    general: "kafka-broker-config",
    ingress: "kafka-broker-ingress",
};

const CHANNEL: PlaneNames = PlaneNames {
    prefix: "CHANNEL",
    contract: "kafka-channel-channels-subscriptions",
    data_plane: "config-kafka-channel-data-plane",
    general: "kafka-channel-config",
    ingress: "kafka-channel-ingress",
};

const SINK: PlaneNames = PlaneNames {
    prefix: "SINK",
    contract: "kafka-sink-sinks",
    data_plane: "config-kafka-sink-data-plane",
    // Not a mistake: sinks share the brokers' settings.
    general: "kafka-broker-config",
    ingress: "kafka-sink-ingress",
};

fn plane(reading: &mut Reading<'_>, names: &PlaneNames, system_namespace: &str) -> PlaneEnv {
    let name = |suffix: &str| format!("{}_{suffix}", names.prefix);
    json_only(reading, &name("CONTRACT_CONFIG_MAP_FORMAT"));
    let backoff = reading.number::<u32>(&name("DEFAULT_BACKOFF_DELAY_MS")).unwrap_or(1000);
    PlaneEnv {
        data_plane_namespace: reading.or(&name("DATA_PLANE_CONFIG_MAP_NAMESPACE"), system_namespace),
        contract_config_map: reading.or(&name("CONTRACT_CONFIG_MAP_NAME"), names.contract),
        data_plane_config_map: reading.or(&name("DATA_PLANE_CONFIG_CONFIG_MAP_NAME"), names.data_plane),
        general_config_map: reading.or(&name("GENERAL_CONFIG_MAP_NAME"), names.general),
        ingress_name: reading.or(&name("INGRESS_NAME"), names.ingress),
        ingress_pod_port: reading.number(&name("INGRESS_POD_PORT")).unwrap_or(8080),
        ingress_pod_tls_port: reading.number(&name("INGRESS_POD_TLS_PORT")).unwrap_or(8443),
        system_namespace: reading.or(&name("SYSTEM_NAMESPACE"), system_namespace),
        default_backoff_delay: Duration::from_millis(backoff.into()),
    }
}

/// Data planes read JSON only, so another format would stop them.
fn json_only(reading: &mut Reading<'_>, name: &str) {
    let format = reading.or(name, "json");
    if format.trim() != "json" {
        reading.error(name, format!("{format:?} is not json, the only format that data planes read"));
    }
}
