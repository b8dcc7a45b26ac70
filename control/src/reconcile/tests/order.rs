//! What waits for what, what stays when something fails, and what conditions say about it.

use super::*;

const FAILED: &str = "Failed to update Config map knative-eventing/kafka-channel-channels-subscriptions";

fn objects() -> Vec<Object> {
    vec![bootstrap(), kc(&json!({})), sub("one", SUB_1, &json!({"subscriber": {"uri": "http://a"}}))]
}

fn egresses(outcome: &Outcome) -> usize {
    outcome.contract.resources.iter().map(|resource| resource.egresses.len()).sum()
}

fn group_key() -> GroupKey {
    GroupKey { topic: topic_key(), group: format!("kafka.test-nc.kc.{SUB_1}") }
}

/// Readiness and reason of the only subscription.
fn subscription(outcome: &Outcome) -> (Truth, &str) {
    (outcome.subscriptions[0].ready, outcome.subscriptions[0].reason.as_str())
}

#[test]
fn everything_happens_in_order_and_a_subscription_is_ready_last() {
    let mut observed = Observed::default();
    let mut run = |change: &dyn Fn(&mut Observed)| {
        change(&mut observed);
        let outcome = reconcile(all(objects()), &settings(), &observed);
        observed.published = Published::from(&outcome.contract);
        reconcile(all(objects()), &settings(), &observed)
    };
    let new = run(&|_| {});
    assert_eq!((new.topics.len(), new.groups.len(), new.contract.resources.len()), (1, 0, 0));
    assert_eq!((new.channels[0].ready, subscription(&new)), (Truth::Unknown, (Truth::Unknown, "TopicReady")));

    let with_topic = run(&|observed| {
        observed.topics.insert(topic_key(), Progress::Done);
    });
    assert_eq!((with_topic.topics.len(), with_topic.groups.as_slice()), (0, [group_key()].as_slice()));
    assert_eq!((with_topic.contract.resources.len(), egresses(&with_topic), with_topic.probes.len()), (1, 0, 1));
    assert_eq!(subscription(&with_topic), (Truth::Unknown, "InitializeOffset"));

    let with_offsets = run(&|observed| {
        observed.groups.insert(group_key(), Progress::Done);
    });
    assert_eq!((with_offsets.groups.len(), egresses(&with_offsets)), (0, 1));
    assert_eq!(subscription(&with_offsets), (Truth::Unknown, "ProbeSucceeded"));

    let probed = run(&|observed| {
        observed.probes.insert(UID.to_owned(), Probe::Ready);
    });
    assert_eq!((probed.channels[0].ready, subscription(&probed)), (Truth::True, (Truth::True, "")));
}

#[test]
fn the_contract_must_be_in_force_before_anything_is_ready() {
    let (_, mut observed) = settle(&objects(), &settings(), Observed::default());
    observed.published = Published::default();
    let outcome = reconcile(all(objects()), &settings(), &observed);
    assert_eq!(outcome.channels[0].ready, Truth::Unknown);
    assert_eq!(subscription(&outcome), (Truth::Unknown, "ConfigMapUpdated"));
    observed.write_error = Some(Failure { reason: FAILED.to_owned(), message: "disk full".to_owned() });
    let outcome = reconcile(all(objects()), &settings(), &observed);
    let reason = FAILED;
    assert_eq!(condition(&outcome, "ConfigMapUpdated"), (Truth::False, reason.to_owned(), "disk full".to_owned()));
    assert_eq!(subscription(&outcome), (Truth::False, "ConfigMapUpdated"));
}

#[test]
fn a_ready_channel_has_the_conditions_that_upstream_shows() {
    let (outcome, _) = settle(&objects(), &settings(), Observed::default());
    let found: Vec<(&str, Truth, &str)> = outcome.channels[0]
        .conditions
        .iter()
        .map(|condition| (condition.kind.as_str(), condition.status, condition.reason.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("Addressable", Truth::True, ""),
            (
                "ConfigMapUpdated",
                Truth::True,
                "Config map knative-eventing/kafka-channel-channels-subscriptions updated"
            ),
            ("ConfigParsed", Truth::True, ""),
            ("EventPoliciesReady", Truth::True, "OIDCDisabled"),
            ("ProbeSucceeded", Truth::True, ""),
            ("Ready", Truth::True, ""),
            ("Subscribers", Truth::True, ""),
            ("TopicReady", Truth::True, "Topic knative-messaging-kafka.test-nc.kc created"),
        ]
    );
    assert_eq!(outcome.channels[0].url, "http://kc-kn-channel.test-nc.svc.cluster.local");
    assert_eq!(outcome.problems, []);
}

#[test]
fn a_topic_that_cannot_be_created_is_told_and_asked_for_again() {
    let mut observed = Observed::default();
    observed.topics.insert(topic_key(), Progress::Failed("no brokers".to_owned()));
    let outcome = reconcile(all(objects()), &settings(), &observed);
    let reason = format!("Failed to create topic: {TOPIC}");
    assert_eq!(condition(&outcome, "TopicReady"), (Truth::False, reason.clone(), "no brokers".to_owned()));
    assert_eq!((outcome.channels[0].ready, &outcome.channels[0].reason), (Truth::False, &reason));
    assert_eq!((outcome.topics.len(), subscription(&outcome)), (1, (Truth::False, "TopicReady")));
}

#[test]
fn a_topic_that_was_given_partitions_gets_first_offsets_for_them_and_loses_nothing_meanwhile() {
    let (before, mut observed) = settle(&objects(), &settings(), Observed::default());
    assert_eq!(before.wanted.partitions, [(topic_key(), 1)].into());
    observed.note_partitions(&topic_key(), 1, 1);
    assert_eq!(reconcile(all(objects()), &settings(), &observed).groups, []);
    observed.note_partitions(&topic_key(), 1, 3);
    let outcome = reconcile(all(objects()), &settings(), &observed);
    assert_eq!((outcome.groups.clone(), outcome.grown.clone()), (vec![group_key()], [(topic_key(), 1)].into()));
    assert_eq!(outcome.contract, before.contract);
    observed.groups.insert(group_key(), Progress::Done);
    observed.note_partitions(&topic_key(), 1, 3);
    assert_eq!(reconcile(all(objects()), &settings(), &observed).groups, []);
}

#[test]
fn a_kafka_that_cannot_even_be_asked_is_told_in_the_peers_words() {
    let mut observed = Observed::default();
    observed.topics.insert(topic_key(), Progress::NotAsked("Kafka at k:9092 does not answer".to_owned()));
    let outcome = reconcile(all(objects()), &settings(), &observed);
    let (truth, reason, message) = condition(&outcome, "TopicReady");
    assert_eq!((truth, reason.as_str()), (Truth::False, "Failed to obtain Kafka cluster admin"));
    assert_eq!(message, "Kafka at k:9092 does not answer");
    assert_eq!(outcome.topics.len(), 1);
}

#[test]
fn offsets_that_cannot_be_committed_keep_the_egress_out_and_the_channel_ready() {
    let (_, mut observed) = settle(&objects()[..2], &settings(), Observed::default());
    observed.groups.insert(group_key(), Progress::Failed("not authorised".to_owned()));
    let outcome = reconcile(all(objects()), &settings(), &observed);
    assert_eq!((egresses(&outcome), outcome.channels[0].ready), (0, Truth::True));
    assert_eq!(subscription(&outcome), (Truth::False, "InitializeOffset"));
    assert_eq!(outcome.subscriptions[0].message, "not authorised");
    assert_eq!(condition(&outcome, "Subscribers").0, Truth::False);
    assert_eq!(outcome.groups, [group_key()]);
}

#[test]
fn after_a_restart_with_kafka_down_the_contract_stays_as_it_was() {
    let (before, observed) = settle(&objects(), &settings(), Observed::default());
    let restarted = Observed { published: observed.published, ..Observed::default() };
    let outcome = reconcile(all(objects()), &settings(), &restarted);
    assert_eq!(outcome.contract, before.contract);
    assert_eq!(outcome.channels[0].ready, Truth::Unknown);
}

#[test]
fn with_a_missing_configuration_the_contract_stays_as_it_was() {
    let (before, observed) = settle(&objects(), &settings(), Observed::default());
    let outcome = reconcile(all(objects()[1..].to_vec()), &settings(), &observed);
    assert_eq!(outcome.contract, before.contract);
    let (status, reason, message) = condition(&outcome, "ConfigParsed");
    assert!(reason.starts_with("failed to get configmap kafka-channel-config"), "{reason}");
    assert_eq!((status, message.as_str(), outcome.channels[0].ready), (Truth::False, "", Truth::False));
    // A subscription that is gone goes all the same.
    let outcome = reconcile(all(vec![kc(&json!({}))]), &settings(), &observed);
    assert_eq!((outcome.contract.resources.len(), egresses(&outcome)), (1, 0));
}

#[test]
fn other_brokers_get_their_topic_and_offsets_before_the_contract_moves_to_them() {
    let (before, mut observed) = settle(&objects(), &settings(), Observed::default());
    let moved = Settings { bootstrap_servers: Some(vec!["new:9092".to_owned()]), ..settings() };
    let outcome = reconcile(all(objects()), &moved, &observed);
    assert_eq!(outcome.contract, before.contract);
    let key = TopicKey { servers: "new:9092".to_owned(), topic: TOPIC.to_owned() };
    assert_eq!(outcome.topics[0].key, key);
    observed.topics.insert(key, Progress::Done);
    let outcome = reconcile(all(objects()), &moved, &observed);
    assert_eq!(outcome.contract.resources[0].bootstrap_servers, "new:9092");
    assert_eq!(egresses(&outcome), 0);
}

#[test]
fn an_existing_channel_keeps_its_topic_when_the_template_changes() {
    let (_, observed) = settle(&objects(), &settings(), Observed::default());
    for template in ["other.{{ .Name }}", "{{ .Nope }}"] {
        let mut changed = objects();
        changed.push(config_map("knative-eventing", "config-kafka-features", &[("channels-topic-template", template)]));
        let outcome = reconcile(all(changed), &settings(), &observed);
        assert_eq!(outcome.contract.resources[0].topics, [TOPIC], "{template}");
        assert_eq!(outcome.channels[0].ready, Truth::True, "{template}");
    }
    let Object::Channel(mut recorded) = kc(&json!({})) else { unreachable!() };
    recorded.recorded_topic = Some("recorded".to_owned());
    let outcome = reconcile(all(vec![bootstrap(), Object::Channel(recorded)]), &settings(), &Observed::default());
    assert_eq!(outcome.topics[0].key.topic, "recorded");
}

#[test]
fn a_new_channel_gets_no_topic_from_a_bad_template() {
    let template =
        config_map("knative-eventing", "config-kafka-features", &[("channels-topic-template", "{{ .Nope }}")]);
    let outcome = reconcile(all(vec![bootstrap(), kc(&json!({})), template]), &settings(), &Observed::default());
    assert_eq!((outcome.topics.len(), outcome.contract.resources.len()), (0, 0));
    assert_eq!(condition(&outcome, "ConfigParsed").0, Truth::False);
    assert!(outcome.problems.iter().any(|problem| problem.field.as_deref() == Some("data.channels-topic-template")));
}

#[test]
fn a_subscriber_that_cannot_be_resolved_hurts_nobody_else() {
    let bad = json!({"subscriber": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "x"}}});
    let mut objects = objects();
    objects.push(sub("two", SUB_2, &bad));
    let (outcome, _) = settle(&objects, &settings(), Observed::default());
    assert_eq!((outcome.channels[0].ready, egresses(&outcome)), (Truth::True, 1));
    assert_eq!(subscription(&outcome), (Truth::True, ""));
    let two = &outcome.subscriptions[1];
    assert_eq!(
        (two.ready, two.reason.as_str(), two.subscriber.as_deref()),
        (Truth::False, "SubscriberResolveFailed", None)
    );
    assert_eq!(outcome.problems.len(), 1, "{:?}", outcome.problems);
    assert_eq!(outcome.problems[0].object.as_deref(), Some("Subscription test-nc/two"));
}

#[test]
fn an_egress_that_worked_stays_when_its_subscriber_cannot_be_resolved_any_more() {
    let (before, observed) = settle(&objects(), &settings(), Observed::default());
    let bad = json!({"subscriber": {"ref": {"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel", "name": "gone"}}});
    let outcome = reconcile(all(vec![bootstrap(), kc(&json!({})), sub("one", SUB_1, &bad)]), &settings(), &observed);
    assert_eq!(outcome.contract, before.contract);
    assert_eq!(subscription(&outcome), (Truth::False, "SubscriberResolveFailed"));
}

#[test]
fn a_subscription_without_its_channel_says_so() {
    let one = sub("one", SUB_1, &json!({"subscriber": {"uri": "http://a"}}));
    let outcome = reconcile(all(vec![bootstrap(), one]), &settings(), &Observed::default());
    assert_eq!(subscription(&outcome), (Truth::False, "ChannelReferenceFailed"));
    assert_eq!(outcome.subscriptions[0].message, "KafkaChannel test-nc/kc does not exist");
    assert_eq!(outcome.problems[0].field.as_deref(), Some("spec.channel"));
    let elsewhere = object(&json!({
        "apiVersion": "messaging.knative.dev/v1", "kind": "Subscription", "metadata": {"name": "one", "namespace": "test-nc"},
        "spec": {"channel": {"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel", "name": "kc", "namespace": "b"},
                 "subscriber": {"uri": "http://a"}}
    }));
    let outcome = reconcile(all(vec![bootstrap(), kc(&json!({})), elsewhere]), &settings(), &Observed::default());
    assert_eq!((outcome.subscriptions.len(), subscription(&outcome)), (1, (Truth::False, "ChannelReferenceFailed")));
    let other_kind = object(&json!({
        "apiVersion": "messaging.knative.dev/v1", "kind": "Subscription", "metadata": {"name": "s"},
        "spec": {"channel": {"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel", "name": "kc"},
                 "subscriber": {"uri": "http://a"}}
    }));
    let outcome = reconcile(all(vec![other_kind]), &settings(), &Observed::default());
    assert!(outcome.subscriptions[0].message.contains("InMemoryChannel"), "{:?}", outcome.subscriptions);
}

#[test]
fn fields_behind_disabled_features_make_that_subscription_not_ready() {
    let spec = |delivery: Value| json!({"subscriber": {"uri": "http://a"}, "delivery": delivery});
    let check = |delivery: Value, features: &[(&str, &str)], ready: Truth| {
        let objects = [
            bootstrap(),
            kc(&json!({})),
            sub("one", SUB_1, &spec(delivery)),
            config_map("knative-eventing", "config-features", features),
        ];
        let (outcome, _) = settle(&objects, &settings(), Observed::default());
        assert_eq!(outcome.subscriptions[0].ready, ready, "{:?}", outcome.subscriptions);
    };
    check(json!({"timeout": "PT1S"}), &[], Truth::True);
    check(json!({"timeout": "PT1S"}), &[("delivery-timeout", "disabled")], Truth::False);
    check(json!({"retryAfterMax": "PT1S"}), &[], Truth::False);
    check(json!({"retryAfterMax": "PT1S"}), &[("delivery-retryafter", "enabled")], Truth::True);
}

#[test]
fn a_probe_that_fails_is_told_with_its_code() {
    let (_, mut observed) = settle(&objects(), &settings(), Observed::default());
    for (probe, message) in [
        (Probe::NotReady(404), "status: NotReady (the ingress answered 404)"),
        (Probe::Unreachable("refused".to_owned()), "status: UnknownErr (refused)"),
    ] {
        observed.probes.insert(UID.to_owned(), probe);
        let outcome = reconcile(all(objects()), &settings(), &observed);
        assert_eq!(condition(&outcome, "ProbeSucceeded"), (Truth::False, "ProbeStatus".to_owned(), message.to_owned()));
        assert_eq!(
            (outcome.channels[0].ready, subscription(&outcome)),
            (Truth::False, (Truth::False, "ProbeSucceeded"))
        );
    }
}

#[test]
fn removing_documents_removes_entries_and_facts() {
    let (_, mut observed) = settle(&objects(), &settings(), Observed::default());
    let outcome = reconcile(all(vec![bootstrap()]), &settings(), &observed);
    assert_eq!((outcome.contract.resources.len(), outcome.probes.len()), (0, 0));
    observed.forget(&outcome);
    assert!(observed.topics.is_empty() && observed.groups.is_empty() && observed.probes.is_empty());
}

#[test]
fn two_channels_with_one_topic_ask_for_it_once() {
    let other =
        object(&json!({"apiVersion": "messaging.knative.dev/v1", "kind": "KafkaChannel", "metadata": {"name": "b"}}));
    let template = config_map("knative-eventing", "config-kafka-features", &[("channels-topic-template", "all")]);
    let outcome = reconcile(all(vec![bootstrap(), kc(&json!({})), other, template]), &settings(), &Observed::default());
    assert_eq!(outcome.topics.len(), 1);
}

#[test]
fn a_service_is_a_problem_only_outside_a_cluster_and_only_when_its_name_leads_nowhere() {
    let host = "billing.test-nc.svc.cluster.local";
    let reference = json!({"subscriber": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "billing"}}});
    let objects = [bootstrap(), kc(&json!({})), sub("one", SUB_1, &reference)];
    let problems = |addressing: Addressing, is_known: bool| {
        let settings = Settings { addressing, ..settings() };
        let observed = Observed { names: [(host.to_owned(), is_known)].into(), ..Observed::default() };
        let outcome = reconcile(all(objects.to_vec()), &settings, &observed);
        (outcome.wanted.names.into_iter().collect::<Vec<_>>(), outcome.problems)
    };
    let laptop = || Addressing::Ingress { url: "http://127.0.0.1:8080".to_owned() };
    let (names, found) = problems(laptop(), false);
    assert_eq!(names, [host]);
    assert!(found[0].message.contains("use uri here"), "{found:?}");
    assert_eq!(problems(laptop(), true).1, []);
    assert_eq!(problems(Addressing::Cluster { domain: DEFAULT_DOMAIN.to_owned() }, true), (Vec::new(), Vec::new()));
}
