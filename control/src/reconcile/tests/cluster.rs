//! What only happens in a cluster: what may be created, who looks after whom, and how things go.

use std::sync::Arc;

use super::*;
use crate::accounts::{Accounts, ExistingAccount};
use crate::addressable::references::{Found, ReferenceKey, References};
use crate::reconcile::observed::Removal;
use crate::reconcile::plan::FINALIZER;

fn cluster() -> Settings {
    let place = ("knative-eventing".to_owned(), "kafka-channel-ingress-server-tls".to_owned());
    Settings { cluster: Some(ClusterSettings { ingress_host: "in".to_owned(), tls_secret: place }), ..settings() }
}

/// A channel that was recorded and has our finalizer.
fn engaged(spec: &Value) -> Object {
    let metadata = json!({"namespace": "test-nc", "name": "kc", "uid": UID, "finalizers": [FINALIZER]});
    object(&json!({
        "apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel", "metadata": metadata, "spec": spec,
        "status": {"annotations": {"default.topic": TOPIC}}
    }))
}

fn departing() -> Object {
    let Object::Channel(mut channel) = engaged(&json!({})) else { panic!("a channel") };
    channel.meta.departing = true;
    Object::Channel(channel)
}

fn group() -> GroupKey {
    GroupKey { topic: topic_key(), group: format!("kafka.test-nc.kc.{SUB_1}") }
}

fn subscriber() -> Object {
    sub("one", SUB_1, &json!({"subscriber": {"uri": "http://a"}}))
}

#[test]
fn no_topic_is_created_before_its_name_is_recorded_and_the_finalizer_is_there() {
    let new = reconcile(all(vec![bootstrap(), kc(&json!({}))]), &cluster(), &Observed::default());
    assert_eq!(new.topics, []);
    let known = reconcile(all(vec![bootstrap(), engaged(&json!({}))]), &cluster(), &Observed::default());
    assert_eq!(known.topics.len(), 1);
}

#[test]
fn subscriptions_are_knatives_as_soon_as_it_looks_after_one_of_a_channel() {
    let entry = json!([{"uid": SUB_2, "subscriberUri": "http://b"}]);
    let managed = [bootstrap(), engaged(&json!({"subscribers": entry})), subscriber()];
    let (outcome, _) = settle(&managed, &cluster(), Observed::default());
    let uids: Vec<&str> = outcome.contract.resources[0].egresses.iter().map(|egress| egress.uid.as_str()).collect();
    assert_eq!(uids, [SUB_2]);
    let (outcome, _) = settle(&[bootstrap(), engaged(&json!({})), subscriber()], &cluster(), Observed::default());
    assert_eq!(outcome.contract.resources[0].egresses.len(), 1);
    let Object::Subscription(mut marked) = subscriber() else { panic!("a subscription") };
    marked.meta.finalizers.push("subscriptions.messaging.knative.dev".to_owned());
    let objects = [bootstrap(), engaged(&json!({})), Object::Subscription(marked)];
    let (outcome, _) = settle(&objects, &cluster(), Observed::default());
    assert_eq!(outcome.contract.resources[0].egresses, []);
}

#[test]
fn subscriptions_that_we_deliver_to_stay_until_knative_has_written_them_into_the_channel() {
    let other = sub("two", SUB_2, &json!({"subscriber": {"uri": "http://b"}}));
    let ours = [bootstrap(), engaged(&json!({})), subscriber(), other.clone()];
    let (_, observed) = settle(&ours, &cluster(), Observed::default());
    let egresses = |written: &[&str], first: Object| {
        let entries: Vec<Value> =
            written.iter().map(|uid| json!({"uid": uid, "subscriberUri": "http://knative"})).collect();
        let objects = [bootstrap(), engaged(&json!({"subscribers": entries})), first, other.clone()];
        let (outcome, _) = settle(&objects, &cluster(), observed.clone());
        assert_eq!(outcome.leaving.len(), 2 - outcome.contract.resources[0].egresses.len());
        let of_contract = outcome.contract.resources[0].egresses.iter();
        let mut found: Vec<_> = of_contract.map(|egress| (egress.uid.clone(), egress.destination.clone())).collect();
        found.sort();
        found
    };
    let pair = |uid: &str, uri: &str| (uid.to_owned(), uri.to_owned());
    let Object::Subscription(mut marked) = subscriber() else { panic!("a subscription") };
    marked.meta.finalizers.push("subscriptions.messaging.knative.dev".to_owned());
    let first = || Object::Subscription(marked.clone());
    assert_eq!(egresses(&[], first()), [pair(SUB_1, "http://a"), pair(SUB_2, "http://b")]);
    assert_eq!(egresses(&[SUB_1], first()), [pair(SUB_1, "http://knative"), pair(SUB_2, "http://b")]);
    assert_eq!(egresses(&[SUB_1, SUB_2], first()), [pair(SUB_1, "http://knative"), pair(SUB_2, "http://knative")]);
    // Knative takes one that is deleted out of the channel, and nobody may bring it back.
    let mut departing = marked.clone();
    departing.meta.departing = true;
    assert_eq!(egresses(&[SUB_2], Object::Subscription(departing)), [pair(SUB_2, "http://knative")]);
}

#[test]
fn with_tokens_a_subscription_enters_the_contract_when_its_account_is_there() {
    let features = config_map("knative-eventing", "config-features", &[("authentication-oidc", "enabled")]);
    let objects = [bootstrap(), features, engaged(&json!({})), subscriber()];
    let (outcome, mut observed) = settle(&objects, &cluster(), Observed::default());
    assert_eq!(outcome.contract.resources[0].egresses, []);
    let subscription = &outcome.subscriptions[0];
    assert_eq!((subscription.ready, subscription.reason.as_str()), (Truth::Unknown, "OIDCIdentityCreated"));
    assert_eq!(outcome.problems, [], "it only takes a moment");
    let name = "one-oidc-messaging.knative.dev-subscription".to_owned();
    let account = ExistingAccount { uid: "a".to_owned(), owner: SUB_1.to_owned() };
    observed.cluster.accounts = Accounts::Known([(("test-nc".to_owned(), name.clone()), account)].into());
    let (outcome, mut observed) = settle(&objects, &cluster(), observed);
    assert_eq!(outcome.contract.resources[0].egresses[0].oidc_service_account_name, name);
    assert_eq!(outcome.subscriptions[0].ready, Truth::True);
    // One that cannot be had any more takes nothing away that works, and is told.
    observed.cluster.accounts = Accounts::Unreadable("forbidden".to_owned());
    let (outcome, _) = settle(&objects, &cluster(), observed.clone());
    assert_eq!(outcome.contract.resources[0].egresses[0].oidc_service_account_name, name);
    assert_eq!(outcome.subscriptions[0].reason, "Unable to resolve service account for OIDC authentication");
    let without = [bootstrap(), engaged(&json!({})), subscriber()];
    let (outcome, _) = settle(&without, &cluster(), observed);
    assert_eq!(outcome.contract.resources[0].egresses[0].oidc_service_account_name, "");
}

#[test]
fn an_unready_subscriber_makes_its_channel_unready_here() {
    let bad = sub("one", SUB_1, &json!({"subscriber": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "x"}}}));
    let observed = Observed {
        cluster: observed::ClusterFacts {
            references: References::Cluster(Arc::default()),
            ..observed::ClusterFacts::default()
        },
        ..Observed::default()
    };
    let (outcome, _) = settle(&[bootstrap(), engaged(&json!({})), bad.clone()], &cluster(), observed);
    assert_eq!(outcome.channels[0].ready, Truth::False);
    assert!(outcome.subscriptions[0].message.contains("Service test-nc/x does not exist"));
    let key = ReferenceKey {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: "test-nc".to_owned(),
        name: "x".to_owned(),
    };
    let known = References::Cluster(Arc::new([(key, Found::Service)].into()));
    let cluster_facts = observed::ClusterFacts { references: known, ..observed::ClusterFacts::default() };
    let observed = Observed { cluster: cluster_facts, ..Observed::default() };
    let (outcome, _) = settle(&[bootstrap(), engaged(&json!({})), bad], &cluster(), observed);
    assert_eq!(outcome.channels[0].ready, Truth::True);
}

#[test]
fn a_group_is_deleted_once_the_contract_without_it_is_in_force_and_remembered_until_then() {
    let (_, mut observed) = settle(&[bootstrap(), engaged(&json!({})), subscriber()], &cluster(), Observed::default());
    let left = all(vec![bootstrap(), engaged(&json!({}))]);
    let first = reconcile(left.clone(), &cluster(), &observed);
    assert_eq!((first.leaving.len(), first.remove_groups.len()), (1, 0));
    observed.published = Published::from(&first.contract);
    observed.leaving = first.leaving;
    let second = reconcile(left.clone(), &cluster(), &observed);
    assert_eq!(second.remove_groups, [group()]);
    observed.removed_groups.insert(group(), Removal::Failed("it has members".to_owned()));
    assert_eq!(reconcile(left.clone(), &cluster(), &observed).remove_groups, [group()]);
    observed.removed_groups.insert(group(), Removal::Gone);
    assert_eq!(reconcile(left, &cluster(), &observed).leaving.len(), 0);
}

#[test]
fn a_deleted_channel_goes_step_by_step() {
    let (_, mut observed) = settle(&[bootstrap(), engaged(&json!({})), subscriber()], &cluster(), Observed::default());
    let objects = all(vec![bootstrap(), departing()]);
    let step = |observed: &Observed| {
        let outcome = reconcile(objects.clone(), &cluster(), observed);
        let reason = outcome.departures[0].conditions.first().map(|condition| condition.kind.clone());
        (outcome, reason.unwrap_or_default())
    };
    let (outcome, reason) = step(&observed);
    assert_eq!((reason.as_str(), outcome.farewells.len()), ("ConfigMapUpdated", 0));
    observed.published = Published::from(&outcome.contract);
    observed.leaving = outcome.leaving;
    let (outcome, _) = step(&observed);
    assert_eq!((outcome.farewells.len(), outcome.remove_topics.len()), (1, 0));
    observed.gone.insert(UID.to_owned(), (Probe::NotReady(404), 1));
    let (outcome, _) = step(&observed);
    assert_eq!((outcome.remove_groups.len(), outcome.remove_topics.len()), (1, 1));
    assert!(!outcome.departures[0].finished);
    observed.removed_groups.insert(group(), Removal::Gone);
    observed.removed_topics.insert(topic_key(), Removal::Gone);
    assert!(step(&observed).0.departures[0].finished);
}

#[test]
fn an_ingress_that_never_answers_and_a_channel_that_is_overdue_do_not_wait_for_ever() {
    let mut observed = Observed::default();
    let objects = all(vec![bootstrap(), departing()]);
    observed.gone.insert(UID.to_owned(), (Probe::Unreachable("refused".to_owned()), 4));
    assert_eq!(reconcile(objects.clone(), &cluster(), &observed).farewells.len(), 1);
    observed.gone.insert(UID.to_owned(), (Probe::Unreachable("refused".to_owned()), 5));
    let topics = reconcile(objects.clone(), &cluster(), &observed).remove_topics;
    assert_eq!(topics, [(topic_key(), "kafka.test-nc.kc.".to_owned())].into());
    observed.removed_topics.insert(topic_key(), Removal::Failed("not authorised".to_owned()));
    observed.overdue.insert(UID.to_owned());
    let outcome = reconcile(objects, &cluster(), &observed);
    assert!(outcome.departures[0].finished);
    assert!(outcome.departures[0].left_behind[0].contains("not authorised"));
}

#[test]
fn a_group_whose_subscription_went_before_it_was_in_the_contract_is_not_forgotten() {
    let mut observed = Observed::default();
    observed.topics.insert(topic_key(), Progress::Done);
    observed.groups.insert(group(), Progress::Done);
    let outcome = reconcile(all(vec![bootstrap(), engaged(&json!({}))]), &cluster(), &observed);
    assert_eq!(outcome.leaving, [group()].into());
    observed.forget(&outcome);
    assert_eq!(observed.groups.len(), 1);
    observed.leaving = outcome.leaving.clone();
    observed.forget(&outcome);
    assert_eq!((observed.groups.len(), observed.leaving.len()), (0, 1));
}
