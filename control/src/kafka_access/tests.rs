//! Tests of where Kafka is and how to get in. Numbers in comments are golden cases of the control-plane spec.

use serde_json::{Map, Value, json};

use super::*;
use crate::testing::{config_map, object, sourced};

const CONFIG: &str = "kafka-channel-config";

fn index(config: &[(&str, &str)], secret: Option<&[(&str, &str)]>) -> Index {
    let mut objects = vec![sourced(config_map("knative-eventing", CONFIG, config), "a.yaml", 1)];
    if let Some(keys) = secret {
        let data: Map<String, Value> = keys.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let secret = object(&json!({
            "apiVersion": "v1", "kind": "Secret", "stringData": data,
            "metadata": {"name": "secret-1", "namespace": "knative-eventing", "resourceVersion": "1234",
                         "uid": "a7185016-5d98-4b54-84e8-3b1cd4acc6b6"}
        }));
        objects.push(sourced(secret, "a.yaml", 9));
    }
    Index::build(objects, "knative-eventing")
}

fn with_secret(keys: &[(&str, &str)]) -> Result<KafkaAccess, AccessError> {
    find(
        &index(&[("bootstrap.servers", "kafka:9092"), ("auth.secret.ref.name", "secret-1")], Some(keys)),
        CONFIG,
        None,
        false,
    )
}

/// Protocol and keys with their fields, as the contract lists them.
fn fields(access: &KafkaAccess) -> (String, Vec<String>) {
    let ContractAuth::Fields(multi) = &access.auth else { panic!("{:?}", access.auth) };
    let keys = multi.references.iter().flat_map(|secret| &secret.key_field_references);
    (multi.protocol.name().to_owned(), keys.map(|key| format!("{}={}", key.secret_key, key.field.name())).collect())
}

#[test]
fn servers_are_trimmed_and_sorted() {
    let index = index(&[("bootstrap.servers", " kafka-2:9093, ,kafka-1:9092,")], None);
    let access = find(&index, CONFIG, None, false).unwrap();
    assert_eq!(access.servers(), "kafka-1:9092,kafka-2:9093");
    assert_eq!(access.auth, ContractAuth::None);
}

#[test]
fn servers_of_the_command_line_win_and_need_no_config_map() {
    let given = vec!["b:1".to_owned(), "a:1".to_owned()];
    let with_map = index(&[("bootstrap.servers", "kafka:9092")], None);
    assert_eq!(find(&with_map, CONFIG, Some(&given), false).unwrap().servers(), "a:1,b:1");
    assert_eq!(find(&Index::default(), CONFIG, Some(&given), false).unwrap().servers(), "a:1,b:1");
}

#[test]
fn a_missing_or_empty_setting_is_named() {
    // G11 and G12.
    let missing = find(&Index::default(), CONFIG, None, false).unwrap_err();
    assert!(missing.to_string().starts_with("failed to get configmap kafka-channel-config"), "{missing}");
    for config in [&[("foo", "bar")][..], &[("bootstrap.servers", "")], &[("bootstrap.servers", " , ")]] {
        let error = find(&index(config, None), CONFIG, None, false).unwrap_err();
        assert_eq!(error, AccessError::NoServers("knative-eventing/kafka-channel-config".to_owned()));
    }
    let config = [("bootstrap.servers", "a:1"), ("default.topic.partitions", "many")];
    let error = find(&index(&config, None), CONFIG, None, false).unwrap_err();
    assert!(error.to_string().contains("default.topic.partitions must be a number"), "{error}");
}

#[test]
fn a_missing_secret_is_named_and_ignored_for_the_embedded_broker() {
    let index = index(&[("bootstrap.servers", "a:1"), ("auth.secret.ref.name", "secret-1")], None);
    let error = find(&index, CONFIG, None, false).unwrap_err();
    assert_eq!(error, AccessError::NoSecret("knative-eventing/secret-1".to_owned()));
    assert_eq!(find(&index, CONFIG, None, true).unwrap().auth, ContractAuth::None);
}

#[test]
fn the_secret_may_be_in_another_namespace() {
    let config =
        [("bootstrap.servers", "a:1"), ("auth.secret.ref.name", "secret-1"), ("auth.secret.ref.namespace", "vault")];
    let error = find(&index(&config, Some(&[("protocol", "PLAINTEXT")])), CONFIG, None, false).unwrap_err();
    assert_eq!(error, AccessError::NoSecret("vault/secret-1".to_owned()));
}

#[test]
fn a_secret_with_a_protocol_is_referenced_as_a_whole() {
    let access = with_secret(&[
        ("protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("user", "u"),
        ("password", "hunter2"),
    ])
    .unwrap();
    let ContractAuth::Secret(reference) = &access.auth else { panic!("{:?}", access.auth) };
    assert_eq!(reference.uuid, "a7185016-5d98-4b54-84e8-3b1cd4acc6b6");
    assert_eq!((reference.namespace.as_str(), reference.name.as_str()), ("knative-eventing", "secret-1"));
    assert_eq!((reference.version.as_str(), reference.kind.as_str()), ("1234", ""));
    let client = access.credentials.client_properties();
    assert_eq!(client["security.protocol"], "sasl_ssl");
    assert_eq!(client["sasl.password"], "hunter2");
    assert!(!format!("{access:?}").contains("hunter2"));
}

#[test]
fn an_older_secret_is_guessed_from_its_keys() {
    // G14.
    let access = with_secret(&[("user.key", "k"), ("user.crt", "c"), ("ca.crt", "ca")]).unwrap();
    let keys = ["user.key=USER_KEY", "user.crt=USER_CRT", "ca.crt=CA_CRT"].map(str::to_owned).to_vec();
    assert_eq!(fields(&access), ("SSL".to_owned(), keys));
    // G15: six keys, in upstream's order.
    let access = with_secret(&[
        ("user.key", "k"),
        ("user.crt", "c"),
        ("ca.crt", "ca"),
        ("password", "p"),
        ("user", "u"),
        ("saslType", "SCRAM-SHA-512"),
    ])
    .unwrap();
    let keys = [
        "user.key=USER_KEY",
        "user.crt=USER_CRT",
        "ca.crt=CA_CRT",
        "password=PASSWORD",
        "user=USER",
        "saslType=SASL_MECHANISM",
    ];
    assert_eq!(fields(&access), ("SASL_SSL".to_owned(), keys.map(str::to_owned).to_vec()));
    assert_eq!(access.credentials.client_properties()["sasl.mechanism"], "SCRAM-SHA-512");
    // G16.
    let access = with_secret(&[("password", "p"), ("username", "u"), ("saslType", "PLAIN")]).unwrap();
    let keys = ["password=PASSWORD", "username=USER", "saslType=SASL_MECHANISM"].map(str::to_owned).to_vec();
    assert_eq!(fields(&access), ("SASL_PLAINTEXT".to_owned(), keys));
    assert_eq!(access.credentials.client_properties()["sasl.username"], "u");
    assert_eq!(fields(&with_secret(&[]).unwrap()), ("PLAINTEXT".to_owned(), Vec::new()));
}

#[test]
fn an_unusable_secret_is_refused_without_its_values() {
    for keys in [
        &[("protocol", "HTTPS"), ("password", "hunter2")][..],
        &[("protocol", "SASL_SSL"), ("password", "hunter2")],
        &[("protocol", "SASL_SSL"), ("sasl.mechanism", "GSSAPI"), ("user", "u"), ("password", "hunter2")],
        &[("ca.crt", "pem"), ("note", "hunter2")],
    ] {
        let error = with_secret(keys).unwrap_err().to_string();
        assert!(error.starts_with("secret knative-eventing/secret-1: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
