//! The contract, against the golden documents of the control-plane spec (sections 9 and 10).

use super::*;

fn base() -> Value {
    json!({
        "uid": UID,
        "topics": [TOPIC],
        "bootstrapServers": "kafka-1:9092,kafka-2:9093",
        "ingress": {"path": "/test-nc/kc", "host": "kc-kn-channel.test-nc.svc.cluster.local"},
        "reference": {"uuid": UID, "namespace": "test-nc", "name": "kc", "kind": "KafkaChannel",
                      "groupVersion": "messaging.knative.dev/v1beta1"},
        "featureFlags": {}
    })
}

fn egress(uid: &str, name: &str, destination: &str) -> Value {
    json!({
        "consumerGroup": format!("kafka.test-nc.kc.{uid}"),
        "destination": destination,
        "discardReply": {},
        "uid": uid,
        "deliveryOrder": "ORDERED",
        "reference": {"uuid": uid, "namespace": "test-nc", "name": name, "kind": "Subscription",
                      "groupVersion": "messaging.knative.dev/v1"}
    })
}

fn with(mut value: Value, field: &str, content: Value) -> Value {
    value[field] = content;
    value
}

fn subscriber(uri: &str) -> Value {
    json!({"subscriber": {"uri": uri}})
}

#[test]
fn a_channel_without_subscriptions_is_upstreams_golden_document() {
    // G2.
    assert_eq!(contract_of(&[bootstrap(), kc(&json!({}))]), json!({"resources": [base()]}));
}

#[test]
fn a_channels_own_delivery_is_in_its_resource() {
    // G3, with the default backoff that the deployment sets.
    let delivery = json!({"delivery": {
        "deadLetterSink": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "test-service", "namespace": "test-service-namespace"}},
        "retry": 5
    }});
    let config = json!({
        "deadLetter": "http://test-service.test-service-namespace.svc.cluster.local", "retry": 5, "backoffDelay": "1000"
    });
    let expected = with(base(), "egressConfig", config);
    assert_eq!(contract_of(&[bootstrap(), kc(&delivery)]), json!({"resources": [expected]}));
}

#[test]
fn subscriptions_are_egresses_of_their_channels_resource() {
    let first = json!({"subscriber": {"uri": "http://sub-1-uri"}, "reply": {"uri": "http://sub-1-reply-uri"}});
    let objects =
        [bootstrap(), kc(&json!({})), sub("one", SUB_1, &first), sub("two", SUB_2, &subscriber("http://sub-2-uri"))];
    let mut one = with(egress(SUB_1, "one", "http://sub-1-uri"), "replyUrl", json!("http://sub-1-reply-uri"));
    one.as_object_mut().unwrap().remove("discardReply");
    let egresses = json!([one, egress(SUB_2, "two", "http://sub-2-uri")]);
    assert_eq!(contract_of(&objects), json!({"resources": [with(base(), "egresses", egresses)]}));
}

#[test]
fn a_subscription_inherits_the_channels_delivery_field_by_field() {
    // The real contracts of section 10.
    let channel = json!({"delivery": {
        "retry": 5, "backoffPolicy": "exponential", "backoffDelay": "PT0.5S", "deadLetterSink": {"uri": "http://dead.shop.svc.cluster.local/"}
    }});
    let second = json!({"subscriber": {"uri": "http://b/"}, "delivery": {"retry": 3, "timeout": "PT10S"}});
    let objects = [
        bootstrap(),
        kc(&channel),
        sub("billing", SUB_1, &subscriber("http://a/events")),
        sub("shipping", SUB_2, &second),
    ];
    let contract = contract_of(&objects);
    let config = |index: usize| &contract["resources"][0]["egresses"][index]["egressConfig"];
    let dead = "http://dead.shop.svc.cluster.local/";
    assert_eq!(*config(0), json!({"deadLetter": dead, "retry": 5, "backoffDelay": "500"}));
    assert_eq!(*config(1), json!({"deadLetter": dead, "retry": 3, "backoffDelay": "500", "timeout": "10000"}));
}

#[test]
fn a_subscription_that_retries_without_a_pause_waits_200_ms_as_today() {
    let spec = json!({"subscriber": {"uri": "http://a"}, "delivery": {"retry": 2}});
    let contract = contract_of(&[bootstrap(), kc(&json!({})), sub("one", SUB_1, &spec)]);
    assert_eq!(contract["resources"][0]["egresses"][0]["egressConfig"], json!({"retry": 2, "backoffDelay": "200"}));
}

/// As far as anybody looks before a certificate is used.
const PEM: &str = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";

#[test]
fn subscribers_that_knatives_controller_wrote_are_egresses_too() {
    let spec = json!({"subscribers": [
        {"uid": SUB_1, "name": "one", "generation": 1, "subscriberUri": "http://sub-1-uri", "replyUri": "http://sub-1-reply-uri",
         "subscriberCACerts": PEM, "subscriberAudience": "aud", "auth": {"serviceAccountName": "sa"}},
        {"uid": SUB_2, "generation": 1, "subscriberUri": "http://sub-2-uri"}
    ]});
    let contract = contract_of(&[bootstrap(), kc(&spec)]);
    let one = &contract["resources"][0]["egresses"][0];
    assert_eq!(one["replyUrl"], "http://sub-1-reply-uri");
    assert_eq!((&one["destinationCACerts"], &one["destinationAudience"]), (&json!(PEM), &json!("aud")));
    assert_eq!(one["oidcServiceAccountName"], "sa");
    let mut two = egress(SUB_2, "", "http://sub-2-uri");
    two["reference"].as_object_mut().unwrap().remove("name");
    assert_eq!(contract["resources"][0]["egresses"][1], two);
}

#[test]
fn certificates_that_are_none_keep_their_subscriber_out_and_no_other() {
    let spec = json!({"subscribers": [
        {"uid": SUB_1, "subscriberUri": "https://sub-1-uri", "subscriberCACerts": "none"},
        {"uid": SUB_2, "subscriberUri": "http://sub-2-uri", "replyUri": "https://reply", "replyCACerts": PEM}
    ]});
    // As an API server holds it: it exists, whatever is wrong with it.
    let metadata = json!({"namespace": "test-nc", "name": "kc", "uid": UID});
    let document = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
    let channel = Object::Channel(Box::new(crate::api::channel::accept(&document)));
    let (outcome, _) = settle(&[bootstrap(), channel], &settings(), Observed::default());
    let egresses: Vec<&str> = outcome.contract.resources[0].egresses.iter().map(|egress| egress.uid.as_str()).collect();
    assert_eq!(egresses, [SUB_2]);
    assert_eq!(outcome.subscriptions[0].message, "spec.subscribers[0].subscriberCACerts: holds no PEM certificate");
}

#[test]
fn a_subscription_that_is_also_in_its_channel_counts_once_and_its_document_wins() {
    let spec = json!({"subscribers": [{"uid": SUB_1, "name": "one", "subscriberUri": "http://old"}]});
    let contract = contract_of(&[bootstrap(), kc(&spec), sub("one", SUB_1, &subscriber("http://new"))]);
    assert_eq!(contract["resources"][0]["egresses"], json!([egress(SUB_1, "one", "http://new")]));
}

#[test]
fn an_annotation_switches_order_off() {
    let Object::Subscription(mut one) = sub("one", SUB_1, &subscriber("http://a")) else { unreachable!() };
    one.ordered = false;
    let contract = contract_of(&[bootstrap(), kc(&json!({})), Object::Subscription(one)]);
    let egress = &contract["resources"][0]["egresses"][0];
    // The default of the enum is left out of the file.
    assert_eq!((egress["uid"].as_str(), egress.get("deliveryOrder")), (Some(SUB_1), None));
}

#[test]
fn a_template_names_the_topic() {
    // G20.
    let template = "custom-channel-template.{{ .Namespace }}.{{ .Name }}";
    let features = config_map("knative-eventing", "config-kafka-features", &[("channels-topic-template", template)]);
    let contract = contract_of(&[bootstrap(), kc(&json!({})), features]);
    assert_eq!(contract["resources"][0]["topics"], json!(["custom-channel-template.test-nc.kc"]));
}

#[test]
fn feature_flags_reach_the_contract() {
    let core = config_map("knative-eventing", "config-features", &[("eventtype-auto-create", "Enabled\n")]);
    let kafka = config_map("knative-eventing", "config-kafka-features", &[("dispatcher.rate-limiter", "enabled")]);
    let contract = contract_of(&[bootstrap(), kc(&json!({})), sub("one", SUB_1, &subscriber("http://a")), core, kafka]);
    let resource = &contract["resources"][0];
    assert_eq!(resource["featureFlags"], json!({"enableEventTypeAutocreate": true}));
    assert_eq!(resource["egresses"][0]["featureFlags"], json!({"enableRateLimiter": true}));
}

#[test]
fn with_oidc_the_ingress_has_an_audience_and_a_default_policy() {
    // G23 and G25's default.
    let features = |mode: &str| {
        let data = [("authentication-oidc", "enabled"), ("default-authorization-mode", mode)];
        config_map("knative-eventing", "config-features", &data)
    };
    let ingress =
        |mode: &str| contract_of(&[bootstrap(), kc(&json!({})), features(mode)])["resources"][0]["ingress"].clone();
    assert_eq!(ingress("deny-all")["audience"], "messaging.knative.dev/kafkachannel/test-nc/kc");
    assert_eq!(ingress("deny-all").get("eventPolicies"), None);
    let policy = json!([{"tokenMatchers": [{"prefix": {"attributes": {"sub": "system:serviceaccount:test-nc:"}}}]}]);
    assert_eq!(ingress("allow-same-namespace")["eventPolicies"], policy);
    assert_eq!(ingress("Allow-All")["eventPolicies"][0]["tokenMatchers"][0]["prefix"]["attributes"]["sub"], "");
}

#[test]
fn the_topic_is_asked_for_with_size_and_retention() {
    // G13.
    let spec = json!({"numPartitions": 3, "replicationFactor": 4, "retentionDuration": "PT10M"});
    let outcome = reconcile(all(vec![bootstrap(), kc(&spec)]), &settings(), &Observed::default());
    let expected =
        TopicRequest { key: topic_key(), partitions: 3, replication_factor: 4, retention: Duration::from_mins(10) };
    assert_eq!(outcome.topics, [expected]);
}

#[test]
fn on_a_laptop_channels_are_reached_through_the_ingress() {
    let local = Settings { addressing: Addressing::Ingress { url: "http://127.0.0.1:8080".to_owned() }, ..settings() };
    let reply = json!({"subscriber": {"uri": "http://a"}, "reply": {
        "ref": {"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel", "name": "kc"}
    }});
    let objects = [bootstrap(), kc(&json!({})), sub("one", SUB_1, &reply)];
    let contract = contract_with(&objects, &local);
    assert_eq!(contract["resources"][0]["egresses"][0]["replyUrl"], "http://127.0.0.1:8080/test-nc/kc");
    assert_eq!(contract["resources"][0]["ingress"]["host"], "kc-kn-channel.test-nc.svc.cluster.local");
    let (outcome, _) = settle(&objects, &local, Observed::default());
    assert_eq!(outcome.channels[0].url, "http://127.0.0.1:8080/test-nc/kc");
}
