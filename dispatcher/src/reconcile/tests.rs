//! What a contract makes of the egresses that run. Nothing listens where their brokers should be, which they survive.

use std::time::Duration;

use millrace_config::contract::parse;
use millrace_config::properties::{Properties, http_client, kafka};
use millrace_runtime::metrics::Metrics;

use super::*;
use crate::pipeline::PipelineSettings;

struct Bench {
    egresses: Egresses,
    settings: Arc<Settings>,
}

impl Bench {
    fn new() -> Self {
        let properties = Properties::new();
        let settings = Settings {
            producer: kafka::producer(&properties).unwrap(),
            pipeline: PipelineSettings {
                consumer: kafka::consumer(&properties).unwrap(),
                client: http_client::http_client(&properties).unwrap(),
            },
        };
        let metrics = DispatcherMetrics::register(&Metrics::new(), &crate::testing::metrics_env()).unwrap();
        Self { egresses: Egresses::new(metrics, Drain::new(Duration::from_secs(10))), settings: Arc::new(settings) }
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
