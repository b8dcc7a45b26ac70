//! Ingress and dispatcher as a cluster starts them: mounted folders of files, the peer's environment variables, a contract.
//!
//! Uses the peer's names only, plus the few variables of our own that tests need. Sources: ingress specification 3.1,
//! dispatcher specification 1.2.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::broker::Broker;
use crate::contract::{Channel, contract};
use crate::folder::Mount;
use crate::process::{Line, Process, Program, has, is_message};
use crate::raw_http::{RawClient, get};
use crate::wait::wait_until;

/// Knative's shipped producer file, as far as it has an effect.
const PRODUCER: &str = "acks=all\nbuffer.memory=33554432\nretries=2147483647\nbatch.size=16384\ndelivery.timeout.ms=120000\n\
    linger.ms=0\nmax.block.ms=60000\nmax.request.size=1048576\nrequest.timeout.ms=2000\n\
    max.in.flight.requests.per.connection=5\nreconnect.backoff.ms=50\nretry.backoff.ms=100\n";

/// Knative's shipped consumer file, but for the first offset and shorter session times.
const CONSUMER: &str = "fetch.min.bytes=1\nheartbeat.interval.ms=1000\nsession.timeout.ms=6000\nmax.poll.records=50\n\
    auto.offset.reset=earliest\nenable.auto.commit=false\nisolation.level=read_uncommitted\n";

const WEB_CLIENT: &str = "idleTimeout=10000\nmaxPoolSize=100\n";

const NAMES: [&str; 4] = ["producer", "consumer", "webclient", "httpserver"];

/// The folders of one data plane.
#[derive(Debug)]
pub struct Plane {
    folder: TempDir,
    /// The contract's mount, key `data`.
    pub contract: Mount,
    config: Mount,
    properties: [String; 4],
}

/// A running ingress.
#[derive(Debug)]
pub struct Ingress {
    /// The process.
    pub process: Process,
    /// Its data port.
    pub address: SocketAddr,
}

impl Plane {
    /// Folders for this broker with an empty contract, as a new installation has it.
    ///
    /// # Panics
    /// When the file system refuses.
    #[must_use]
    pub fn new(broker: &dyn Broker) -> Self {
        let folder = tempfile::Builder::new().prefix("millrace-test-").tempdir().expect("a temporary folder");
        let consumer = format!("{CONSUMER}{}", broker.consumer_properties());
        let properties = [PRODUCER.to_owned(), consumer, WEB_CLIENT.to_owned(), String::new()];
        let contract = Mount::new(folder.path().join("contract"), &[("data", b"")]);
        for name in ["features", "observability"] {
            Mount::new(folder.path().join(name), &[]);
        }
        let config = Mount::new(folder.path().join("config"), &[]);
        let plane = Self { folder, contract, config, properties };
        plane.write_properties();
        plane
    }

    /// Adds lines to one of the files `producer`, `consumer`, `webclient`, `httpserver`; later lines win.
    #[must_use]
    pub fn with(mut self, file: &str, lines: &str) -> Self {
        for (name, text) in NAMES.iter().zip(&mut self.properties) {
            if *name == file {
                text.push_str(lines);
                text.push('\n');
            }
        }
        self.write_properties();
        self
    }

    /// Sets all keys of config-observability.
    #[must_use]
    pub fn observed(self, keys: &[(&str, &str)]) -> Self {
        let files: Vec<_> = keys.iter().map(|(key, value)| (*key, value.as_bytes())).collect();
        Mount::new(self.folder.path().join("observability"), &files);
        self
    }

    /// A path in the folders of this plane that nothing else uses.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Publishes a contract with the kubelet's symlink swap. Gives the moment before it took the old one's place.
    pub fn publish(&self, generation: u64, channels: &[Channel]) -> Instant {
        self.publish_bytes(&contract(generation, channels))
    }

    /// Publishes any bytes as the contract.
    pub fn publish_bytes(&self, bytes: &[u8]) -> Instant {
        self.contract.swap(&[("data", bytes)])
    }

    /// Replaces the mounted features.
    pub fn set_features(&self, features: &[(&str, &str)]) {
        let files: Vec<_> = features.iter().map(|(key, value)| (*key, value.as_bytes())).collect();
        Mount::new(self.folder.path().join("features"), &files);
    }

    /// The path of a properties file.
    #[must_use]
    pub fn properties_file(&self, name: &str) -> PathBuf {
        self.config.file(&file_name(name))
    }

    /// The ingress with its whole environment; a free port of 127.0.0.1.
    #[must_use]
    pub fn ingress_program(&self) -> Program {
        let program = self.common(Program::named("millrace-ingress"));
        let program = program.env("INGRESS_PORT", "0").env("INGRESS_TLS_PORT", "0");
        let program = program.env("LIVENESS_PROBE_PATH", "/healthz").env("READINESS_PROBE_PATH", "/readyz");
        program.env("HTTPSERVER_CONFIG_FILE_PATH", self.properties_file("httpserver"))
    }

    /// The dispatcher with its whole environment.
    #[must_use]
    pub fn dispatcher_program(&self) -> Program {
        let program = self.common(Program::named("millrace-dispatcher"));
        let program = program.env("CONSUMER_CONFIG_FILE_PATH", self.properties_file("consumer"));
        let program = program.env("WEBCLIENT_CONFIG_FILE_PATH", self.properties_file("webclient"));
        let program = program.env("EGRESSES_INITIAL_CAPACITY", "20").env("SERVICE_NAMESPACE", "knative-eventing");
        program.env("MILLRACE_HEALTH_FILE", self.health_file())
    }

    /// The file whose existence says that a dispatcher is ready.
    #[must_use]
    pub fn health_file(&self) -> PathBuf {
        self.folder.path().join("healthy")
    }

    /// Starts an ingress and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    #[track_caller]
    pub fn start_ingress(&self) -> Ingress {
        Ingress::start(&self.ingress_program())
    }

    /// Starts an ingress and waits until its first contract is in force.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    #[track_caller]
    pub fn start_ready_ingress(&self) -> Ingress {
        let ingress = self.start_ingress();
        ingress.wait_until_ready();
        ingress
    }

    /// Starts a dispatcher and waits until it says so.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_dispatcher(&self) -> Process {
        let mut process = self.dispatcher_program().start();
        process.wait_for_message("Dispatcher started", PATIENCE);
        process
    }

    fn common(&self, program: Program) -> Program {
        let folder = |name: &str| self.folder.path().join(name);
        let program = program.env("PRODUCER_CONFIG_FILE_PATH", self.properties_file("producer"));
        let program = program.env("DATA_PLANE_CONFIG_FILE_PATH", self.contract.file("data"));
        let program = program.env("CONFIG_OBSERVABILITY_PATH", folder("observability"));
        let program = program.env("CONFIG_FEATURES_PATH", folder("features")).env("WAIT_STARTUP_SECONDS", "8");
        let program = program.env("MILLRACE_ADMIN_ADDRESS", "127.0.0.1:0").env("MILLRACE_DRAIN_SECONDS", "10");
        program.env("MILLRACE_LOG", "info,millrace_ingress=debug,millrace_dispatcher=debug")
    }

    fn write_properties(&self) {
        let names = NAMES.map(file_name);
        let files: Vec<_> =
            names.iter().zip(&self.properties).map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
        self.config.swap(&files);
    }
}

impl Ingress {
    /// Starts this program and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    #[track_caller]
    pub fn start(program: &Program) -> Self {
        let mut process = program.start();
        let line = process.wait_for_message("Receiver started", PATIENCE);
        let port = line.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.expect("the line tells the port")));
        Self { process, address }
    }

    /// Waits until the readiness probe answers 200.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        wait_until("the ingress to be ready", PATIENCE, || {
            get(self.address, "/readyz").is_ok_and(|it| it.status == 200)
        });
    }

    /// Waits until a channel is routed, with the probe of the control plane.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn wait_until_routed(&self, channel: &Channel) {
        wait_until(&format!("{} to be routed", channel.name), PATIENCE, || self.is_routed(channel));
    }

    /// Whether the control plane's probe finds a channel.
    #[must_use]
    pub fn is_routed(&self, channel: &Channel) -> bool {
        let probe = format!("GET / HTTP/1.1\r\nhost: {}\r\nk-network-probe: probe\r\n\r\n", channel.host());
        let answer = self.client().exchange(probe.as_bytes());
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// A new connection to the data port.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    #[track_caller]
    pub fn client(&self) -> RawClient {
        RawClient::connect(self.address).expect("the ingress listens")
    }
}

/// Waits until a dispatcher has been given partitions of this subscription.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn wait_until_assigned(dispatcher: &mut Process, egress: &str, timeout: Duration) {
    dispatcher.wait_for_log(&format!("partitions for {egress}"), timeout, |line| {
        is_message(line, "Partitions assigned") && has(line, "egress", egress)
    });
}

/// What a process shows on a path of its admin server.
///
/// # Panics
/// When it shows nothing.
#[must_use]
#[track_caller]
pub fn admin_page(process: &mut Process, path: &str) -> String {
    let line = process.wait_for_message("Admin server listening", PATIENCE);
    let address = line.get("address").and_then(Value::as_str).and_then(|address| address.parse().ok());
    get(address.expect("the line tells the address"), path).expect("the admin server answers").text()
}

/// The sum of a metric's series that have all these labels, written as the page has them.
#[must_use]
pub fn metric(page: &str, name: &str, labels: &[&str]) -> usize {
    let lines = page.lines().filter(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

/// The lines of this message about this event, in order.
#[must_use]
pub fn lines_about(process: &Process, message: &str, event_id: &str) -> Vec<Line> {
    let lines = process.lines().into_iter();
    lines.filter(|line| is_message(line, message) && has(line, "event_id", event_id)).collect()
}

fn file_name(name: &str) -> String {
    format!("config-kafka-channel-{name}.properties")
}
