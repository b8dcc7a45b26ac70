//! Addresses by `transport-encryption`, and certificates that are trusted.

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::event::TestEvent;
use millrace_tests::kubernetes::install::{
    CHANNEL, Certificate, Extras, Install, SUBSCRIPTION, SYSTEM, condition, set_features,
};
use millrace_tests::process::is_message;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::wait_for;
use serde_json::{Value, json};

const SECRET: [&str; 4] = ["v1", "Secret", SYSTEM, "kafka-channel-ingress-server-tls"];

fn transport(install: &Install, mode: &str) {
    set_features(&install.admin, &[("transport-encryption", mode)]);
}

/// Waits until these are the addresses of a ready channel: name and URL each.
fn wait_for_addresses(install: &Install, namespace: &str, expected: &[(&str, String)]) -> Value {
    wait_for(&format!("addresses {expected:?}"), PATIENCE, || {
        let channel = install.channel(namespace, "orders");
        let addresses = channel["status"]["addresses"].as_array().cloned().unwrap_or_default();
        let shown: Vec<(&str, String)> = addresses
            .iter()
            .map(|found| {
                (found["name"].as_str().unwrap_or_default(), found["url"].as_str().unwrap_or_default().to_owned())
            })
            .collect();
        if shown == expected { Ok(channel.clone()) } else { Err(channel["status"].to_string()) }
    })
}

#[test]
fn addresses_follow_transport_encryption_and_tell_whom_to_trust() {
    let Some(kafka) = Kafka::shared() else { return };
    let certificate = Certificate::new();
    let Some(install) = Install::with(kafka, &Extras { certificate: Some(&certificate), ..Extras::default() }) else {
        return;
    };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    let http = ("http", format!("http://orders-kn-channel.{namespace}.svc.cluster.local"));
    let https = ("https", format!("https://kafka-channel-ingress.{SYSTEM}.svc.cluster.local/{namespace}/orders"));
    let channel = wait_for_addresses(&install, &namespace, std::slice::from_ref(&http));
    assert_eq!(channel["status"]["address"]["CACerts"], Value::Null);

    transport(&install, "permissive");
    let channel = wait_for_addresses(&install, &namespace, &[https.clone(), http.clone()]);
    let status = &channel["status"];
    assert_eq!(status["address"], json!({"name": "http", "url": http.1}));
    assert_eq!(status["addresses"][0]["CACerts"], certificate.certificate);
    assert_eq!(condition(&channel, "Ready")["status"], "True");

    transport(&install, "strict");
    let channel = wait_for_addresses(&install, &namespace, std::slice::from_ref(&https));
    assert_eq!(
        (&channel["status"]["address"]["name"], &channel["status"]["address"]["url"]),
        (&json!("https"), &json!(https.1))
    );
    assert_eq!(channel["status"]["address"]["CACerts"], certificate.certificate);

    // Without the Secret nobody could be told whom to trust.
    install.admin.delete(SECRET);
    let channel = install.wait_for_condition(CHANNEL, &namespace, "orders", "ConfigParsed", "False");
    let reason = condition(&channel, "ConfigParsed")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains(&format!("failed to get secret {SYSTEM}/{}", SECRET[3])), "{reason}");
    transport(&install, "disabled");
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    wait_for_addresses(&install, &namespace, &[http]);
}

#[test]
fn a_subscriber_behind_tls_is_trusted_by_its_own_certificates_or_by_a_bundle() {
    let Some(kafka) = Kafka::shared() else { return };
    let certificate = Certificate::new();
    let Some(install) = Install::with(kafka, &Extras { certificate: Some(&certificate), ..Extras::default() }) else {
        return;
    };
    let _control = install.start_control();
    let _dispatcher = install.start_dispatcher();
    let namespace = install.cluster.fresh_namespace();
    // The ingress itself is the subscriber behind TLS: it passes on to a channel that somebody can watch.
    let line = install.ingress.process.lines().into_iter().find(|line| is_message(line, "Receiver started"));
    let line = line.expect("the ingress says where it listens");
    let target = format!("https://127.0.0.1:{}/{namespace}/target", line["tls_port"]);
    install.apply_channel(&namespace, "target", &json!({}));
    let subscriber = Subscriber::accepting();
    let end = json!({"subscriber": {"uri": subscriber.url("/in")}});
    install.apply_subscription(&namespace, "end", "target", &end);
    for (name, to) in
        [("own", json!({"uri": target, "CACerts": certificate.certificate})), ("bundle", json!({"uri": target}))]
    {
        install.apply_channel(&namespace, name, &json!({}));
        let spec =
            json!({"subscriber": to, "delivery": {"retry": 30, "backoffPolicy": "linear", "backoffDelay": "PT0.2S"}});
        install.apply_subscription(&namespace, name, name, &spec);
    }
    for name in ["end", "own", "bundle"] {
        install.wait_until_ready(SUBSCRIPTION, &namespace, name);
    }
    for name in ["own", "bundle"] {
        let answer =
            install.ingress.client().post("x", &format!("/{namespace}/{name}"), &TestEvent::new(name)).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    subscriber.wait_for_ids("/in", &["own".to_owned()], PATIENCE);
    assert_eq!(subscriber.count_on("/in"), 1, "nobody trusts the other one yet");
    let metadata = json!({"namespace": SYSTEM, "name": "our-authorities",
        "labels": {"networking.knative.dev/trust-bundle": "true"}});
    let data = json!({"ours.pem": certificate.certificate, "README": "no certificate"});
    install.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}));
    subscriber.wait_for_ids("/in", &["bundle".to_owned()], PATIENCE);
    assert_eq!(install.contract()["trustBundles"], json!([certificate.certificate]));
    install.admin.delete(["v1", "ConfigMap", SYSTEM, "our-authorities"]);
    wait_for("the contract without the bundle", PATIENCE, || {
        let bundles = install.contract()["trustBundles"].clone();
        if bundles.is_null() { Ok(()) } else { Err(bundles.to_string()) }
    });
}
