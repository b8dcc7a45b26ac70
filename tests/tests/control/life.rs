//! From the creation of objects to their end.

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::broker::{Broker, records};
use millrace_tests::event::TestEvent;
use millrace_tests::kubernetes::install::{CHANNEL, CONTRACT, Install, SUBSCRIPTION, SYSTEM, condition};
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::{wait_for, wait_until};
use serde_json::{Value, json};

fn post(install: &Install, namespace: &str, channel: &str, id: &str) {
    let path = format!("/{namespace}/{channel}");
    let answer = install.ingress.client().post("x", &path, &TestEvent::new(id)).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn topics(kafka: &Kafka) -> String {
    kafka.tool("org.apache.kafka.tools.TopicCommand", &["--list"])
}

fn groups(kafka: &Kafka) -> String {
    kafka.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &["--list"])
}

#[test]
fn a_subscription_s_events_arrive_and_everything_of_it_goes_with_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let subscriber = Subscriber::accepting();
    let mut control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({"numPartitions": 2}));
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    // The dispatcher comes later than the first events: the subscription's first offsets are committed by then.
    let spec = json!({"subscriber": {"uri": subscriber.url("/in")}, "delivery": {"retry": 2}});
    install.apply_subscription(&namespace, "billing", "orders", &spec);
    let subscription = install.wait_until_ready(SUBSCRIPTION, &namespace, "billing");
    post(&install, &namespace, "orders", "early");
    let dispatcher = install.plane.start_dispatcher();
    subscriber.wait_for_ids("/in", &["early".to_owned()], PATIENCE);
    post(&install, &namespace, "orders", "late");
    subscriber.wait_for_ids("/in", &["late".to_owned()], PATIENCE);

    let uid = subscription["metadata"]["uid"].as_str().unwrap();
    let group = format!("kafka.{namespace}.orders.{uid}");
    assert!(groups(kafka).contains(&group));
    install.admin.delete([SUBSCRIPTION[0], SUBSCRIPTION[1], &namespace, "billing"]);
    wait_until("the group to be deleted", PATIENCE, || !groups(kafka).contains(&group));
    post(&install, &namespace, "orders", "unheard");
    let topic = format!("knative-messaging-kafka.{namespace}.orders");
    assert!(topics(kafka).contains(&topic));
    install.admin.delete([CHANNEL[0], CHANNEL[1], &namespace, "orders"]);
    wait_until("the channel to be gone", PATIENCE, || {
        install.admin.get(CHANNEL[0], CHANNEL[1], &namespace, "orders").is_none()
    });
    assert!(!topics(kafka).contains(&topic));
    assert_eq!(install.contract()["resources"], Value::Null);
    assert_eq!(subscriber.count_on("/in"), 2);
    drop(dispatcher);
    assert_eq!(control.stop(PATIENCE).code(), Some(0), "{}", control.output());
}

#[test]
fn events_in_partitions_that_were_added_later_reach_a_subscriber_whose_dispatcher_was_away() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let mut control = install.control("control-0").env("MILLRACE_PARTITIONS_SECONDS", "1").start();
    control.wait_for_message("This process leads", PATIENCE);
    let subscriber = Subscriber::accepting();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    install.apply_subscription(&namespace, "billing", "orders", &json!({"subscriber": {"uri": subscriber.url("/in")}}));
    let ready = install.wait_until_ready(SUBSCRIPTION, &namespace, "billing");
    let topic = format!("knative-messaging-kafka.{namespace}.orders");
    let group = format!("kafka.{namespace}.orders.{}", ready["metadata"]["uid"].as_str().unwrap());
    let alter = ["--alter", "--topic", &topic, "--partitions", "3"];
    drop(kafka.tool("org.apache.kafka.tools.TopicCommand", &alter));
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let ids: Vec<String> = (0..20).map(|number| format!("late-{number}")).collect();
    // The key decides over the partition: some are in each.
    let record = |id: &String| records::NewRecord {
        key: Some(id.as_bytes().to_vec()),
        headers: vec![
            header("ce_specversion", "1.0"),
            header("ce_id", id),
            header("ce_source", "/s"),
            header("ce_type", "t"),
        ],
        ..records::NewRecord::default()
    };
    let all: Vec<records::NewRecord> = ids.iter().map(record).collect();
    records::produce(&kafka.bootstrap(), &topic, &all);
    wait_for("offsets of the new partitions", PATIENCE, || {
        let committed = records::committed(&kafka.bootstrap(), &group, &topic);
        if committed == [(0, 0), (1, 0), (2, 0)].into() { Ok(()) } else { Err(format!("{committed:?}")) }
    });
    let _dispatcher = install.plane.start_dispatcher();
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    let after = install.admin.get(SUBSCRIPTION[0], SUBSCRIPTION[1], &namespace, "billing").unwrap();
    assert_eq!(condition(&after, "Ready"), condition(&ready, "Ready"));
}

#[test]
fn a_ready_channel_s_status_is_the_peers() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    let spec = json!({"delivery": {"retry": 5, "deadLetterSink": {"uri": "http://dead.shop.svc.cluster.local/"}}});
    install.apply_channel(&namespace, "orders", &spec);
    let ready = install.wait_until_ready(CHANNEL, &namespace, "orders");
    let status = &ready["status"];
    let url = format!("http://orders-kn-channel.{namespace}.svc.cluster.local");
    let address = json!({"name": "http", "url": url});
    let topic = format!("knative-messaging-kafka.{namespace}.orders");
    assert_eq!(status["address"], address);
    assert_eq!(status["addresses"], json!([address]));
    assert_eq!(status["annotations"], json!({"default.topic": topic}));
    assert_eq!(status["deadLetterSinkUri"], "http://dead.shop.svc.cluster.local/");
    assert_eq!(status["observedGeneration"], ready["metadata"]["generation"]);
    assert_eq!(ready["metadata"]["finalizers"], json!(["kafkachannels.messaging.knative.dev"]));
    let mut shown: Vec<Value> = status["conditions"].as_array().unwrap().clone();
    for condition in &mut shown {
        assert!(condition.as_object_mut().unwrap().remove("lastTransitionTime").is_some_and(|time| time.is_string()));
    }
    let oidc = "Feature \"authentication-oidc\" must be enabled to support Authorization";
    let expected = json!([
        {"severity": "Info", "status": "True", "type": "Addressable"},
        {"reason": format!("Config map {SYSTEM}/{CONTRACT} updated"), "status": "True", "type": "ConfigMapUpdated"},
        {"status": "True", "type": "ConfigParsed"},
        {"message": oidc, "reason": "OIDCDisabled", "severity": "Info", "status": "True", "type": "EventPoliciesReady"},
        {"status": "True", "type": "ProbeSucceeded"},
        {"status": "True", "type": "Ready"},
        {"status": "True", "type": "Subscribers"},
        {"reason": format!("Topic {topic} created"), "status": "True", "type": "TopicReady"}
    ]);
    assert_eq!(Value::Array(shown), expected);
    let service = install.admin.get("v1", "Service", &namespace, "orders-kn-channel").unwrap();
    assert_eq!(service["spec"]["externalName"], "kafka-channel-ingress.knative-eventing.svc.cluster.local");
    assert_eq!(service["metadata"]["labels"], json!({"messaging.knative.dev/role": "kafka-channel"}));
    assert_eq!(service["metadata"]["ownerReferences"][0]["uid"], ready["metadata"]["uid"]);
    let pod = install.admin.get("v1", "Pod", SYSTEM, "kafka-channel-receiver-0").unwrap();
    assert_eq!(pod["metadata"]["annotations"]["volumeGeneration"], install.contract()["generation"]);
    let events = wait_for("events of the channel", PATIENCE, || {
        let events = install.admin.list("events.k8s.io/v1", "Event", &namespace);
        let reasons: Vec<String> = events.iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect();
        if ["FinalizerUpdate", "Ready"].iter().all(|reason| reasons.iter().any(|found| found == reason)) {
            Ok(events)
        } else {
            Err(format!("{reasons:?}"))
        }
    });
    assert!(events.iter().all(|event| event["type"] == "Normal"), "{events:?}");
}

#[test]
fn subscribers_that_knative_wrote_are_served_and_a_bad_one_hurts_no_other() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({"delivery": {"retry": 1}}));
    install.wait_until_ready(CHANNEL, &namespace, "orders");
    let (one, two) = ("068d494d-7b3c-4346-9e73-312dc3f64008", "ce8ce2b4-b349-4adf-b50c-424f959160b1");
    let subscribers = json!({"spec": {"subscribers": [
        {"uid": one, "name": "billing", "generation": 1, "subscriberUri": "http://billing.svc/events",
         "replyUri": "http://reply.svc/", "auth": {"serviceAccountName": "billing-sa"}},
        {"uid": two, "name": "shipping", "generation": 3, "subscriberUri": "http://shipping.svc/",
         "delivery": {"timeout": "PT0.001S"}}
    ]}});
    let knative = millrace_tests::kubernetes::objects::Objects::new(
        &install.cluster.kubeconfig(millrace_tests::kubernetes::EVENTING_CONTROLLER),
    );
    install.admin.apply(&format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: eventing-controller}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: eventing-controller, namespace: {SYSTEM}}}]
"
    ));
    let orders = [CHANNEL[0], CHANNEL[1], &namespace, "orders"];
    let written =
        wait_for("the channel to be written by Knative", PATIENCE, || knative.try_patch(orders, "", &subscribers));
    assert_eq!(written["spec"]["subscribers"].as_array().unwrap().len(), 2);
    let channel = install.wait_for_condition(CHANNEL, &namespace, "orders", "Subscribers", "False");
    let told = channel["status"]["subscribers"].as_array().unwrap();
    let channel = wait_for("the good subscriber to be ready", PATIENCE, || {
        let channel = install.channel(&namespace, "orders");
        let ready = channel["status"]["subscribers"][0]["ready"] == "True";
        if ready { Ok(channel) } else { Err(channel["status"]["subscribers"].to_string()) }
    });
    assert_eq!(told.len(), 2);
    let found = &channel["status"]["subscribers"];
    let auth = json!({"serviceAccountName": "billing-sa"});
    assert_eq!(found[0], json!({"uid": one, "observedGeneration": 1, "ready": "True", "auth": auth}));
    assert_eq!(
        (&found[1]["uid"], &found[1]["observedGeneration"], &found[1]["ready"]),
        (&json!(two), &json!(3), &json!("False"))
    );
    assert!(found[1]["message"].as_str().unwrap().contains("timeout"), "{found}");
    assert_eq!(condition(&channel, "Ready")["status"], "False");
    let egresses = install.contract()["resources"][0]["egresses"].clone();
    assert_eq!(egresses.as_array().unwrap().len(), 1, "{egresses}");
    assert_eq!(egresses[0]["consumerGroup"], format!("kafka.{namespace}.orders.{one}"));
    assert_eq!(egresses[0]["replyUrl"], "http://reply.svc/");
    assert_eq!(egresses[0]["oidcServiceAccountName"], "billing-sa");
    assert_eq!(egresses[0]["egressConfig"], json!({"retry": 1, "backoffDelay": "200"}));
    let committed = records::committed(
        &kafka.bootstrap(),
        &format!("kafka.{namespace}.orders.{one}"),
        &format!("knative-messaging-kafka.{namespace}.orders"),
    );
    assert_eq!(committed.values().copied().collect::<Vec<i64>>(), [0]);
}
