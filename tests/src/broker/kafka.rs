//! A real Apache Kafka in KRaft mode, one node, from its Maven artifacts.
//!
//! Got once into `target/kafka/VERSION/lib` and kept there. A shell between this process and Java holds a pipe from here,
//! so that Kafka ends and its files go even when a test is killed. `MILLRACE_TEST_KAFKA` chooses the version. Where Java or
//! Maven is missing the tests that need it say so and are skipped; with `CI=true` that is a failure.

mod artifacts;
pub mod issuer;
pub mod on_disk;
pub mod proxied;
pub mod secured;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::PATIENCE;
use crate::broker::Broker;
use crate::wait::{wait_for, wait_until};
use settings::{Security, server_properties};

const START_LIMIT: Duration = Duration::from_secs(60);
/// Any 22 characters of base64 are a cluster id.
const CLUSTER_ID: &str = "bWlsbHJhY2UtdGVzdHMtMQ";

/// Ends Kafka and removes its files when the pipe on standard input closes.
const GUARD: &str = r#"folder=$1; shift; "$@" >"$folder/kafka.log" 2>&1 & java=$!; cat >/dev/null; kill -9 $java 2>/dev/null; wait $java 2>/dev/null; rm -rf "$folder""#;

/// A running Kafka; ends with this value or with this process.
#[derive(Debug)]
pub struct Kafka {
    /// One for each Java that was started; the last one runs.
    guards: Vec<Child>,
    java_args: Vec<String>,
    folder: PathBuf,
    libraries: PathBuf,
    port: u16,
}

impl Kafka {
    /// The Kafka that all tests of this program share, started by the first; `None` means: skip the test.
    ///
    /// # Panics
    /// When it cannot be started, or is missing with `CI=true`.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Kafka>> = OnceLock::new();
        let kafka = SHARED
            .get_or_init(|| Self::start_unless_missing(&["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]))
            .as_ref();
        if kafka.is_none() {
            eprintln!("SKIPPED: this test needs a real Kafka (Java 17 and Maven)");
        }
        kafka
    }

    /// One of its own, with these extra arguments for Java; `None` when Java or Maven is missing.
    ///
    /// # Panics
    /// When it cannot be started, or is missing with `CI=true`.
    #[must_use]
    pub fn start_unless_missing(java_args: &[&str]) -> Option<Self> {
        Self::start_with(java_args, &[], &Security::default())
    }

    fn start_with(java_args: &[&str], format_args: &[&str], security: &Security) -> Option<Self> {
        match artifacts::libraries(&version()) {
            Ok(libraries) => Some(Self::start(libraries, java_args, format_args, security)),
            Err(reason) => {
                let ci = std::env::var("CI").is_ok_and(|value| value == "true");
                assert!(!ci, "a real Kafka is required with CI=true: {reason}");
                eprintln!("SKIPPED: no real Kafka: {reason}");
                None
            }
        }
    }

    fn start(libraries: PathBuf, java_args: &[&str], format_args: &[&str], security: &Security) -> Self {
        let folder = tempfile::Builder::new().prefix("millrace-kafka-").tempdir().expect("a temporary folder").keep();
        let (port, controller_port) = (free_port(), free_port());
        let settings = folder.join("server.properties");
        fs::write(&settings, server_properties(&folder, port, controller_port, security))
            .expect("cannot write settings");
        let format = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"];
        let formatted =
            java(&libraries, &[]).args(format).arg(&settings).args(format_args).output().expect("java starts");
        assert!(formatted.status.success(), "format failed: {}", String::from_utf8_lossy(&formatted.stderr));
        let java_args = java_args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut kafka = Self { guards: Vec::new(), java_args, folder, libraries, port };
        kafka.run();
        kafka.wait_until_ready();
        kafka
    }

    fn run(&mut self) {
        let java_args: Vec<&str> = self.java_args.iter().map(String::as_str).collect();
        let mut guard = Command::new("sh");
        guard
            .args(["-c", GUARD, "guard"])
            .arg(&self.folder)
            .args(java_command(&self.libraries, &java_args))
            .arg("kafka.Kafka")
            .arg(self.folder.join("server.properties"));
        self.guards.push(guard.stdin(Stdio::piped()).spawn().expect("sh starts"));
    }

    /// Stops answering, as if the network to it were gone; connections stay open.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        kill_process(self.java(), Signal::STOP).expect("Kafka runs");
    }

    /// Goes on after [`Self::freeze`].
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        kill_process(self.java(), Signal::CONT).expect("Kafka runs");
    }

    /// Ends it without warning; its files stay.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&self) {
        kill_process(self.java(), Signal::KILL).expect("Kafka runs");
        wait_until("Kafka to end", PATIENCE, || self.pid().is_none());
    }

    /// Starts it again on the same files and port, after [`Self::kill`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.run();
        self.wait_until_ready();
    }

    fn java(&self) -> Pid {
        self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("Kafka runs")
    }

    fn wait_until_ready(&self) {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("log_level", "0")
            .create()
            .expect("a client");
        let started = Instant::now();
        wait_for("Kafka to answer", START_LIMIT, || {
            let log = fs::read_to_string(self.folder.join("kafka.log")).unwrap_or_default();
            let failed = log.contains("Exiting Kafka") || log.contains("BindException");
            assert!(!failed, "Kafka ended after {:?}:\n{log}", started.elapsed());
            client
                .fetch_metadata(None, Duration::from_millis(500))
                .map(|_| ())
                .map_err(|error| format!("{error}\n{log}"))
        });
    }

    /// Runs one of Kafka's own command-line tools and gives what it printed on standard output.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn tool(&self, class: &str, args: &[&str]) -> String {
        let bootstrap = self.bootstrap();
        let mut command = java(&self.libraries, &["-XX:TieredStopAtLevel=1"]);
        let output =
            command.arg(class).args(["--bootstrap-server", &bootstrap]).args(args).output().expect("java starts");
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{class} {args:?} failed: {shown}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// How many members a consumer group has now.
    ///
    /// # Panics
    /// When the broker does not answer.
    #[must_use]
    pub fn members(&self, group: &str) -> usize {
        self.group(group).0
    }

    /// How many members a consumer group has, and its state, such as `Stable` or `PreparingRebalance`.
    ///
    /// # Panics
    /// When the broker does not answer.
    #[must_use]
    pub fn group(&self, group: &str) -> (usize, String) {
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create().expect("a client");
        // A broker that has just started may still be reading its groups.
        let list = wait_for("the group list", PATIENCE, || client.fetch_group_list(Some(group), PATIENCE));
        list.groups().first().map_or((0, String::new()), |found| (found.members().len(), found.state().to_owned()))
    }

    /// Its process id: Java's, not the shell's.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let guard = self.guards.last()?.id();
        let children = fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).ok()?;
        children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .find(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "java"))
    }
}

impl Broker for Kafka {
    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn create_topic(&self, name: &str, partitions: i32) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create().expect("an admin client");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let created = runtime.block_on(admin.create_topics(&[topic], &options)).expect("the broker answers");
        assert!(created.iter().all(Result::is_ok), "cannot create {name}: {created:?}");
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create().expect("a client");
        wait_for(&format!("leaders of {name}"), PATIENCE, || {
            let metadata = client.fetch_metadata(Some(name), PATIENCE).map_err(|error| error.to_string())?;
            let led = metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions())
                .filter(|found| found.leader() >= 0)
                .count();
            if i32::try_from(led).is_ok_and(|led| led == partitions) { Ok(()) } else { Err(format!("{led} led")) }
        });
    }

    fn consumer_properties(&self) -> &'static str {
        ""
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        for guard in &mut self.guards {
            drop(guard.stdin.take());
            guard.wait().ok();
        }
    }
}

/// The version that the tests use.
#[must_use]
pub fn version() -> String {
    std::env::var("MILLRACE_TEST_KAFKA").unwrap_or_else(|_| "4.2.0".to_owned())
}

fn java(libraries: &Path, java_args: &[&str]) -> Command {
    let mut words = java_command(libraries, java_args).into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null());
    command
}

fn java_command(libraries: &Path, java_args: &[&str]) -> Vec<String> {
    // Java expands the star itself.
    let class_path = format!("{}/*", libraries.display());
    let own = ["java", "-Xmx512m", "-cp", &class_path].map(str::to_owned);
    own.into_iter().chain(java_args.iter().map(|arg| (*arg).to_owned())).collect()
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a listener has an address").port()
}
