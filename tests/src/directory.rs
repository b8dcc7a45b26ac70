//! `millrace-control directory` on a folder of objects, and what it writes.
//!
//! The ingress is started first, on a contract that is not there yet, because control probes it before it calls a channel
//! ready. Sources: the process contract of control's directory shell (files of the state folder, `status.json`).

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::broker::embedded::EmbeddedBroker;
use crate::broker::{Broker, topic_endpoint};
use crate::folder::replace;
use crate::plane::{Ingress, Plane};
use crate::process::{Process, Program};
use crate::server::Server;
use crate::wait::wait_for;

/// A control process with its folders, and the ingress that it probes.
#[derive(Debug)]
pub struct Directory {
    folder: TempDir,
    /// The folders of properties for ingress and dispatcher.
    plane: Plane,
    /// The process.
    pub control: Process,
    /// The ingress, on the contract that control writes.
    pub ingress: Ingress,
    _endpoint: Option<Server>,
}

impl Directory {
    /// Control with an embedded broker, on which it creates topics through the owner's endpoint.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn on_embedded(broker: &Arc<EmbeddedBroker>, files: &[(&str, &str)]) -> Self {
        let endpoint = topic_endpoint::serve(broker);
        let url = format!("http://{}", endpoint.address());
        Self::start(&**broker, Plane::new(&**broker), Some((endpoint, url)), files)
    }

    /// Control with a real Kafka, on which it creates topics with its admin client.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn on_kafka(broker: &dyn Broker, plane: Plane, files: &[(&str, &str)]) -> Self {
        Self::start(broker, plane, None, files)
    }

    #[track_caller]
    fn start(broker: &dyn Broker, plane: Plane, endpoint: Option<(Server, String)>, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("millrace-directory-").tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("objects")).expect("cannot create a folder");
        fs::create_dir(path("state")).expect("cannot create a folder");
        for (name, text) in files {
            replace(&path("objects").join(name), text.as_bytes());
        }
        let contract = path("state/contract/data");
        let ingress = Ingress::start(&plane.ingress_program().env("DATA_PLANE_CONFIG_FILE_PATH", contract));
        let program = Program::named("millrace-control").arg("directory");
        let program = program.arg("--objects").arg(path("objects")).arg("--state").arg(path("state"));
        let program = program.arg("--kafka").arg(broker.bootstrap());
        let program = program.arg("--ingress-url").arg(format!("http://{}", ingress.address));
        let (endpoint, url) = endpoint.unzip();
        let program = url.into_iter().fold(program, |program, url| program.arg("--embedded-broker").arg(url));
        let mut control = program.start();
        control.wait_for_message("Control started", PATIENCE);
        Self { folder, plane, control, ingress, _endpoint: endpoint }
    }

    /// Writes an object file, atomically.
    pub fn write(&self, name: &str, text: &str) {
        replace(&self.object(name), text.as_bytes());
    }

    /// Removes an object file.
    ///
    /// # Panics
    /// When it is not there.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.object(name)).expect("cannot remove an object file");
    }

    /// A file of the state folder.
    #[must_use]
    pub fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join("state").join(name)
    }

    /// The contract as it is now.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn contract(&self) -> Value {
        let bytes = fs::read(self.state("contract/data")).expect("control has written a contract");
        serde_json::from_slice(&bytes).expect("the contract is JSON")
    }

    /// Waits until the status satisfies the condition, and gives it.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for_status(&self, what: &str, mut condition: impl FnMut(&Value) -> bool) -> Value {
        wait_for(&format!("a status with {what}"), PATIENCE, || {
            let bytes = fs::read(self.state("status.json")).map_err(|error| error.to_string())?;
            let status: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            if condition(&status) { Ok(status) } else { Err(status.to_string()) }
        })
    }

    /// Waits until this subscription is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    #[track_caller]
    pub fn wait_for_subscription(&self, name: &str) -> Value {
        self.wait_for_status(&format!("subscription {name} ready"), |status| is_ready(status, "subscriptions", name))
    }

    /// A dispatcher on what control has written.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_dispatcher(&self) -> Process {
        let contract = self.state("contract/data");
        let mut dispatcher = self.plane.dispatcher_program().env("DATA_PLANE_CONFIG_FILE_PATH", contract).start();
        dispatcher.wait_for_message("Dispatcher started", PATIENCE);
        dispatcher
    }

    fn object(&self, name: &str) -> PathBuf {
        self.folder.path().join("objects").join(name)
    }
}

/// Whether an entry of `channels` or `subscriptions` is ready.
#[must_use]
pub fn is_ready(status: &Value, list: &str, name: &str) -> bool {
    let entries = status.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |entry: &Value, field: &str, text: &str| entry.get(field).and_then(Value::as_str) == Some(text);
    entries.iter().any(|entry| text(entry, "name", name) && text(entry, "ready", "True"))
}

/// A `KafkaChannel` in namespace `shop` with two partitions.
#[must_use]
pub fn channel_yaml(name: &str) -> String {
    format!(
        "apiVersion: messaging.knative.dev/v1beta1\nkind: KafkaChannel\nmetadata:\n  name: {name}\n  namespace: shop\n\
         spec:\n  numPartitions: 2\n  replicationFactor: 1\n"
    )
}

/// A `Subscription` in namespace `shop`; `delivery` is the text below `spec`, indented by two.
#[must_use]
pub fn subscription_yaml(name: &str, channel: &str, url: &str, delivery: &str) -> String {
    format!(
        "apiVersion: messaging.knative.dev/v1\nkind: Subscription\nmetadata:\n  name: {name}\n  namespace: shop\nspec:\n  \
         channel:\n    apiVersion: messaging.knative.dev/v1beta1\n    kind: KafkaChannel\n    name: {channel}\n  \
         subscriber:\n    uri: {url}\n{delivery}"
    )
}
