//! A laptop: an objects folder, a state folder, a broker with a topic endpoint, and an ingress that answers probes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, put};
use millrace_control::addressable::Addressing;
use millrace_control::directory::{self, Folders};
use millrace_control::metrics::ControlMetrics;
use millrace_control::probe::Prober;
use millrace_control::reconcile::Settings;
use millrace_control::topics::embedded::EmbeddedTopics;
use millrace_runtime::metrics::Metrics;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CHANNEL: &str = "apiVersion: messaging.knative.dev/v1beta1\nkind: KafkaChannel\nmetadata:\n  name: orders\nspec:\n  numPartitions: 3\n";

pub(crate) fn subscription(name: &str, uri: &str) -> String {
    format!(
        "apiVersion: messaging.knative.dev/v1\nkind: Subscription\nmetadata:\n  name: {name}\nspec:\n  channel:\n    apiVersion: messaging.knative.dev/v1beta1\n    kind: KafkaChannel\n    name: orders\n  subscriber:\n    uri: {uri}\n"
    )
}

/// The mock cluster stays on the thread that made it; others ask by message for a topic and its partitions.
struct Cluster {
    servers: String,
    requests: SyncSender<(String, i32)>,
}

impl Cluster {
    fn start() -> Self {
        let (requests, received) = sync_channel::<(String, i32)>(16);
        let (tell, told) = sync_channel(1);
        std::thread::spawn(move || {
            let cluster = MockCluster::new(1).unwrap();
            tell.send(cluster.bootstrap_servers()).unwrap();
            while let Ok((topic, partitions)) = received.recv() {
                // The mock refuses a topic that it has, and may be asked twice.
                cluster.create_topic(&topic, partitions, 1).ok();
            }
        });
        Self { servers: told.recv().unwrap(), requests }
    }
}

/// What the scripted servers do and have seen.
struct Script {
    cluster: Cluster,
    refuse_topics: AtomicBool,
    probe_status: AtomicU16,
    good_probes: AtomicBool,
}

pub(crate) struct Laptop {
    folder: TempDir,
    script: Arc<Script>,
    ingress: String,
    broker: String,
    _servers: JoinSet<()>,
}

/// A shell that runs.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinSet<Result<(), directory::DirectoryError>>,
    measured: Metrics,
}

impl Running {
    /// What `/metrics` would show.
    pub(crate) fn metrics(&self) -> String {
        self.measured.text()
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task.join_next()).await.expect("the shell stops");
        ended.expect("there is one task").expect("it does not panic").expect("it ends well");
    }
}

impl Laptop {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("objects")).unwrap();
        let script = Arc::new(Script {
            cluster: Cluster::start(),
            refuse_topics: AtomicBool::new(false),
            probe_status: AtomicU16::new(200),
            good_probes: AtomicBool::new(false),
        });
        let mut servers = JoinSet::new();
        let topics = Router::new().route("/topics/{name}", put(create_topic)).with_state(Arc::clone(&script));
        let probes = Router::new().route("/{namespace}/{name}", get(answer_probe)).with_state(Arc::clone(&script));
        let (broker, ingress) = (serve(topics, &mut servers), serve(probes, &mut servers));
        Self { folder, script, ingress, broker, _servers: servers }
    }

    pub(crate) fn start(&self) -> Running {
        let shutdown = CancellationToken::new();
        let folders = Folders { objects: self.folder.path().join("objects"), state: self.state() };
        let settings = Settings {
            bootstrap_servers: Some(vec![self.servers()]),
            embedded_broker: true,
            addressing: Addressing::Ingress { url: self.ingress_url() },
            general_config: "kafka-channel-config".to_owned(),
            data_plane_config: "config-kafka-channel-data-plane".to_owned(),
            system_namespace: "knative-eventing".to_owned(),
            default_backoff: Duration::from_secs(1),
            contract_place: "Contract file contract/data".to_owned(),
            cluster: None,
        };
        let topics = EmbeddedTopics::new(self.broker.parse().unwrap()).unwrap();
        let prober = Prober::new(self.ingress.parse().unwrap()).unwrap();
        let measured = Metrics::new();
        let metrics = ControlMetrics::register(&measured).unwrap();
        let mut task = JoinSet::new();
        task.spawn(directory::run(folders, settings, topics, prober, metrics, shutdown.clone()));
        Running { shutdown, task, measured }
    }

    /// The status once it is as wanted; fails with the last one when it never is.
    pub(crate) async fn wait(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status: Value = std::fs::read(self.state().join("status.json"))
                .ok()
                .map(|bytes| serde_json::from_slice(&bytes).expect("the status is never half-written"))
                .unwrap_or_default();
            if !status.is_null() && wanted(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "never as wanted: {status:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn servers(&self) -> String {
        self.script.cluster.servers.clone()
    }

    pub(crate) fn ingress_url(&self) -> String {
        self.ingress.clone()
    }

    pub(crate) fn contract(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.state().join("contract/data")).unwrap()).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join("objects").join(name), text).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join("objects").join(name)).unwrap();
    }

    pub(crate) fn remove_objects(&self) {
        std::fs::remove_dir_all(self.folder.path().join("objects")).unwrap();
    }

    pub(crate) fn remove_state(&self, name: &str) {
        std::fs::remove_file(self.state().join(name)).unwrap();
    }

    pub(crate) fn refuse_topics(&self, refuse: bool) {
        self.script.refuse_topics.store(refuse, Ordering::SeqCst);
    }

    pub(crate) fn ingress_answers(&self, status: u16) {
        self.script.probe_status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn probe_headers_were_right(&self) -> bool {
        self.script.good_probes.load(Ordering::SeqCst)
    }

    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.servers()).create().unwrap();
        consumer.fetch_metadata(Some(topic), PATIENCE).unwrap().topics()[0].partitions().len()
    }
}

fn serve(router: Router, servers: &mut JoinSet<()>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    servers.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        axum::serve(listener, router).await.unwrap();
    });
    url
}

async fn create_topic(
    State(script): State<Arc<Script>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> StatusCode {
    if script.refuse_topics.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let partitions = query.as_deref().and_then(|query| query.strip_prefix("partitions=")).unwrap().parse().unwrap();
    script.cluster.requests.send((name, partitions)).unwrap();
    StatusCode::CREATED
}

async fn answer_probe(State(script): State<Arc<Script>>, headers: HeaderMap) -> StatusCode {
    let right = headers.get("K-Network-Probe").is_some_and(|value| value == "probe")
        && headers.get("K-Network-Hash").is_some_and(|value| value == "probe");
    script.good_probes.store(right, Ordering::SeqCst);
    StatusCode::from_u16(script.probe_status.load(Ordering::SeqCst)).unwrap()
}
