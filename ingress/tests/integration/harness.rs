//! A running ingress with its files, a broker, and a client that writes bytes.
//!
//! Waits for conditions with a limit, never for a time.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use millrace_ingress::app::{self, Running};
use millrace_ingress::settings::Settings;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) use super::broker::Broker;

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A minimal event for `path`.
pub(crate) fn event(path: &str) -> String {
    request(path, &[("ce-id", "1")], "hello")
}

/// A POST with the required attributes, unless `headers` has them.
pub(crate) fn request(path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("POST {path} HTTP/1.1\r\n");
    let defaults = [
        ("Host", "localhost"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/test"),
        ("ce-type", "test.type"),
    ];
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let defaults = defaults.iter().filter(|(name, _)| !given(name));
    for (name, value) in defaults.chain(headers) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

/// A resource of the contract with the shape every test starts from.
pub(crate) fn resource(uid: &str, topic: &str, bootstrap_servers: &str, ingress: Value) -> Value {
    json!({
        "uid": uid,
        "topics": [topic],
        "bootstrapServers": bootstrap_servers,
        "ingress": ingress,
        "reference": {"namespace": "ns", "name": uid, "kind": "KafkaChannel", "groupVersion": "messaging.knative.dev/v1"},
    })
}

/// Files, environment and the running process.
pub(crate) struct Harness {
    pub(crate) folder: TempDir,
    pub(crate) env: BTreeMap<String, String>,
    generation: u64,
}

impl Harness {
    /// Files for an ingress whose contract does not exist yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["contract", "config", "features", "observability"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        let env = [
            ("INGRESS_PORT", "0".to_owned()),
            ("INGRESS_TLS_PORT", "0".to_owned()),
            ("LIVENESS_PROBE_PATH", "/healthz".to_owned()),
            ("READINESS_PROBE_PATH", "/readyz".to_owned()),
            ("HTTPSERVER_CONFIG_FILE_PATH", path("config/httpserver.properties")),
            ("PRODUCER_CONFIG_FILE_PATH", path("config/producer.properties")),
            ("DATA_PLANE_CONFIG_FILE_PATH", path("contract/data")),
            ("CONFIG_OBSERVABILITY_PATH", path("observability")),
            ("CONFIG_FEATURES_PATH", path("features")),
            ("WAIT_STARTUP_SECONDS", "8".to_owned()),
            ("MILLRACE_ADMIN_ADDRESS", "127.0.0.1:0".to_owned()),
            ("MILLRACE_DRAIN_SECONDS", "10".to_owned()),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let harness = Self { folder, env, generation: 0 };
        harness.write("config/httpserver.properties", "host=127.0.0.1\n");
        // Batches do not matter here and waiting for them would; idempotence costs the mock half a second.
        harness.write("config/producer.properties", "enable.idempotence=false\nlinger.ms=0\n");
        harness
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces a file as a mount does: in one step.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let (path, temporary) = (self.path(name), self.path(&format!("{name}.new")));
        fs::write(&temporary, text).unwrap();
        fs::rename(&temporary, path).unwrap();
    }

    /// Writes the next contract.
    pub(crate) fn contract(&mut self, resources: &[Value]) {
        self.generation += 1;
        let contract = json!({"generation": self.generation.to_string(), "resources": resources});
        self.write("contract/data", &contract.to_string());
    }

    pub(crate) async fn start(&self) -> Running {
        let settings = Settings::read(&self.env).unwrap_or_else(|problems| panic!("{problems}"));
        app::start(settings).await.unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// Starts and waits until the first contract is in force.
    pub(crate) async fn ready(&self) -> Running {
        let running = self.start().await;
        until_status(running.address(), "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 200).await;
        running
    }
}

/// A contract with one binary target at `/ns/name`, a broker that has its topic, and a ready ingress.
pub(crate) async fn one_target() -> (Harness, Broker, Running) {
    let broker = Broker::with_topic("orders");
    let mut harness = Harness::new();
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    let running = harness.ready().await;
    (harness, broker, running)
}

/// One answer, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header; names are compared without case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// One connection.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    pub(crate) received: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, received: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next answer on the connection.
    pub(crate) async fn answer(&mut self) -> Answer {
        within("an answer", async {
            loop {
                if let Some(answer) = self.take_answer() {
                    return answer;
                }
                let mut part = [0; 4096];
                let read = self.stream.read(&mut part).await.unwrap();
                assert!(read > 0, "connection closed after {:?}", String::from_utf8_lossy(&self.received));
                self.received.extend_from_slice(&part[..read]);
            }
        })
        .await
    }

    fn take_answer(&mut self) -> Option<Answer> {
        let end = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.received[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        if self.received.len() < end + length {
            return None;
        }
        answer.body = String::from_utf8(self.received[end..end + length].to_vec()).unwrap();
        self.received.drain(..end + length);
        Some(answer)
    }

    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.write(request).await;
        self.answer().await
    }

    /// Waits until the server closes the connection.
    pub(crate) async fn closed(&mut self) {
        within("the end of the connection", async {
            let mut rest = std::mem::take(&mut self.received);
            // A reset is an end as well.
            drop(self.stream.read_to_end(&mut rest).await);
            assert!(rest.is_empty(), "unexpected {:?}", String::from_utf8_lossy(&rest));
        })
        .await;
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        // The server may have closed the connection already.
        drop(self.stream.shutdown().await);
    }

    /// Waits until the server closes the connection, whatever it says before.
    pub(crate) async fn ended(&mut self) {
        within("the end of the connection", async {
            drop(self.stream.read_to_end(&mut self.received).await);
        })
        .await;
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    Client::connect(address).await.ask(request).await
}

/// Repeats a request until it is answered with `status`.
pub(crate) async fn until_status(address: SocketAddr, request: &str, status: u16) -> Answer {
    let mut last = None;
    let found = tokio::time::timeout(LIMIT, async {
        loop {
            let answer = ask(address, request).await;
            if answer.status == status {
                return answer;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    found.unwrap_or_else(|_| panic!("no status {status} within {LIMIT:?}, but {last:?}"))
}

/// Repeats an attempt until it gives something.
pub(crate) async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "no {what} within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("no {what} within {LIMIT:?}"))
}

/// What the admin port shows at a path.
pub(crate) async fn admin(running: &Running, path: &str) -> String {
    let address = *running.admin_addresses().first().expect("the harness asks for an admin port");
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await.body
}

/// A path that is as long as asked for.
pub(crate) fn long_path(bytes: usize) -> String {
    format!("/{}", "a".repeat(bytes - 1))
}
