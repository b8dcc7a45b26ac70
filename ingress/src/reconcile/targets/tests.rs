//! From contract to contract: what is kept, what is made anew, what is refused.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use http::Request;
use http::request::Parts;
use millrace_config::contract;
use millrace_config::contract::credentials::{TokenSource, Unsecured};
use millrace_config::env::AwsEnv;
use millrace_config::properties::{Properties, kafka};
use millrace_runtime::cluster::Cluster;
use millrace_runtime::drain::Drain;
use millrace_runtime::kafka_tokens::KafkaTokens;
use millrace_runtime::metrics::Metrics;
use millrace_runtime::secrets::Secrets;
use millrace_runtime::testing::ApiServer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::super::Reader;
use super::*;

struct Bench {
    targets: Targets,
    produce: Produce,
    metrics: Metrics,
    generation: u64,
    api: ApiServer,
    /// One message a reading.
    read: Receiver<()>,
    _folder: TempDir,
    _runtime: Runtime,
}

fn bench() -> Bench {
    let metrics = Metrics::new();
    let ingress_metrics = IngressMetrics::register(&metrics, true).unwrap();
    let (api, folder, runtime) = (ApiServer::start(), TempDir::new().unwrap(), Runtime::new().unwrap());
    let (wake, read) = channel();
    let drain = Drain::new(Duration::ZERO);
    let cluster = Cluster::of_kubeconfig(api.kubeconfig(folder.path()), Duration::from_secs(10));
    let event_types = EventTypes::new(cluster.clone(), drain.clone(), &metrics).unwrap();
    let reader = {
        let _runtime = runtime.enter();
        Reader::new(Secrets::new(cluster), drain.clone())
    };
    let vault = Vault::new(reader, move || wake.send(()).unwrap_or_default());
    let tokens = KafkaTokens::new(AwsEnv::default(), drain.clone());
    let pool = Pool::new(drain, None, tokens);
    let targets = Targets::new(pool, vault, event_types, ingress_metrics);
    let settings = kafka::producer(&Properties::new()).unwrap();
    let produce = Produce { settings, revision: 0 };
    Bench { targets, produce, metrics, generation: 0, api, read, _folder: folder, _runtime: runtime }
}

impl Bench {
    fn apply(&mut self, resources: &[Value]) -> Applied {
        self.generation += 1;
        let contract = json!({"generation": self.generation, "resources": resources}).to_string();
        self.targets.apply(&contract::parse(contract.as_bytes()).unwrap(), &self.produce)
    }

    /// Applies once more when a reading has ended, as the reconciler does.
    fn apply_when_read(&mut self, resources: &[Value]) -> Applied {
        self.read.recv_timeout(Duration::from_secs(10)).expect("a reading ends");
        self.apply(resources)
    }

    fn reads(&self) -> usize {
        self.api.count("GET", "/api/v1/namespaces/ns/secrets/")
    }
}

/// A resource with its credentials in version `version` of the Secret `ns/s`.
fn with_secret(resource: Value, version: &str) -> Value {
    with(resource, "authSecret", json!({"name": "s", "namespace": "ns", "version": version}))
}

fn resource(uid: &str, path: &str) -> Value {
    json!({
        "uid": uid, "topics": [format!("topic-{uid}")], "bootstrapServers": "localhost:1",
        "ingress": {"path": path}, "reference": {"kind": "KafkaChannel", "namespace": "ns", "name": uid},
    })
}

fn with(mut resource: Value, key: &str, value: Value) -> Value {
    resource[key] = value;
    resource
}

fn head(path: &str) -> Parts {
    Request::post(path).header("host", "nowhere").body(()).unwrap().into_parts().0
}

fn find(applied: &Applied, path: &str) -> Option<Arc<Target>> {
    applied.table.resolve(&head(path)).ok()
}

#[track_caller]
fn check_states(applied: &Applied, expected: &[(&str, &str)]) {
    let found: Vec<_> = applied.report.targets.iter().map(|target| (target.uid(), target.state)).collect();
    assert_eq!(found, expected);
}

#[test]
fn an_unchanged_resource_keeps_its_target_and_a_changed_one_gets_a_new_one() {
    let mut bench = bench();
    let first = bench.apply(&[resource("a", "/a"), resource("b", "/b")]);
    let changed = with(resource("b", "/b"), "topics", json!(["other"]));
    let second = bench.apply(&[resource("a", "/a"), changed]);
    let target = |applied, path| find(applied, path).unwrap();
    assert!(Arc::ptr_eq(&target(&first, "/a"), &target(&second, "/a")));
    assert_eq!((target(&first, "/b").topic(), target(&second, "/b").topic()), ("topic-b", "other"));
    // Both talk to the same brokers in the same way.
    assert!(Arc::ptr_eq(&target(&first, "/b").producer, &target(&second, "/b").producer));
}

#[test]
fn of_a_thousand_resources_only_the_one_that_changes_is_made_anew() {
    let mut bench = bench();
    let named = |number: usize| resource(&format!("r{number}"), &format!("/r{number}"));
    let mut resources: Vec<_> = (0..1000).map(named).collect();
    let mut before = bench.apply(&resources);
    for changing in [0, 500, 999] {
        resources[changing] = with(named(changing), "topics", json!([format!("other-{changing}")]));
        let after = bench.apply(&resources);
        let target = |applied, number| find(applied, &format!("/r{number}")).unwrap();
        let is_new = |number: &usize| !Arc::ptr_eq(&target(&before, *number), &target(&after, *number));
        assert_eq!((0..1000).filter(is_new).collect::<Vec<_>>(), [changing]);
        before = after;
    }
}

#[test]
fn a_changed_resource_goes_on_counting_where_it_was() {
    let mut bench = bench();
    let latency = Duration::from_millis(1);
    let first = bench.apply(&[resource("a", "/a")]);
    find(&first, "/a").unwrap().measure("t", http::StatusCode::ACCEPTED, latency);
    let second = bench.apply(&[with(resource("a", "/a"), "topics", json!(["other"]))]);
    drop(first);
    find(&second, "/a").unwrap().measure("t", http::StatusCode::ACCEPTED, latency);
    let text = bench.metrics.text();
    let count = text.lines().find(|line| line.starts_with("kn_eventing_dispatch_latency_ms_count")).unwrap_or_default();
    assert!(count.ends_with(" 2"), "{text}");
}

#[test]
fn what_only_concerns_the_dispatcher_changes_nothing_here_and_a_feature_flag_does() {
    let mut bench = bench();
    let first = bench.apply(&[resource("a", "/a")]);
    let egresses = json!([{"uid": "e", "consumerGroup": "g", "destination": "http://subscriber"}]);
    let second = bench.apply(&[with(resource("a", "/a"), "egresses", egresses)]);
    assert!(Arc::ptr_eq(&find(&first, "/a").unwrap(), &find(&second, "/a").unwrap()));
    let flagged = with(resource("a", "/a"), "featureFlags", json!({"enableEventTypeAutocreate": true}));
    let third = bench.apply(&[flagged]);
    assert!(!Arc::ptr_eq(&find(&first, "/a").unwrap(), &find(&third, "/a").unwrap()));
}

#[test]
fn other_producer_properties_replace_every_producer() {
    let mut bench = bench();
    let first = bench.apply(&[resource("a", "/a")]);
    bench.produce.revision += 1;
    let second = bench.apply(&[resource("a", "/a")]);
    assert!(!Arc::ptr_eq(&find(&first, "/a").unwrap().producer, &find(&second, "/a").unwrap().producer));
}

#[test]
fn removed_resources_and_those_without_ingress_lead_nowhere() {
    let mut bench = bench();
    bench.apply(&[resource("a", "/a"), resource("b", "/b")]);
    let second = bench.apply(&[with(resource("a", "/a"), "ingress", Value::Null)]);
    assert!(find(&second, "/a").is_none() && find(&second, "/b").is_none());
    check_states(&second, &[]);
}

#[test]
fn a_missing_secret_is_named_and_hurts_nobody_else() {
    let mut bench = bench();
    let plain = with(resource("c", "/c"), "multiAuthSecret", json!({"protocol": "PLAINTEXT"}));
    let resources = [resource("a", "/a"), with_secret(resource("b", "/b"), "1"), plain];
    let first = bench.apply(&resources);
    check_states(&first, &[("a", "in force"), ("b", "waits for its Secret"), ("c", "in force")]);
    assert!(first.reading && !first.retry && first.report.targets[1].reason.is_none());
    let applied = bench.apply_when_read(&resources);
    check_states(&applied, &[("a", "in force"), ("b", "refused"), ("c", "in force")]);
    assert!(find(&applied, "/a").is_some() && find(&applied, "/b").is_none() && find(&applied, "/c").is_some());
    assert_eq!(applied.report.targets[1].reason.as_deref(), Some("Secret ns/s not found"));
    assert!(applied.retry && !applied.reading);
    assert_eq!(bench.reads(), 1, "tried again only after a pause");
}

#[test]
fn all_resources_with_one_secret_are_one_read() {
    let mut bench = bench();
    bench.api.secret("ns", "s", [("protocol", "PLAINTEXT")]);
    let resource = |n: usize| with_secret(resource(&format!("r{n}"), &format!("/r{n}")), "1");
    let resources: Vec<_> = (0..500).map(resource).collect();
    assert!(bench.apply(&resources).reading);
    let applied = bench.apply_when_read(&resources);
    assert!(applied.report.targets.iter().all(|target| target.state == "in force"));
    assert_eq!(bench.reads(), 1);
    let more: Vec<_> = (0..501).map(resource).collect();
    assert!(!bench.apply(&more).reading, "the version is known");
    assert_eq!(bench.reads(), 1);
}

#[test]
fn another_version_of_a_secret_is_read_while_the_older_one_stays_in_force() {
    let mut bench = bench();
    bench.api.secret("ns", "s", [("protocol", "PLAINTEXT")]);
    bench.apply(&[with_secret(resource("a", "/a"), "1")]);
    let first = bench.apply_when_read(&[with_secret(resource("a", "/a"), "1")]);
    bench.api.secret("ns", "s", [("protocol", "SSL")]);
    let changed = [with_secret(resource("a", "/a"), "2")];
    let reading = bench.apply(&changed);
    check_states(&reading, &[("a", "older version in force")]);
    let bad = bench.apply_when_read(&changed);
    check_states(&bad, &[("a", "older version in force")]);
    let reason = bad.report.targets[0].reason.clone().unwrap();
    assert_eq!(reason, "Secret ns/s is not usable: protocol SSL needs user.crt and user.key");
    assert!(Arc::ptr_eq(&find(&bad, "/a").unwrap(), &find(&first, "/a").unwrap()));
    bench.api.secret("ns", "s", [("protocol", "SSL"), ("user.skip", "true")]);
    let again = [with_secret(resource("a", "/a"), "3")];
    bench.apply(&again);
    let good = bench.apply_when_read(&again);
    check_states(&good, &[("a", "in force")]);
    assert!(!Arc::ptr_eq(&find(&good, "/a").unwrap().producer, &find(&first, "/a").unwrap().producer));
}

#[test]
fn without_a_version_a_changed_resource_reads_its_secret_again() {
    let mut bench = bench();
    bench.api.secret("ns", "s", [("protocol", "PLAINTEXT")]);
    let old = [with_secret(resource("a", "/a"), "")];
    bench.apply(&old);
    bench.apply_when_read(&old);
    bench.apply(&old);
    assert_eq!(bench.reads(), 1, "an unchanged resource asks for nothing");
    let new = [with_secret(resource("a", "/new"), "")];
    bench.apply(&new);
    assert!(find(&bench.apply_when_read(&new), "/new").is_some());
    assert_eq!(bench.reads(), 2);
}

#[test]
fn tokens_without_a_source_are_refused_and_others_are_used() {
    let mut bench = bench();
    bench.api.secret("ns", "s", [("protocol", "SASL_SSL"), ("sasl.mechanism", "OAUTHBEARER")]);
    let resources = [with_secret(resource("a", "/a"), "1")];
    bench.apply(&resources);
    let refused = bench.apply_when_read(&resources);
    let reason = refused.report.targets[0].reason.clone().unwrap();
    assert!(reason.contains("needs a source of tokens") && reason.contains("callback.handler"), "{reason}");
    let me = Unsecured { principal: "me".to_owned(), ..Unsecured::default() };
    bench.produce.settings.tokens = Some(TokenSource::Unsecured(me));
    bench.produce.revision += 1;
    check_states(&bench.apply(&resources), &[("a", "in force")]);
}

#[test]
fn a_bad_update_leaves_the_older_version_in_force() {
    let mut bench = bench();
    bench.apply(&[resource("a", "/a")]);
    let secret = [with_secret(resource("a", "/new"), "1")];
    bench.apply(&secret);
    let applied = bench.apply_when_read(&secret);
    check_states(&applied, &[("a", "older version in force")]);
    assert!(find(&applied, "/a").is_some() && find(&applied, "/new").is_none());
    let refused = bench.apply(&[with(resource("a", "/a"), "topics", json!([]))]);
    check_states(&refused, &[("a", "older version in force")]);
    check_states(&bench.apply(&[resource("a", "/a")]), &[("a", "in force")]);
}

#[test]
fn an_older_version_gives_its_path_up_to_a_new_resource() {
    let mut bench = bench();
    bench.apply(&[resource("a", "/a")]);
    let moved = with_secret(resource("a", "/elsewhere"), "1");
    let applied = bench.apply(&[moved, resource("b", "/a")]);
    assert_eq!(find(&applied, "/a").unwrap().resource.uid, "b");
}

#[test]
fn the_second_of_two_with_one_path_is_refused_and_comes_into_force_when_the_first_goes() {
    let mut bench = bench();
    let both = bench.apply(&[resource("a", "/same"), resource("b", "/same")]);
    check_states(&both, &[("a", "in force"), ("b", "refused")]);
    assert_eq!(find(&both, "/same").unwrap().resource.uid, "a");
    let one = bench.apply(&[resource("b", "/same")]);
    check_states(&one, &[("b", "in force")]);
    assert_eq!(find(&one, "/same").unwrap().resource.uid, "b");
}

#[test]
fn a_producer_that_cannot_be_made_is_tried_again_and_the_others_work() {
    let mut bench = bench();
    let good = bench.produce.settings.clone();
    bench.produce.settings.client.insert("no.such.key".to_owned(), "1".to_owned());
    let failed = bench.apply(&[resource("a", "/a")]);
    assert!(failed.retry && find(&failed, "/a").is_none());
    bench.produce.settings = good;
    let applied = bench.apply(&[resource("a", "/a")]);
    assert!(!applied.retry && find(&applied, "/a").is_some());
}

#[test]
fn a_refusal_is_counted_once_however_often_the_contract_is_applied() {
    let mut bench = bench();
    let text = |bench: &Bench| bench.metrics.text();
    for _ in 0..3 {
        bench.apply(&[resource("a", "/same"), resource("b", "/same")]);
    }
    assert!(text(&bench).contains("millrace_ingress_target_refusals_total 1\n"));
    assert!(text(&bench).contains("millrace_ingress_targets_refused 1\n"));
    assert!(text(&bench).contains("millrace_ingress_targets 1\n"));
    assert!(text(&bench).contains("millrace_ingress_producers 1\n"));
    bench.apply(&[resource("a", "/same")]);
    bench.apply(&[resource("a", "/same"), resource("b", "/same")]);
    assert!(text(&bench).contains("millrace_ingress_target_refusals_total 2\n"));
}
