//! What a contract makes of the egresses that run. Nothing listens where their brokers should be, which they survive.

use std::time::Duration;

use millrace_config::contract::parse;
use millrace_config::properties::{Properties, http_client, kafka};
use millrace_runtime::cluster::Cluster;
use millrace_runtime::testing::{ApiServer, secret_path};

use super::*;
use crate::pipeline::PipelineSettings;
use crate::testing;

struct Bench {
    egresses: Egresses,
    settings: Arc<Settings>,
}

impl Bench {
    fn new() -> Self {
        Self::in_cluster(&testing::no_cluster())
    }

    fn in_cluster(cluster: &Cluster) -> Self {
        let properties = Properties::new();
        let settings = Settings {
            producer: kafka::producer(&properties).unwrap(),
            pipeline: PipelineSettings {
                consumer: kafka::consumer(&properties).unwrap(),
                client: http_client::http_client(&properties).unwrap(),
            },
        };
        let egresses = Egresses::new(testing::common(cluster), Drain::new(Duration::from_secs(10)));
        Self { egresses, settings: Arc::new(settings) }
    }

    /// Each egress is its uid and its destination.
    fn apply(&mut self, egresses: &[(&str, &str)]) {
        let egresses: Vec<_> = egresses
            .iter()
            .map(|(uid, url)| format!(r#"{{"uid":"{uid}","consumerGroup":"g-{uid}","destination":"{url}"}}"#))
            .collect();
        let contract = format!(
            r#"{{"generation":"1","resources":[{{"uid":"r","topics":["orders"],"bootstrapServers":"127.0.0.1:1",
            "egresses":[{}]}}]}}"#,
            egresses.join(",")
        );
        self.egresses.apply(&parse(contract.as_bytes()).unwrap(), &self.settings);
    }

    /// Waits until exactly these run, each with its destination.
    async fn wait_for(&mut self, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(uid, url)| ((*uid).to_owned(), (*url).to_owned())).collect();
        let mut found = Vec::new();
        let reached = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let statuses = self.egresses.statuses().borrow().clone();
                found = statuses
                    .into_iter()
                    .filter_map(|(uid, status)| Some((uid, status.borrow().clone()?)))
                    .filter(|(_uid, status)| status.state == "running")
                    .map(|(uid, status)| (uid, status.destination))
                    .collect();
                if found == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(reached.await.is_ok(), "{found:?} run, not {expected:?}");
    }
}

#[tokio::test]
async fn egresses_come_change_and_go_with_the_contract() {
    let mut bench = Bench::new();
    bench.apply(&[("a", "http://a/"), ("b", "http://b/")]);
    bench.wait_for(&[("a", "http://a/"), ("b", "http://b/")]).await;
    bench.apply(&[("a", "http://a/changed")]);
    bench.wait_for(&[("a", "http://a/changed")]).await;
    bench.apply(&[("a", "http://a/changed"), ("b", "http://b/")]);
    bench.wait_for(&[("a", "http://a/changed"), ("b", "http://b/")]).await;
    bench.egresses.stop(Instant::now() + Duration::from_secs(10)).await;
}

#[tokio::test]
async fn an_egress_whose_new_version_is_refused_keeps_the_one_that_runs() {
    let mut bench = Bench::new();
    bench.apply(&[("a", "http://a/"), ("b", "http://b/")]);
    bench.wait_for(&[("a", "http://a/"), ("b", "http://b/")]).await;
    bench.apply(&[("a", "nonsense")]);
    bench.wait_for(&[("a", "http://a/")]).await;
    bench.apply(&[]);
    bench.wait_for(&[]).await;
    bench.egresses.stop(Instant::now() + Duration::from_secs(10)).await;
}

#[tokio::test]
async fn an_egress_that_cannot_start_hurts_nobody_and_says_why() {
    let mut bench = Bench::new();
    let contract = r#"{"generation":"1","resources":[{"uid":"r","topics":["orders"],"bootstrapServers":"127.0.0.1:1",
        "egresses":[{"uid":"bad","consumerGroup":"g1","destination":"http://a/","dialectedFilter":[{"cesql":{"expression":"id ="}}]},
        {"uid":"good","consumerGroup":"g2","destination":"http://b/"}]}]}"#;
    bench.egresses.apply(&parse(contract.as_bytes()).unwrap(), &bench.settings);
    bench.wait_for(&[("good", "http://b/")]).await;
    let mut bad = bench.egresses.statuses().borrow()["bad"].clone();
    let status = bad.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!(status.state, "failed");
    assert!(status.error.unwrap().contains("id ="));
    bench.egresses.stop(Instant::now() + Duration::from_secs(10)).await;
}

/// A contract of egresses, each with its uid and the Secret of its resource.
fn guarded(egresses: &[(&str, &str, &str)]) -> Contract {
    let resources: Vec<_> = egresses
        .iter()
        .map(|(uid, secret, version)| {
            format!(
                r#"{{"uid":"r-{uid}","topics":["orders"],"bootstrapServers":"127.0.0.1:1",
                "authSecret":{{"namespace":"ns","name":"{secret}","version":"{version}"}},
                "egresses":[{{"uid":"{uid}","consumerGroup":"g-{uid}","destination":"http://{uid}/"}}]}}"#
            )
        })
        .collect();
    let contract = format!(r#"{{"generation":"1","resources":[{}]}}"#, resources.join(","));
    parse(contract.as_bytes()).unwrap()
}

struct Guarded {
    bench: Bench,
    api: ApiServer,
    _folder: tempfile::TempDir,
}

impl Guarded {
    fn new() -> Self {
        let (api, folder) = (ApiServer::start(), tempfile::tempdir().unwrap());
        let cluster = Cluster::of_kubeconfig(api.kubeconfig(folder.path()), Duration::from_secs(60));
        Self { bench: Bench::in_cluster(&cluster), api, _folder: folder }
    }

    fn apply(&mut self, egresses: &[(&str, &str, &str)]) {
        self.bench.egresses.apply(&guarded(egresses), &self.bench.settings);
    }

    async fn status(&self, uid: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let mut status = self.bench.egresses.statuses().borrow()[uid].clone();
        let found = status.wait_for(|status| status.as_ref().is_some_and(&wanted));
        let found = tokio::time::timeout(Duration::from_secs(20), found).await;
        found.unwrap_or_else(|_| panic!("{uid} never got there")).unwrap().clone().unwrap()
    }

    fn reads(&self) -> usize {
        self.api.count("GET", &secret_path("ns", ""))
    }

    async fn stop(self) {
        self.bench.egresses.stop(Instant::now() + Duration::from_secs(10)).await;
    }
}

fn runs(status: &Status) -> bool {
    status.state == "running" && status.error.is_none()
}

#[tokio::test]
async fn egresses_with_one_secret_read_it_once() {
    let mut it = Guarded::new();
    it.api.secret("ns", "kafka", [("protocol", "PLAINTEXT")]);
    let uids: Vec<_> = (0..20).map(|number| format!("e{number}")).collect();
    let egresses: Vec<_> = uids.iter().map(|uid| (uid.as_str(), "kafka", "1")).collect();
    it.apply(&egresses);
    for uid in &uids {
        it.status(uid, runs).await;
    }
    assert_eq!(it.reads(), 1);
    it.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_missing_stops_its_egress_only_and_is_found_when_it_comes() {
    let mut it = Guarded::new();
    it.api.secret("ns", "kafka", [("protocol", "PLAINTEXT")]);
    it.apply(&[("a", "kafka", "1"), ("b", "late", "1"), ("c", "late", "1")]);
    it.status("a", runs).await;
    let failed = it.status("b", |status| status.error.is_some()).await;
    assert_eq!((failed.state, failed.error.as_deref()), ("failed", Some("Secret ns/late not found")));
    it.api.secret("ns", "late", [("protocol", "PLAINTEXT")]);
    it.status("b", runs).await;
    it.status("c", runs).await;
    assert_eq!(it.api.count("GET", &secret_path("ns", "late")), 2, "one reading for both, twice");
    it.stop().await;
}

#[tokio::test]
async fn an_api_server_that_hangs_delays_neither_others_nor_later_contracts_nor_the_end() {
    let mut it = Guarded::new();
    it.api.secret("ns", "kafka", [("protocol", "PLAINTEXT")]);
    it.api.hang(&secret_path("ns", "hung"));
    it.apply(&[("a", "hung", "1"), ("b", "kafka", "1")]);
    it.status("b", runs).await;
    assert_eq!(it.status("a", |_| true).await.state, "waits for its Secret");
    it.apply(&[("a", "kafka", "1"), ("b", "kafka", "1"), ("c", "hung", "1")]);
    it.status("a", runs).await;
    let begun = Instant::now();
    it.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn a_rotation_that_fails_leaves_the_version_that_runs() {
    let mut it = Guarded::new();
    it.api.secret("ns", "kafka", [("protocol", "PLAINTEXT")]);
    it.apply(&[("a", "kafka", "1")]);
    it.status("a", runs).await;
    it.api.secret("ns", "kafka", [("protocol", "SASL_SSL"), ("sasl.mechanism", "OAUTHBEARER")]);
    it.apply(&[("a", "kafka", "2")]);
    let status = it.status("a", |status| status.error.is_some()).await;
    assert_eq!(status.state, "running", "the version before goes on");
    assert!(status.error.unwrap().contains("needs a source of tokens"));
    // This one passes every check but the client's own.
    it.api.secret("ns", "kafka", [("protocol", "SSL"), ("user.crt", "no certificate"), ("user.key", "s3cret")]);
    it.apply(&[("a", "kafka", "3")]);
    let refused = |status: &Status| status.error.as_ref().is_some_and(|error| error.contains("refused its settings"));
    let status = it.status("a", refused).await;
    assert_eq!(status.state, "running", "the version before goes on");
    assert!(!format!("{status:?}").contains("s3cret"));
    it.api.secret("ns", "kafka", [("protocol", "PLAINTEXT")]);
    it.apply(&[("a", "kafka", "4")]);
    it.status("a", runs).await;
    it.stop().await;
}
