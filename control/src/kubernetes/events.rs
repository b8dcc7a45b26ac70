//! Tells people about transitions, as Kubernetes Events on the objects.
//!
//! Best effort and bounded: what comes while [`AT_ONCE`] are on their way is dropped, because statuses say the same.
//! Source: control-plane spec 1.10.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::api::meta::Meta;

const AT_ONCE: usize = 32;
/// What the API takes, in bytes.
const LONGEST_NOTE: usize = 1000;

/// Whose events these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Channel,
    Subscription,
    /// The contract's ConfigMap.
    Contract,
}

/// Sends events.
#[derive(Clone)]
pub(crate) struct Events {
    recorder: Recorder,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Events")
    }
}

impl Events {
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: super::FIELD_MANAGER.to_owned(), instance: Some(identity.to_owned()) };
        Self {
            recorder: Recorder::new(client, reporter),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: TaskTracker::new(),
        }
    }

    /// Something went as it should.
    pub(crate) fn normal(&self, about: About, object: &Meta, reason: &str, note: &str) {
        self.send(EventType::Normal, about, object, reason, note);
    }

    /// Something that a person should look at.
    pub(crate) fn warning(&self, about: About, object: &Meta, reason: &str, note: &str) {
        self.send(EventType::Warning, about, object, reason, note);
    }

    fn send(&self, kind: EventType, about: About, object: &Meta, reason: &str, note: &str) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
        let (api_version, name) = match about {
            About::Channel => ("messaging.knative.dev/v1beta1", "KafkaChannel"),
            About::Subscription => ("messaging.knative.dev/v1", "Subscription"),
            About::Contract => ("v1", "ConfigMap"),
        };
        let reference = ObjectReference {
            api_version: Some(api_version.to_owned()),
            kind: Some(name.to_owned()),
            namespace: Some(object.namespace.clone()),
            name: Some(object.name.clone()),
            uid: Some(object.uid.clone()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(shortened(note)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let recorder = self.recorder.clone();
        self.tasks.spawn(async move {
            let _permit = permit;
            if let Err(error) = recorder.publish(&event, &reference).await {
                debug!(error = super::error_text(&error), "Event not sent");
            }
        });
    }
}

fn shortened(note: &str) -> String {
    let end = note.floor_char_boundary(LONGEST_NOTE);
    note.get(..end).unwrap_or_default().to_owned()
}
