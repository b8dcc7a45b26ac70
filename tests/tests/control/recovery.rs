//! What goes wrong around control, the condition that tells it, and the recovery without a restart.

use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::event::TestEvent;
use millrace_tests::kubernetes::install::{
    CHANNEL, CONTRACT, Install, SUBSCRIPTION, SYSTEM, condition, write_pod, write_pod_at,
};
use millrace_tests::plane::Plane;
use millrace_tests::wait::{wait_for, wait_until};
use serde_json::{Value, json};

const MAP: [&str; 4] = ["v1", "ConfigMap", SYSTEM, CONTRACT];

fn generation(install: &Install) -> u64 {
    install.contract()["generation"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The text that explains a condition: the peer puts it into the reason or the message.
fn why(channel: &Value, kind: &str) -> String {
    let found = condition(channel, kind);
    format!("{} {}", found["reason"].as_str().unwrap_or_default(), found["message"].as_str().unwrap_or_default())
}

#[test]
fn a_contract_that_was_deleted_comes_back_and_a_corrupt_one_is_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    let before = generation(&install);
    install.admin.delete(MAP);
    wait_until("the contract to come back", PATIENCE, || generation(&install) > before);
    assert_eq!(install.contract()["resources"].as_array().unwrap().len(), 1);

    // "corrupt" in base64; the peer leaves such a map alone, too.
    let _ = install.admin.patch(MAP, &json!({"binaryData": {"data": "Y29ycnVwdA=="}}));
    let channel = install.wait_for_condition(CHANNEL, &namespace, "orders", "ConfigMapUpdated", "False");
    let text = why(&channel, "ConfigMapUpdated");
    assert!(text.contains(&format!("Failed to get contract data from ConfigMap: {SYSTEM}/{CONTRACT}")), "{text}");
    assert!(text.contains("failed to unmarshal contract"), "{text}");
    let _ = install.admin.patch(MAP, &json!({"binaryData": null}));
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    assert!(generation(&install) > before + 1);
}

#[test]
fn missing_settings_and_a_missing_secret_are_told_and_a_rotated_secret_reaches_the_contract() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let servers = kafka.bootstrap();
    install.admin.delete(["v1", "ConfigMap", SYSTEM, "kafka-channel-config"]);
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    let channel = install.wait_for_condition(CHANNEL, &namespace, "orders", "ConfigParsed", "False");
    let text = why(&channel, "ConfigParsed");
    assert!(text.contains(&format!("failed to get configmap {SYSTEM}/kafka-channel-config")), "{text}");
    install.configure(&[("bootstrap.servers", &servers), ("auth.secret.ref.name", "kafka-channel-auth")]);
    let place = format!("failed to get secret {SYSTEM}/kafka-channel-auth");
    wait_for("the missing secret to be told", PATIENCE, || {
        let text = why(&install.channel(&namespace, "orders"), "ConfigParsed");
        if text.contains(&place) { Ok(()) } else { Err(text) }
    });
    let secret = |note: &str| {
        let metadata = json!({"namespace": SYSTEM, "name": "kafka-channel-auth"});
        let data = json!({"protocol": "PLAINTEXT", "note": note});
        install.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}));
    };
    let version = || {
        let secret = install.admin.get("v1", "Secret", SYSTEM, "kafka-channel-auth").unwrap();
        secret["metadata"]["resourceVersion"].clone()
    };
    let in_contract = || install.contract()["resources"][0]["authSecret"]["version"].clone();
    secret("first");
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    assert_eq!(in_contract(), version());
    secret("second");
    wait_for("the new version in the contract", PATIENCE, || {
        if in_contract() == version() { Ok(()) } else { Err(in_contract().to_string()) }
    });
    install.wait_until_ready(CHANNEL, &namespace, "orders");
}

#[test]
fn a_service_of_somebody_else_is_left_alone_and_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": "orders-kn-channel"},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "mine"}}});
    install.apply(&service);
    install.apply_channel(&namespace, "orders", &json!({}));
    let channel = install.wait_for_condition(CHANNEL, &namespace, "orders", "Addressable", "False");
    let text = why(&channel, "Ready");
    assert!(text.contains("does not own Service: \"orders-kn-channel\""), "{text}");
    assert_eq!(condition(&channel, "Ready")["status"], "False");
    let found = install.admin.get("v1", "Service", &namespace, "orders-kn-channel").unwrap();
    assert_eq!(found["spec"]["selector"], json!({"app": "mine"}));
    install.admin.delete(["v1", "Service", &namespace, "orders-kn-channel"]);
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    // One of ours that somebody changes is put right.
    let ours = ["v1", "Service", &namespace, "orders-kn-channel"];
    let _ = install.admin.patch(ours, &json!({"spec": {"externalName": "elsewhere.example.com"}}));
    wait_for("the service to be put right", PATIENCE, || {
        let found = install.admin.get("v1", "Service", &namespace, "orders-kn-channel").unwrap_or_default();
        let name = found["spec"]["externalName"].clone();
        if name == "kafka-channel-ingress.knative-eventing.svc.cluster.local" { Ok(()) } else { Err(name.to_string()) }
    });
}

#[test]
fn an_api_server_that_was_away_is_followed_again_and_nothing_turns_unready() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(mut install) = Install::on(kafka) else { return };
    let mut control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "before", &json!({}));
    let before = install.wait_until_ready(CHANNEL, &namespace, "before");
    install.cluster.take_away();
    install.cluster.bring_back();
    install.apply_channel(&namespace, "after", &json!({}));
    install.wait_until_ready(CHANNEL, &namespace, "after");
    assert_eq!(ready_since(&install.channel(&namespace, "before")), ready_since(&before));
    assert_eq!(control.has_ended(), None);
}

#[test]
fn a_restart_takes_no_readiness_away_and_writes_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let mut control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    let spec = json!({"subscriber": {"uri": "http://127.0.0.1:9/"}});
    install.apply_subscription(&namespace, "billing", "orders", &spec);
    install.wait_until_ready(SUBSCRIPTION, &namespace, "billing");
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    let versions = || {
        let subscription = install.admin.get(SUBSCRIPTION[0], SUBSCRIPTION[1], &namespace, "billing").unwrap();
        let map = install.admin.get(MAP[0], MAP[1], MAP[2], MAP[3]).unwrap();
        let objects = [install.channel(&namespace, "orders"), subscription, map];
        objects.map(|object| object["metadata"]["resourceVersion"].clone())
    };
    // Statuses are settled when another channel, made later, is ready.
    install.apply_channel(&namespace, "other", &json!({}));
    install.wait_until_ready(CHANNEL, &namespace, "other");
    let before = versions();
    assert_eq!(control.stop(PATIENCE).code(), Some(0));
    let _control = install.start_control();
    install.apply_channel(&namespace, "third", &json!({}));
    install.wait_until_ready(CHANNEL, &namespace, "third");
    let after = versions();
    assert_eq!(after[..2], before[..2]);
}

#[test]
fn of_two_processes_one_works_and_the_other_takes_over() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let metadata = json!({"namespace": SYSTEM, "name": "config-kafka-leader-election"});
    let data = json!({"leaseDuration": "3s", "renewDeadline": "2s", "retryPeriod": "500ms"});
    install.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}));
    let mut first = install.start_control();
    let mut second = install.control("control-1").start();
    second.wait_for_message("Control started", PATIENCE);
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "one", &json!({}));
    install.wait_until_ready(CHANNEL, &namespace, "one");
    let leads = |process: &millrace_tests::process::Process| {
        process.count_lines(|line| millrace_tests::process::is_message(line, "This process leads"))
    };
    assert_eq!((leads(&first), leads(&second)), (1, 0));
    first.kill();
    install.apply_channel(&namespace, "two", &json!({}));
    install.wait_until_ready(CHANNEL, &namespace, "two");
    assert_eq!(leads(&second), 1);
    let leases = install.admin.list("coordination.k8s.io/v1", "Lease", SYSTEM);
    let lease = &leases[0];
    let name = "kafkachannel-controller.knative.dev.eventing-kafka.pkg.channel.consolidated.reconciler.controller.\
                reconciler.00-of-01";
    assert_eq!((leases.len(), &lease["metadata"]["name"]), (1, &json!(name)));
    assert_eq!(lease["spec"]["holderIdentity"], "control-1");
}

#[test]
fn a_deleted_channel_waits_for_the_ingress_and_a_retained_topic_stays() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "kept", &json!({}));
    install.apply_channel(&namespace, "lost", &json!({}));
    for name in ["kept", "lost"] {
        install.wait_until_ready(CHANNEL, &namespace, name);
    }
    let kept = [CHANNEL[0], CHANNEL[1], namespace.as_str(), "kept"];
    let _ = install.admin.patch(kept, &json!({"metadata": {"annotations": {"millrace.dev/topic-deletion": "retain"}}}));
    // An ingress that is not ready is not asked.
    write_pod(&install.admin, "kafka-channel-receiver", "kafka-channel-receiver-1", false);
    install.admin.delete(kept);
    install.admin.delete([CHANNEL[0], CHANNEL[1], &namespace, "lost"]);
    for name in ["kept", "lost"] {
        wait_until(&format!("{name} to be gone"), PATIENCE, || {
            install.admin.get(CHANNEL[0], CHANNEL[1], &namespace, name).is_none()
        });
    }
    let topics = kafka.tool("org.apache.kafka.tools.TopicCommand", &["--list"]);
    assert!(topics.contains(&format!("knative-messaging-kafka.{namespace}.kept")), "{topics}");
    assert!(!topics.contains(&format!("knative-messaging-kafka.{namespace}.lost")), "{topics}");
}

#[test]
fn a_channel_that_cannot_be_deleted_says_so_and_goes_in_the_end() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let mut control = install.control("control-0").env("MILLRACE_DELETION_PATIENCE_SECONDS", "3").start();
    control.wait_for_message("This process leads", PATIENCE);
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    // Nobody knows any more which Kafka has the topic.
    install.admin.delete(["v1", "ConfigMap", SYSTEM, "kafka-channel-config"]);
    install.wait_for_condition(CHANNEL, &namespace, "orders", "ConfigParsed", "False");
    install.admin.delete([CHANNEL[0], CHANNEL[1], &namespace, "orders"]);
    let channel = install.wait_for_condition(CHANNEL, &namespace, "orders", "TopicReady", "False");
    let text = why(&channel, "Ready");
    assert!(text.contains(&format!("Failed to delete topic: knative-messaging-kafka.{namespace}.orders")), "{text}");
    wait_until("the channel to be gone", PATIENCE, || {
        install.admin.get(CHANNEL[0], CHANNEL[1], &namespace, "orders").is_none()
    });
    control.wait_for_message("Channel goes and leaves something behind", PATIENCE);
    wait_for("an event that tells it", PATIENCE, || {
        let events = install.admin.list("events.k8s.io/v1", "Event", &namespace);
        if events.iter().any(|event| event["reason"] == "LeftBehind") { Ok(()) } else { Err(format!("{events:?}")) }
    });
}

#[test]
fn a_kafka_that_is_away_is_told_and_everything_goes_on_when_it_is_back() {
    let Some(mut kafka) = Kafka::start_unless_missing(&["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]) else { return };
    let Some(install) = Install::on(&kafka) else { return };
    let mut control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    for name in ["untouched", "busy"] {
        install.apply_channel(&namespace, name, &json!({}));
    }
    let untouched = install.wait_until_ready(CHANNEL, &namespace, "untouched");
    install.wait_until_ready(CHANNEL, &namespace, "busy");
    kafka.kill();
    install.apply_channel(&namespace, "new", &json!({}));
    let spec = json!({"subscriber": {"uri": "http://127.0.0.1:9/"}});
    install.apply_subscription(&namespace, "late", "busy", &spec);
    let away = format!("Kafka at {} does not answer", kafka.bootstrap());
    let told = install.wait_for_condition(CHANNEL, &namespace, "new", "TopicReady", "False");
    assert_eq!(why(&told, "TopicReady"), format!("Failed to obtain Kafka cluster admin {away}"));
    assert_eq!(condition(&told, "Ready")["status"], "False");
    // Nobody may believe that a subscriber gets what is sent now: its first offsets are not committed.
    let late = install.wait_for_condition(SUBSCRIPTION, &namespace, "late", "Ready", "False");
    assert!(why(&late, "ChannelReady").contains("InitializeOffset"), "{}", late["status"]);
    let contract = install.contract().to_string();
    assert!(!contract.contains("127.0.0.1:9/"), "{contract}");
    kafka.start_again();
    install.wait_until_ready(CHANNEL, &namespace, "new");
    install.wait_until_ready(CHANNEL, &namespace, "busy");
    install.wait_until_ready(SUBSCRIPTION, &namespace, "late");
    assert_eq!(ready_since(&install.channel(&namespace, "untouched")), ready_since(&untouched));
    assert_eq!(control.has_ended(), None);
}

#[test]
fn a_kafka_that_hangs_is_told_and_everything_goes_on_when_it_answers_again() {
    let Some(kafka) = Kafka::start_unless_missing(&["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]) else { return };
    let Some(install) = Install::on(&kafka) else { return };
    let mut control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    for name in ["untouched", "leaving"] {
        install.apply_channel(&namespace, name, &json!({}));
    }
    let untouched = install.wait_until_ready(CHANNEL, &namespace, "untouched");
    install.wait_until_ready(CHANNEL, &namespace, "leaving");
    // Connections stay open and nobody answers: every request has to end by itself.
    kafka.freeze();
    install.apply_channel(&namespace, "new", &json!({}));
    install.admin.delete([CHANNEL[0], CHANNEL[1], &namespace, "leaving"]);
    let away = format!("Kafka at {} does not answer", kafka.bootstrap());
    let told = install.wait_for_condition(CHANNEL, &namespace, "new", "TopicReady", "False");
    assert!(why(&told, "Ready").ends_with(&away), "{}", why(&told, "Ready"));
    wait_for("what keeps the deleted channel", PATIENCE, || {
        let text = why(&install.channel(&namespace, "leaving"), "TopicReady");
        if text.starts_with("Failed to delete topic") && text.ends_with(&away) { Ok(()) } else { Err(text) }
    });
    kafka.thaw();
    install.wait_until_ready(CHANNEL, &namespace, "new");
    wait_until("the deleted channel to be gone", PATIENCE, || {
        install.admin.get(CHANNEL[0], CHANNEL[1], &namespace, "leaving").is_none()
    });
    assert_eq!(ready_since(&install.channel(&namespace, "untouched")), ready_since(&untouched));
    assert_eq!(control.has_ended(), None);
}

#[test]
fn a_channel_is_not_ready_before_every_ready_pod_of_the_ingress_knows_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    // This pod's kubelet is slow: its mount stays as it was.
    let late = Plane::new(kafka).with("httpserver", "host=127.0.0.2");
    let port = install.ingress.address.port().to_string();
    let mut second = late.ingress_program().env("INGRESS_PORT", port).start();
    second.wait_for_message("Receiver started", PATIENCE);
    write_pod_at(&install.admin, "kafka-channel-receiver", "kafka-channel-receiver-1", "127.0.0.2", true);
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    let channel = install.wait_for_condition(CHANNEL, &namespace, "orders", "ProbeSucceeded", "False");
    let text = why(&channel, "ProbeSucceeded");
    assert!(text.starts_with("ProbeStatus status: NotReady"), "{text}");
    assert_eq!(
        (&condition(&channel, "Ready")["status"], &channel["status"]["address"]),
        (&json!("False"), &Value::Null)
    );
    let path = format!("/{namespace}/orders");
    wait_until("the first pod to take events", PATIENCE, || {
        install.ingress.client().post("x", &path, &TestEvent::new("a")).is_ok_and(|answer| answer.status == 202)
    });
    assert_eq!(condition(&install.channel(&namespace, "orders"), "Ready")["status"], "False");
    for name in ["kafka-channel-receiver-0", "kafka-channel-receiver-1"] {
        let pod = install.admin.get("v1", "Pod", SYSTEM, name).unwrap();
        assert_eq!(pod["metadata"]["annotations"]["volumeGeneration"], install.contract()["generation"], "{name}");
    }
    late.publish_bytes(install.contract().to_string().as_bytes());
    install.wait_until_ready(CHANNEL, &namespace, "orders");
}

#[test]
fn a_change_of_features_refreshes_the_mounts_of_the_ingress() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    let changed = || {
        let pod = install.admin.get("v1", "Pod", SYSTEM, "kafka-channel-receiver-0").unwrap_or_default();
        pod["metadata"]["annotations"]["configFeaturesUpdatedAt"].clone()
    };
    assert_eq!(changed(), Value::Null);
    let metadata = json!({"namespace": SYSTEM, "name": "config-features"});
    let data = json!({"delivery-timeout": "enabled"});
    install.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}));
    wait_until("the annotation", PATIENCE, || changed().is_string());
}

/// When the channel became what it is now, ready or not.
fn ready_since(channel: &Value) -> Value {
    condition(channel, "Ready")["lastTransitionTime"].clone()
}
