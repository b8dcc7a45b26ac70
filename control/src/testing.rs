//! Small objects for tests.

use serde_json::{Value, json};

use crate::api::decode::{Decoded, decode};
use crate::api::{Object, Source, Sourced};

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
