//! Millrace installed on an API server of its own: definitions, rights, settings, data plane and control processes.
//!
//! What a kubelet does is done in `kubelet`: pods are written with their addresses, and the contract's ConfigMaps are copied
//! into the folder that the data plane mounts. Control runs with the rights of its own service account, as `deploy/` gives
//! them, never as an administrator.

mod extras;
pub mod kubelet;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::{Value, json};

pub use self::extras::{Certificate, Extras, set_features};
pub use self::kubelet::{write_pod, write_pod_at};
use super::Cluster;
use super::objects::{Objects, documents};
use crate::PATIENCE;
use crate::broker::Broker;
use crate::plane::{Ingress, Plane};
use crate::process::{Process, Program};
use crate::wait::wait_for;

/// Where everything is installed.
pub const SYSTEM: &str = "knative-eventing";
/// The ConfigMap with the contract.
pub const CONTRACT: &str = "kafka-channel-channels-subscriptions";
/// The account of ingress and dispatcher.
pub const DATA_PLANE: &str = "knative-kafka-channel-data-plane";
/// apiVersion and kind of channels.
pub const CHANNEL: [&str; 2] = ["messaging.knative.dev/v1beta1", "KafkaChannel"];
/// apiVersion and kind of Subscriptions.
pub const SUBSCRIPTION: [&str; 2] = ["messaging.knative.dev/v1", "Subscription"];

/// API servers are large; tests that have one of their own run one after the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An installation.
#[derive(Debug)]
pub struct Install {
    /// An administrator.
    pub admin: Objects,
    /// The data plane's folders.
    pub plane: Plane,
    /// The only ingress.
    pub ingress: Ingress,
    kubelet: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    /// The API server.
    pub cluster: Cluster,
    _turn: MutexGuard<'static, ()>,
}

impl Install {
    /// Everything but control, with this Kafka; `None` means: skip the test.
    ///
    /// # Panics
    /// When something cannot be installed.
    #[must_use]
    pub fn on(kafka: &dyn Broker) -> Option<Self> {
        Self::with(kafka, &Extras::default())
    }

    /// As [`Self::on`], with more.
    ///
    /// # Panics
    /// When something cannot be installed.
    #[must_use]
    pub fn with(kafka: &dyn Broker, extras: &Extras<'_>) -> Option<Self> {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = Cluster::start_unless_missing()?;
        let admin = cluster.admin();
        apply_files(&admin);
        configure(&admin, &[("bootstrap.servers", &kafka.bootstrap())]);
        // As shipped for channels: a group without a committed offset would start at the end of the topic.
        let plane = Plane::new(kafka).with("consumer", "auto.offset.reset=latest");
        // Another pod of the ingress may have the same port at another address.
        let plane = plane.with("httpserver", "host=127.0.0.1");
        extras.apply(&admin);
        plane.set_features(extras.features);
        let ingress = Ingress::start(&extras.ingress(&cluster, &plane));
        ingress.wait_until_ready();
        write_pod(&admin, "kafka-channel-receiver", "kafka-channel-receiver-0", true);
        let stop = Arc::new(AtomicBool::new(false));
        let kubelet = kubelet::follow(cluster.kubeconfig("admin").as_path(), plane.contract.clone(), Arc::clone(&stop));
        Some(Self { admin, plane, ingress, kubelet: Some(kubelet), stop, cluster, _turn: turn })
    }

    /// A control process with the rights of its own service account.
    #[must_use]
    pub fn control(&self, pod_name: &str) -> Program {
        let program = Program::named("millrace-control").arg("kubernetes").env("POD_NAME", pod_name);
        let program = program.env("KUBECONFIG", self.cluster.service_account(SYSTEM, "kafka-controller"));
        let program = program.env("CHANNEL_INGRESS_POD_PORT", self.ingress.address.port().to_string());
        program.env("MILLRACE_ADMIN_ADDRESS", "127.0.0.1:0").env("MILLRACE_LOG", "info,millrace_control=debug")
    }

    /// Starts control and waits until it leads.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    #[track_caller]
    pub fn start_control(&self) -> Process {
        let mut control = self.control("control-0").start();
        control.wait_for_message("This process leads", PATIENCE);
        control
    }

    /// A dispatcher with the rights of the data plane's service account.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_dispatcher(&self) -> Process {
        let account = self.cluster.service_account(SYSTEM, DATA_PLANE);
        let mut process = self.plane.dispatcher_program().env("KUBECONFIG", account).start();
        process.wait_for_message("Dispatcher started", PATIENCE);
        process
    }

    /// A channel.
    ///
    /// # Panics
    /// When it does not exist.
    #[must_use]
    #[track_caller]
    pub fn channel(&self, namespace: &str, name: &str) -> Value {
        let [api_version, kind] = CHANNEL;
        self.admin.get(api_version, kind, namespace, name).expect("the channel exists")
    }

    /// Applies a channel with this spec.
    pub fn apply_channel(&self, namespace: &str, name: &str, spec: &Value) {
        let [api_version, kind] = CHANNEL;
        let metadata = json!({"namespace": namespace, "name": name});
        self.apply(&json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}));
    }

    /// Applies a Subscription of a channel; `spec` holds the rest.
    pub fn apply_subscription(&self, namespace: &str, name: &str, channel: &str, spec: &Value) {
        let [api_version, kind] = SUBSCRIPTION;
        let mut spec = spec.clone();
        spec["channel"] = json!({"apiVersion": CHANNEL[0], "kind": CHANNEL[1], "name": channel});
        let metadata = json!({"namespace": namespace, "name": name});
        self.apply(&json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}));
    }

    /// Applies one object.
    ///
    /// # Panics
    /// When the server refuses it.
    #[track_caller]
    pub fn apply(&self, object: &Value) {
        self.admin.try_apply(object).unwrap_or_else(|refused| panic!("cannot apply {object}: {refused}"));
    }

    /// Waits until an object's condition `Ready` is True.
    ///
    /// # Panics
    /// When it does not become so.
    #[track_caller]
    pub fn wait_until_ready(&self, kind: [&str; 2], namespace: &str, name: &str) -> Value {
        self.wait_for_condition(kind, namespace, name, "Ready", "True")
    }

    /// Waits until a condition of an object has this status, and gives the object.
    ///
    /// # Panics
    /// When it does not get it.
    #[track_caller]
    pub fn wait_for_condition(
        &self,
        [api_version, kind]: [&str; 2],
        namespace: &str,
        name: &str,
        condition: &str,
        status: &str,
    ) -> Value {
        wait_for(&format!("{condition}={status} of {kind} {namespace}/{name}"), PATIENCE, || {
            let Some(object) = self.admin.get(api_version, kind, namespace, name) else {
                return Err("there is no such object".to_owned());
            };
            if self::condition(&object, condition)["status"] == status {
                Ok(object)
            } else {
                Err(object["status"].to_string())
            }
        })
    }

    /// What is in the contract's ConfigMap; null when it does not exist or holds nothing.
    #[must_use]
    pub fn contract(&self) -> Value {
        let map = self.admin.get("v1", "ConfigMap", SYSTEM, CONTRACT).unwrap_or_default();
        let data = kubelet::files(&map).into_iter().find(|(key, _)| key == "data");
        data.and_then(|(_, bytes)| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Changes keys of `kafka-channel-config`.
    pub fn configure(&self, data: &[(&str, &str)]) {
        configure(&self.admin, data);
    }
}

impl Drop for Install {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(kubelet) = self.kubelet.take() {
            kubelet.join().ok();
        }
    }
}

/// One condition of an object; null when there is none of this type.
#[must_use]
pub fn condition(object: &Value, kind: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.cloned().unwrap_or_default()
}

fn apply_files(admin: &Objects) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}});
    admin.try_apply(&namespace).unwrap_or_else(|refused| panic!("{refused}"));
    let files = [
        "crds/kafka-channel/kafkachannels.yaml",
        "crds/kafka-channel/admission.yaml",
        "crds/subscription/subscriptions.yaml",
        "base/control-rbac.yaml",
        "base/data-plane-rbac.yaml",
        "base/secrets.yaml",
        "components/subscriptions/subscription-controller.yaml",
    ];
    apply_deploy(admin, &files);
    for path in ["v1beta1/kafkachannels", "v1/kafkachannels", "v1/subscriptions"] {
        wait_for(&format!("{path} to be served"), PATIENCE, || {
            admin.try_text(&format!("/apis/messaging.knative.dev/{path}")).map(|_| ())
        });
    }
}

/// Applies files below `deploy/`, as kustomize would give them.
fn apply_deploy(admin: &Objects, files: &[&str]) {
    let file = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    for mut object in files.iter().flat_map(|path| documents(&file(path))) {
        if ["ServiceAccount", "Role", "RoleBinding"].contains(&object["kind"].as_str().unwrap_or_default()) {
            object["metadata"]["namespace"] = json!(SYSTEM);
        }
        admin.try_apply(&object).unwrap_or_else(|refused| panic!("cannot apply {object}: {refused}"));
    }
}

fn configure(admin: &Objects, data: &[(&str, &str)]) {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let metadata = json!({"namespace": SYSTEM, "name": "kafka-channel-config"});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
    admin.try_apply(&map).unwrap_or_else(|refused| panic!("{refused}"));
}
