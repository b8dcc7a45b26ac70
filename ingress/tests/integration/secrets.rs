//! Targets whose credentials are in Secrets: an API server that is missing, slow or wrong is their problem alone.
//!
//! The Secrets ask for PLAINTEXT, which is all that the embedded broker speaks; `tests/tests/kafka` has the rest.

use std::time::{Duration, Instant};

use millrace_runtime::cluster::Cluster;
use millrace_runtime::testing::{ApiServer, secret_path};
use serde_json::{Value, json};

use super::harness::*;

struct Fixture {
    api: ApiServer,
    broker: Broker,
    harness: Harness,
}

fn fixture() -> Fixture {
    Fixture { api: ApiServer::start(), broker: Broker::with_topic("orders"), harness: Harness::new() }
}

impl Fixture {
    fn plain(&self, uid: &str) -> Value {
        resource(uid, "orders", &self.broker.bootstrap_servers(), json!({"path": format!("/{uid}")}))
    }

    fn guarded(&self, uid: &str, secret: &str, version: &str) -> Value {
        let mut resource = self.plain(uid);
        resource["authSecret"] = json!({"namespace": "ns", "name": secret, "version": version});
        resource
    }

    async fn start(&self) -> millrace_ingress::app::Running {
        let mut settings = millrace_ingress::settings::Settings::read(&self.harness.env).unwrap();
        settings.cluster = Cluster::of_kubeconfig(self.api.kubeconfig(self.harness.folder.path()), LIMIT);
        let running = millrace_ingress::app::start(settings).await.unwrap();
        until_status(running.address(), "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 200).await;
        running
    }

    fn reads(&self) -> usize {
        self.api.count("GET", &secret_path("ns", ""))
    }
}

#[tokio::test]
async fn a_target_with_a_secret_is_routed_before_the_process_is_ready() {
    let mut it = fixture();
    it.api.secret("ns", "kafka", [("protocol", "PLAINTEXT")]);
    it.harness.contract(&[it.guarded("a", "kafka", "1")]);
    let running = it.start().await;
    assert_eq!(ask(running.address(), event("/a")).await.status, 202);
    assert_eq!(it.reads(), 1);
    running.drain().await;
}

#[tokio::test]
async fn an_api_server_that_hangs_delays_only_who_needs_it_and_no_later_contract() {
    let mut it = fixture();
    it.api.hang(&secret_path("ns", ""));
    it.harness.contract(&[it.plain("a"), it.guarded("b", "kafka", "1")]);
    let begun = Instant::now();
    let running = it.start().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "readiness waits a moment, not for the API server");
    assert_eq!(ask(running.address(), event("/a")).await.status, 202);
    assert_eq!(ask(running.address(), event("/b")).await.status, 404);
    it.harness.contract(&[it.plain("a"), it.guarded("b", "kafka", "1"), it.plain("c")]);
    until_status(running.address(), &event("/c"), 202).await;
    assert!(admin(&running, "/debug/routes").await.contains("waits for its Secret"));
    let begun = Instant::now();
    assert!(running.drain().await);
    assert!(begun.elapsed() < Duration::from_secs(8), "leaving does not wait for the API server");
}

#[tokio::test]
async fn a_secret_that_comes_late_is_found_without_another_contract() {
    let mut it = fixture();
    it.harness.contract(&[it.plain("a"), it.guarded("b", "kafka", "1")]);
    let running = it.start().await;
    until("the reason", async || {
        admin(&running, "/debug/routes").await.contains("Secret ns/kafka not found").then_some(())
    })
    .await;
    it.api.secret("ns", "kafka", [("protocol", "PLAINTEXT")]);
    until_status(running.address(), &event("/b"), 202).await;
    running.drain().await;
}

#[tokio::test]
async fn a_rotation_that_fails_leaves_the_older_version_in_force() {
    let mut it = fixture();
    it.api.secret("ns", "kafka", [("protocol", "PLAINTEXT")]);
    it.harness.contract(&[it.guarded("a", "kafka", "1")]);
    let running = it.start().await;
    it.api.secret("ns", "kafka", [("protocol", "SASL_PLAINTEXT"), ("user", "alice"), ("password", "  ")]);
    it.harness.contract(&[it.guarded("a", "kafka", "2")]);
    let routes = until("the reason", async || {
        let routes = admin(&running, "/debug/routes").await;
        routes.contains("protocol SASL_PLAINTEXT needs user and password").then_some(routes)
    })
    .await;
    assert!(routes.contains("older version in force"), "{routes}");
    assert_eq!(ask(running.address(), event("/a")).await.status, 202);
    running.drain().await;
}

#[tokio::test]
async fn a_stored_event_makes_its_event_type_known_where_the_contract_asks_for_it() {
    let mut it = fixture();
    let mut learning = it.plain("a");
    learning["featureFlags"] = json!({"enableEventTypeAutocreate": true});
    it.harness.contract(&[learning, it.plain("b")]);
    let running = it.start().await;
    for path in ["/a", "/a", "/b"] {
        assert_eq!(ask(running.address(), event(path)).await.status, 202);
    }
    let path = "/apis/eventing.knative.dev/v1beta2/namespaces/ns/eventtypes";
    until("the EventType", async || (it.api.count("POST", path) > 0).then_some(())).await;
    let created = it.api.seen().into_iter().filter(|seen| seen.method == "POST").collect::<Vec<_>>();
    assert_eq!(created.len(), 1, "{created:?}");
    assert_eq!(created[0].body["spec"]["type"], "test.type");
    assert_eq!(created[0].body["spec"]["reference"]["name"], "a");
    running.drain().await;
}

#[tokio::test]
async fn each_stored_event_of_a_batch_makes_its_event_type_known() {
    let mut it = fixture();
    let mut learning = it.plain("a");
    learning["featureFlags"] = json!({"enableEventTypeAutocreate": true});
    it.harness.contract(&[learning]);
    let running = it.start().await;
    let event = |ty: &str| json!({"specversion": "1.0", "id": "1", "source": "/s", "type": ty});
    let body = json!([event("first"), event("second")]).to_string();
    let batch = request("/a", &[("content-type", "application/cloudevents-batch+json")], &body);
    assert_eq!(ask(running.address(), batch).await.status, 202);
    let path = "/apis/eventing.knative.dev/v1beta2/namespaces/ns/eventtypes";
    until("both EventTypes", async || (it.api.count("POST", path) == 2).then_some(())).await;
    running.drain().await;
}

#[tokio::test]
async fn an_event_type_that_cannot_be_created_never_touches_the_answer() {
    let mut it = fixture();
    it.api.hang("/apis/");
    let mut learning = it.plain("a");
    learning["featureFlags"] = json!({"enableEventTypeAutocreate": true});
    it.harness.contract(&[learning]);
    let running = it.start().await;
    for number in 0..500 {
        let request = request("/a", &[("ce-type", &format!("type-{number}"))], "x");
        assert_eq!(ask(running.address(), request).await.status, 202);
    }
    let metrics = admin(&running, "/metrics").await;
    let dropped =
        metrics.lines().find_map(|line| line.strip_prefix("millrace_event_types_total{outcome=\"dropped\"} "));
    // One is being created, 256 wait.
    assert!(matches!(dropped, Some("243" | "244")), "{dropped:?}");
    assert!(running.drain().await);
}
