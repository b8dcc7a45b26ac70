//! A real Kubernetes API server with etcd, as an administrator and as others see it.
//!
//! No kubelet, scheduler or controller runs: pods exist as far as a test writes them, nothing is started for them, and
//! nothing collects garbage. Role-based access is on. A shell between this process and the two servers holds a pipe from
//! here, so that they end and their files go even when a test is killed. Where Go or Debian's etcd package cannot be had,
//! the tests that need it say so and are skipped; with `CI=true` that is a failure.

mod artifacts;
pub mod install;
pub mod kustomize;
pub mod objects;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::wait::wait_for;
use objects::Objects;

const START_LIMIT: Duration = Duration::from_secs(90);

/// Starts etcd and the API server; removes their files when the pipe on standard input closes. A pair of arguments
/// `SIGNAL WHICH` a line on that pipe reaches one of them, so that tests can take the server away and bring it back.
const GUARD: &str = r#"folder=$1; etcd=$2; server=$3; port=$4; etcd_port=$5; shift 5
"$etcd" --data-dir "$folder/etcd" --listen-client-urls "http://127.0.0.1:$etcd_port" \
  --advertise-client-urls "http://127.0.0.1:$etcd_port" --listen-peer-urls http://127.0.0.1:0 \
  --initial-advertise-peer-urls http://127.0.0.1:0 --initial-cluster default=http://127.0.0.1:0 \
  --unsafe-no-fsync --log-level error >"$folder/etcd.log" 2>&1 & store=$!
"$server" --etcd-servers "http://127.0.0.1:$etcd_port" --secure-port "$port" "$@" >"$folder/server.log" 2>&1 & api=$!
while read -r action; do
  case $action in
    down) kill -9 $api; wait $api 2>/dev/null ;;
    up) "$server" --etcd-servers "http://127.0.0.1:$etcd_port" --secure-port "$port" "$@" >>"$folder/server.log" 2>&1 & api=$! ;;
  esac
done
kill -9 $api $store; wait 2>/dev/null; rm -rf "$folder""#;

/// Who may be impersonated by a token of the server's token file: name, groups.
const PEOPLE: &[(&str, &str)] = &[
    ("admin", "system:masters"),
    ("nobody", ""),
    (EVENTING_CONTROLLER, "system:serviceaccounts,system:serviceaccounts:knative-eventing"),
];

/// The user as which Knative's own controller writes `spec.subscribers`.
pub const EVENTING_CONTROLLER: &str = "system:serviceaccount:knative-eventing:eventing-controller";

/// A running API server; ends with this value or with this process.
#[derive(Debug)]
pub struct Cluster {
    guard: Child,
    folder: PathBuf,
    port: u16,
}

impl Cluster {
    /// The cluster that all tests of this program share, started by the first; `None` means: skip the test.
    ///
    /// # Panics
    /// When it cannot be started, or is missing with `CI=true`.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        let cluster = SHARED.get_or_init(Self::start_unless_missing).as_ref();
        if cluster.is_none() {
            eprintln!("SKIPPED: this test needs a real Kubernetes API server (Go, and apt-get or etcd)");
        }
        cluster
    }

    /// One of its own; `None` when Go or etcd is missing.
    ///
    /// # Panics
    /// When it cannot be started, or is missing with `CI=true`.
    #[must_use]
    pub fn start_unless_missing() -> Option<Self> {
        match artifacts::etcd().and_then(|etcd| Ok((etcd, artifacts::api_server()?))) {
            Ok((etcd, server)) => Some(Self::start(&etcd, &server)),
            Err(reason) => {
                let ci = std::env::var("CI").is_ok_and(|value| value == "true");
                assert!(!ci, "a real API server is required with CI=true: {reason}");
                eprintln!("SKIPPED: no real API server: {reason}");
                None
            }
        }
    }

    fn start(etcd: &Path, server: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("millrace-kubernetes-").tempdir().expect("a temporary folder");
        let folder = folder.keep();
        let (port, etcd_port) = (free_port(), free_port());
        write_people(&folder);
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(&folder).arg(etcd).arg(server);
        guard.args([port.to_string(), etcd_port.to_string()]).args(flags(&folder, port));
        let guard = guard.stdin(Stdio::piped()).spawn().expect("sh starts");
        let cluster = Self { guard, folder, port };
        cluster.wait_until_ready();
        cluster
    }

    /// Waits until the server says that it is ready.
    ///
    /// # Panics
    /// When it ends or takes too long.
    pub fn wait_until_ready(&self) {
        let started = Instant::now();
        let authority = self.authority();
        wait_for("the API server to be ready", START_LIMIT, || {
            let log = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
            assert!(!log.contains("command failed"), "the API server ended after {:?}:\n{log}", started.elapsed());
            if !authority.is_file() {
                return Err(format!("no certificate yet:\n{log}"));
            }
            // The certificate may be half written, so that even making a client can fail.
            let ready = Objects::try_new(&self.kubeconfig("admin")).and_then(|objects| objects.try_text("/readyz"));
            ready.map(|_| ()).map_err(|error| format!("{error}\n{log}"))
        });
    }

    /// Kills the API server; etcd keeps everything.
    pub fn take_away(&mut self) {
        self.tell("down");
    }

    /// Starts the API server again, at the same address, and waits until it is ready.
    ///
    /// # Panics
    /// As [`Self::wait_until_ready`].
    pub fn bring_back(&mut self) {
        self.tell("up");
        self.wait_until_ready();
    }

    fn tell(&mut self, action: &str) {
        use std::io::Write;
        let pipe = self.guard.stdin.as_mut().expect("the guard's input is a pipe");
        writeln!(pipe, "{action}").and_then(|()| pipe.flush()).expect("the guard listens");
    }

    /// Where the server listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The file with the certificate authority of the server.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("certificates/apiserver.crt")
    }

    /// A kubeconfig file of one of: `admin`, `nobody` (no rights of its own), [`EVENTING_CONTROLLER`].
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        assert!(PEOPLE.iter().any(|(name, _)| *name == user), "{user} is not in the token file");
        self.kubeconfig_with_token(&token(user))
    }

    /// A kubeconfig file with the rights of a service account, by a token that the server itself issues.
    ///
    /// # Panics
    /// When the account is not there.
    #[must_use]
    pub fn service_account(&self, namespace: &str, name: &str) -> PathBuf {
        self.kubeconfig_with_token(&self.token(namespace, name, &json!({})))
    }

    /// A token of a service account for an audience.
    ///
    /// # Panics
    /// When the account is not there.
    #[must_use]
    pub fn token_for(&self, namespace: &str, name: &str, audience: &str) -> String {
        self.token(namespace, name, &json!({"audiences": [audience]}))
    }

    fn token(&self, namespace: &str, name: &str, spec: &Value) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let answer = self.admin().post(&path, &request);
        answer["status"]["token"].as_str().expect("a token").to_owned()
    }

    fn kubeconfig_with_token(&self, token: &str) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let file = self.folder.join(format!("kubeconfig-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test",
                "cluster": {"server": self.url(), "certificate-authority": self.authority()}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        fs::write(&file, config.to_string()).expect("cannot write a kubeconfig");
        file
    }

    /// Objects, read and written as an administrator.
    #[must_use]
    pub fn admin(&self) -> Objects {
        Objects::new(&self.kubeconfig("admin"))
    }

    /// A namespace that no other test uses.
    #[must_use]
    pub fn fresh_namespace(&self) -> String {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}});
        let made = self.admin().post("/api/v1/namespaces", &body);
        made["metadata"]["name"].as_str().expect("a name").to_owned()
    }

    /// What the API server wrote on its outputs so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        self.guard.wait().ok();
    }
}

fn token(user: &str) -> String {
    format!("token-of-{}", user.replace(':', "-"))
}

fn write_people(folder: &Path) {
    let lines = PEOPLE
        .iter()
        .enumerate()
        .map(|(number, (name, groups))| format!("{},{name},{number},\"{groups}\"\n", token(name)));
    fs::write(folder.join("people.csv"), lines.collect::<String>()).expect("cannot write the token file");
    let key = rcgen::KeyPair::generate().expect("a key can be made");
    fs::write(folder.join("service-accounts.key"), key.serialize_pem()).expect("cannot write the key");
    fs::write(folder.join("service-accounts.pub"), key.public_key_pem()).expect("cannot write the key");
}

fn flags(folder: &Path, port: u16) -> Vec<String> {
    let folder = folder.display();
    vec![
        "--bind-address=127.0.0.1".to_owned(),
        format!("--cert-dir={folder}/certificates"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        // The default is an address on which it does not listen.
        format!("--service-account-jwks-uri=https://127.0.0.1:{port}/openid/v1/jwks"),
        format!("--service-account-key-file={folder}/service-accounts.pub"),
        format!("--service-account-signing-key-file={folder}/service-accounts.key"),
        format!("--token-auth-file={folder}/people.csv"),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        // Its controller makes the default account of each namespace, and no controller runs here.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ]
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a listener has an address").port()
}
