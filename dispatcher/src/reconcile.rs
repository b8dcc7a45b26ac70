//! Turns a contract into what every egress is wanted to do.
//!
//! Only compares and tells: each egress' own task starts and stops it, so that this never waits.
//! Source: dispatcher spec 1.4; design rows 19 and 26.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use millrace_config::contract::{Contract, Entry, Refusal};
use millrace_runtime::drain::Drain;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::egress::{self, Common, Spec, Status, Wanted};
use crate::settings::Settings;

/// All egresses of the process.
#[derive(Debug)]
pub(crate) struct Egresses {
    running: BTreeMap<String, Handle>,
    common: Common,
    drain: Drain,
    statuses: watch::Sender<Statuses>,
}

/// The statuses by egress uid.
pub(crate) type Statuses = BTreeMap<String, watch::Receiver<Option<Status>>>;

#[derive(Debug)]
struct Handle {
    wanted: watch::Sender<Wanted>,
    spec: Option<Arc<Spec>>,
    status: watch::Receiver<Option<Status>>,
}

impl Egresses {
    /// None yet.
    pub(crate) fn new(common: Common, drain: Drain) -> Self {
        let statuses = watch::Sender::new(Statuses::new());
        Self { running: BTreeMap::new(), common, drain, statuses }
    }

    /// Follows which egresses there are.
    pub(crate) fn statuses(&self) -> watch::Receiver<Statuses> {
        self.statuses.subscribe()
    }

    /// Makes the contract the one in force.
    pub(crate) fn apply(&mut self, contract: &Contract, settings: &Arc<Settings>) {
        for refusal in &contract.refused {
            warn!(uid = %refusal.uid, entry = ?refusal.entry, error = %refusal.error, "Contract entry refused");
        }
        let trust_bundles: Arc<[String]> = sorted(&contract.trust_bundles).into();
        // One moment for all: what a Secret says is read once a contract, however many name it.
        let asked = Instant::now();
        let mut wanted = BTreeMap::new();
        for resource in &contract.resources {
            for egress in &resource.egresses {
                let spec = Spec {
                    resource: Arc::clone(resource),
                    egress: Arc::clone(egress),
                    trust_bundles: Arc::clone(&trust_bundles),
                    settings: Arc::clone(settings),
                    common: self.common.clone(),
                    asked,
                };
                wanted.insert(egress.uid.clone(), spec);
            }
        }
        self.remove_others(&wanted, &contract.refused);
        for (uid, spec) in wanted {
            self.want(uid, spec);
        }
        self.statuses.send_replace(self.running.iter().map(|(uid, h)| (uid.clone(), h.status.clone())).collect());
    }

    /// Stops everything by `deadline`; returns when every egress has stopped.
    pub(crate) async fn stop(mut self, deadline: Instant) {
        for handle in self.running.values() {
            handle.wanted.send_replace(Wanted::Stop { deadline });
        }
        for handle in self.running.values_mut() {
            // The task drops its sender when it ends.
            while handle.status.changed().await.is_ok() {}
        }
    }

    /// Starts again what ended just when it was wanted again.
    pub(crate) fn revive(&mut self) {
        let ended = |handle: &&mut Handle| handle.spec.is_some() && handle.wanted.is_closed();
        for handle in self.running.values_mut().filter(ended) {
            if let Some(spec) = handle.spec.take() {
                *handle = start(&self.drain, spec);
            }
        }
    }

    /// An egress whose new version is refused keeps the one that runs; whatever else is not wanted stops.
    fn remove_others(&mut self, wanted: &BTreeMap<String, Spec>, refused: &[Refusal]) {
        self.running.retain(|uid, handle| {
            if wanted.contains_key(uid) || handle.spec.as_ref().is_some_and(|spec| is_refused(refused, uid, spec)) {
                return true;
            }
            if handle.spec.take().is_some() {
                info!(egress = %uid, "Egress removed");
                handle.wanted.send_replace(Wanted::removed());
            }
            // Kept until it has stopped, so that the same egress cannot run twice.
            !handle.wanted.is_closed()
        });
    }

    fn want(&mut self, uid: String, spec: Spec) {
        let spec = Arc::new(spec);
        match self.running.get_mut(&uid).filter(|handle| !handle.wanted.is_closed()) {
            Some(handle) if handle.spec.as_ref().is_some_and(|current| current.same(&spec)) => {}
            Some(handle) => {
                handle.spec = Some(Arc::clone(&spec));
                handle.wanted.send_replace(Wanted::Run(spec));
            }
            None => {
                self.running.insert(uid, start(&self.drain, spec));
            }
        }
    }
}

fn start(drain: &Drain, spec: Arc<Spec>) -> Handle {
    let (wanted, wanted_receiver) = watch::channel(Wanted::Run(Arc::clone(&spec)));
    let (status_sender, status) = watch::channel(None);
    drain.tracker().spawn(egress::run(wanted_receiver, status_sender));
    Handle { wanted, spec: Some(spec), status }
}

fn is_refused(refused: &[Refusal], uid: &str, spec: &Spec) -> bool {
    refused.iter().any(|refusal| match refusal.entry {
        Entry::Egress => refusal.uid == uid,
        Entry::Resource => refusal.uid == spec.resource.uid,
        Entry::Ingress => false,
    })
}

/// The order of trust bundles means nothing.
fn sorted(bundles: &[String]) -> Vec<String> {
    let mut sorted = bundles.to_vec();
    sorted.sort();
    sorted
}

#[cfg(test)]
mod tests;
