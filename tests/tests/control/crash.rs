//! Control killed again and again while objects come and go: every object ends right, and no topic or group is left.

use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::kubernetes::install::{CHANNEL, Install, SUBSCRIPTION, SYSTEM};
use millrace_tests::wait::wait_until;
use serde_json::{Value, json};

/// Kills are spread over what control does after a start; the steps between them are odd, so that they fall anywhere.
const KILLS: u32 = 8;

#[test]
fn control_killed_at_any_point_leaves_every_object_right_in_the_end() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let metadata = json!({"namespace": SYSTEM, "name": "config-kafka-leader-election"});
    let data = json!({"leaseDuration": "1s", "renewDeadline": "800ms", "retryPeriod": "200ms"});
    install.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}));
    let namespace = install.cluster.fresh_namespace();
    let name = |number: u32| format!("c{number}");
    for kill in 0..KILLS {
        let mut control = install.control("control-0").start();
        control.wait_for_message("This process leads", PATIENCE);
        install.apply_channel(&namespace, &name(kill), &json!({}));
        let spec = json!({"subscriber": {"uri": "http://127.0.0.1:9/"}});
        install.apply_subscription(&namespace, &name(kill), &name(kill), &spec);
        if kill >= 2 {
            install.admin.delete([SUBSCRIPTION[0], SUBSCRIPTION[1], &namespace, &name(kill - 2)]);
            install.admin.delete([CHANNEL[0], CHANNEL[1], &namespace, &name(kill - 2)]);
        }
        let until = Instant::now() + Duration::from_millis(u64::from(kill * 97));
        wait_until("the moment of the kill", PATIENCE, || Instant::now() >= until);
        control.kill();
    }
    let _control = install.start_control();
    for number in KILLS - 2..KILLS {
        install.wait_until_ready(CHANNEL, &namespace, &name(number));
        install.wait_until_ready(SUBSCRIPTION, &namespace, &name(number));
    }
    for number in 0..KILLS - 2 {
        wait_until(&format!("{} to be gone", name(number)), PATIENCE, || {
            install.admin.get(CHANNEL[0], CHANNEL[1], &namespace, &name(number)).is_none()
        });
    }
    let of_ours = |text: String, prefix: &str| {
        let mut found: Vec<String> = text.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect();
        found.sort();
        found
    };
    let topics = kafka.tool("org.apache.kafka.tools.TopicCommand", &["--list"]);
    let prefix = format!("knative-messaging-kafka.{namespace}.");
    let expected: Vec<String> = (KILLS - 2..KILLS).map(|number| format!("{prefix}{}", name(number))).collect();
    assert_eq!(of_ours(topics, &prefix), expected);
    let groups = || {
        let all = kafka.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &["--list"]);
        of_ours(all, &format!("kafka.{namespace}."))
    };
    wait_until("groups of deleted Subscriptions to be gone", PATIENCE, || groups().len() == expected.len());
    let mut paths: Vec<String> = Vec::new();
    for resource in install.contract()["resources"].as_array().unwrap_or(&Vec::new()) {
        assert_eq!(resource["egresses"].as_array().map(Vec::len), Some(1), "{resource}");
        paths.push(resource["ingress"]["path"].as_str().unwrap_or_default().to_owned());
    }
    paths.sort();
    let expected: Vec<Value> =
        (KILLS - 2..KILLS).map(|number| json!(format!("/{namespace}/{}", name(number)))).collect();
    assert_eq!(json!(paths), json!(expected));
}
