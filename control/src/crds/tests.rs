//! What the printed definitions say, and that the committed copies are these.

use serde_json::Value;

use super::*;

#[track_caller]
fn check_copy(file: &str, name: &str, part: Part) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds").join(file);
    let same = std::fs::read_to_string(&path).is_ok_and(|committed| committed == yaml(part).unwrap());
    assert!(same, "deploy/crds/{file} is not what is printed; run: millrace-control crds {name} > deploy/crds/{file}");
}

#[test]
fn the_committed_copies_are_what_is_printed() {
    check_copy("kafka-channel/kafkachannels.yaml", "kafka-channel", Part::KafkaChannel);
    check_copy("kafka-channel/admission.yaml", "admission", Part::Admission);
    check_copy("subscription/subscriptions.yaml", "subscription", Part::Subscription);
}

#[test]
fn both_versions_of_a_channel_are_served_and_the_older_one_is_stored_as_upstream_does() {
    let definition = kafka_channel();
    let versions: Vec<_> = definition
        .spec
        .versions
        .iter()
        .map(|version| (version.name.as_str(), version.served, version.storage))
        .collect();
    assert_eq!(versions, [("v1beta1", true, true), ("v1", true, false)]);
    let [older, newer] = definition.spec.versions.as_slice() else { panic!("two versions") };
    assert_eq!(older.schema, newer.schema, "without a conversion both must have the same fields");
}

#[test]
fn names_and_columns_are_upstreams() {
    let definition = json(&kafka_channel()).unwrap();
    let names = &definition["spec"]["names"];
    assert_eq!(names["shortNames"], serde_json::json!(["kc"]));
    assert_eq!(names["categories"], serde_json::json!(["all", "knative", "messaging", "channel"]));
    let columns = definition["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let columns: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Ready", "Reason", "URL", "Age"]);
    let subscription = json(&subscription()).unwrap();
    assert_eq!(subscription["spec"]["names"]["shortNames"], serde_json::json!(["sub"]));
    let columns = subscription["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let columns: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Age", "Ready", "Reason"]);
}

/// Every field below `properties`, with its path.
fn fields(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, field) in properties {
            let path = format!("{path}.{name}");
            fields(field, &path, found);
            found.push((path, field.clone()));
        }
    }
    if !schema["items"].is_null() {
        fields(&schema["items"], &format!("{path}[]"), found);
    }
}

fn all_fields(definition: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    fields(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "", &mut found);
    found
}

#[test]
fn every_field_explains_itself() {
    for definition in [kafka_channel(), subscription()] {
        for (path, field) in all_fields(&json(&definition).unwrap()) {
            let explained = field["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(explained, "{path} has no sentence for kubectl explain");
        }
    }
}

#[test]
fn every_field_that_we_read_can_be_written() {
    let paths = |definition: &CustomResourceDefinition| -> Vec<String> {
        all_fields(&json(definition).unwrap()).into_iter().map(|(path, _)| path).collect()
    };
    let channel = paths(&kafka_channel());
    for field in [
        ".spec.delivery.deadLetterSink.ref.address",
        ".spec.delivery.retryAfterMax",
        ".spec.subscribers[].auth.serviceAccountName",
        ".spec.subscribers[].delivery.timeout",
        ".status.annotations",
        ".status.subscribers[].observedGeneration",
        ".status.deadLetterSinkCACerts",
    ] {
        assert!(channel.iter().any(|path| path == field), "{field}");
    }
    let subscription = paths(&subscription());
    for field in [".spec.channel.group", ".spec.reply.CACerts", ".status.physicalSubscription.replyAudience"] {
        assert!(subscription.iter().any(|path| path == field), "{field}");
    }
}

#[test]
fn limits_of_whole_numbers_are_printed_as_whole_numbers() {
    for limit in ["maximum: 100000\n", "maximum: 10000\n"] {
        assert!(yaml(Part::KafkaChannel).unwrap().contains(limit), "{limit}");
    }
    assert_eq!(whole(serde_json::json!({"a": [1.0, 1.5, "1.0"]})), serde_json::json!({"a": [1, 1.5, "1.0"]}));
}
