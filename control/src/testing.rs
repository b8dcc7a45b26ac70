//! Small objects for tests.

use std::time::Duration;

use serde_json::{Value, json};

use crate::addressable::{Addressing, DEFAULT_DOMAIN};
use crate::api::decode::{Decoded, decode};
use crate::api::{Object, Source, Sourced};
use crate::reconcile::Settings;

/// A checked object of a document that must be good.
#[track_caller]
pub(crate) fn object(document: &Value) -> Object {
    match decode(document) {
        Decoded::Object { object, .. } => *object,
        bad @ (Decoded::Bad { .. } | Decoded::Foreign(_)) => panic!("{bad:?}"),
    }
}

/// A channel without a uid.
pub(crate) fn channel(namespace: &str, name: &str) -> Object {
    object(&json!({
        "apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel",
        "metadata": {"namespace": namespace, "name": name}
    }))
}

/// A ConfigMap with texts.
pub(crate) fn config_map(namespace: &str, name: &str, data: &[(&str, &str)]) -> Object {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    object(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}, "data": data}),
    )
}

/// The object with a place.
pub(crate) fn sourced(object: Object, file: &str, line: u64) -> Sourced {
    Sourced { object, source: Source { file: file.to_owned(), line, ..Source::default() } }
}

/// Channels with the addresses that they have in a cluster, looked after from a folder.
pub(crate) fn settings() -> Settings {
    Settings {
        bootstrap_servers: None,
        embedded_broker: false,
        addressing: Addressing::Cluster { domain: DEFAULT_DOMAIN.to_owned() },
        general_config: "kafka-channel-config".to_owned(),
        data_plane_config: "config-kafka-channel-data-plane".to_owned(),
        system_namespace: "knative-eventing".to_owned(),
        default_backoff: Duration::from_secs(1),
        contract_place: "Config map knative-eventing/kafka-channel-channels-subscriptions".to_owned(),
        cluster: None,
    }
}
