//! Subscribers that are objects: found, followed, and told when they are not there.

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::kubernetes::install::{CHANNEL, Install, SUBSCRIPTION, condition};
use millrace_tests::wait::wait_for;
use serde_json::{Value, json};

fn destination(install: &Install) -> Value {
    install.contract()["resources"][0]["egresses"][0]["destination"].clone()
}

#[test]
fn a_service_that_is_not_there_is_told_and_found_when_it_comes() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    let reference = json!({"apiVersion": "v1", "kind": "Service", "name": "billing"});
    let spec = json!({"subscriber": {"ref": reference, "uri": "/events"}});
    install.apply_subscription(&namespace, "billing", "orders", &spec);
    let subscription = install.wait_for_condition(SUBSCRIPTION, &namespace, "billing", "ReferencesResolved", "False");
    let found = condition(&subscription, "ReferencesResolved");
    assert_eq!(found["reason"], "SubscriberResolveFailed");
    assert!(found["message"].as_str().unwrap().contains("does not exist"), "{found}");
    let metadata = json!({"namespace": namespace, "name": "billing"});
    let service = json!({"ports": [{"port": 80, "protocol": "TCP"}]});
    install.apply(&json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service}));
    let subscription = install.wait_until_ready(SUBSCRIPTION, &namespace, "billing");
    let url = format!("http://billing.{namespace}.svc.cluster.local/events");
    assert_eq!(subscription["status"]["physicalSubscription"], json!({"subscriberUri": url}));
    assert_eq!(destination(&install), url.as_str());
}

#[test]
fn a_channel_is_a_subscriber_and_a_kind_that_nobody_serves_hurts_nobody_else() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "first", &json!({}));
    install.apply_channel(&namespace, "second", &json!({}));
    let second = json!({"apiVersion": CHANNEL[0], "kind": CHANNEL[1], "name": "second"});
    install.apply_subscription(&namespace, "on", "first", &json!({"subscriber": {"ref": second}}));
    let unknown = json!({"apiVersion": "example.com/v1", "kind": "Nothing", "name": "x"});
    install.apply_subscription(&namespace, "lost", "first", &json!({"subscriber": {"ref": unknown}}));
    install.wait_until_ready(SUBSCRIPTION, &namespace, "on");
    let lost = install.wait_for_condition(SUBSCRIPTION, &namespace, "lost", "Ready", "False");
    let message = condition(&lost, "ReferencesResolved")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("Nothing"), "{message}");
    let url = format!("http://second-kn-channel.{namespace}.svc.cluster.local");
    wait_for("the channel's address in the contract", PATIENCE, || {
        let contract = install.contract().to_string();
        if contract.contains(&url) { Ok(()) } else { Err(contract) }
    });
    // A destination that stops to resolve keeps what it had.
    install.admin.delete([SUBSCRIPTION[0], SUBSCRIPTION[1], &namespace, "lost"]);
    install.wait_until_ready(CHANNEL, &namespace, "first");
}
