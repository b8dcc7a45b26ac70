//! The log lines about a contract on its way into force.
//!
//! The texts and field names are the peer's, because operators look for them. Source: spec ingress 8.3.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use millrace_config::contract::{Contract, Resource};
use millrace_config::properties::Warning;
use tracing::{Level, error, info, warn};

use crate::debug::{Report, TargetReport};

/// How many targets come, change and go.
#[derive(Debug, Default, PartialEq, Eq)]
struct Diff {
    added: usize,
    updated: usize,
    removed: usize,
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, updated, removed } = self;
        write!(f, "added={added} updated={updated} removed={removed}")
    }
}

impl Diff {
    fn between(old: Option<&Contract>, new: &Contract) -> Self {
        let with_ingress = |resource: &&Arc<Resource>| resource.ingress.is_some();
        let old = old.map_or(&[][..], |old| &old.resources[..]).iter().filter(with_ingress);
        let mut left: HashMap<&str, &Arc<Resource>> = old.map(|old| (old.uid.as_str(), old)).collect();
        let mut diff = Self::default();
        for resource in new.resources.iter().filter(with_ingress) {
            match left.remove(resource.uid.as_str()) {
                None => diff.added += 1,
                Some(old) if !Arc::ptr_eq(old, resource) && old != resource => diff.updated += 1,
                Some(_same) => {}
            }
        }
        Self { removed: left.len(), ..diff }
    }
}

/// Another contract was read.
pub(super) fn diff(old: Option<&Contract>, new: &Contract) {
    info!(contractGeneration = new.generation, "Set new contract");
    if tracing::enabled!(Level::INFO) {
        let diff = Diff::between(old, new);
        info!(%diff, contractGeneration = new.generation, "Reconcile ingress diff");
    }
}

/// It is about to be applied.
pub(super) fn begin(contract: &Contract) {
    info!(contractGeneration = contract.generation, "Reconciling contract");
}

/// It is in force, but for what the report says.
pub(super) fn end(contract: &Contract, report: &Report) {
    let failed = report.targets.iter().filter(|target| target.reason.is_some()).count();
    if failed > 0 {
        error!(contractGeneration = contract.generation, failed, "Failed to reconcile contract generation");
    }
    info!(contractGeneration = contract.generation, "Reconciled contract generation");
}

/// One entry is not in force as it is written.
pub(super) fn refused(generation: Option<u64>, target: &TargetReport, reason: &str, was_in_force: bool) {
    let (resource, state) = (target.resource(), target.state);
    let ingress = resource.and_then(|resource| resource.ingress.as_ref());
    let path = ingress.and_then(|ingress| ingress.path.as_deref());
    let host = ingress.and_then(|ingress| ingress.host.as_deref());
    let message = match was_in_force {
        true => "Failed to reconcile [onUpdateIngress] ingress",
        false => "Failed to reconcile [onNewIngress] ingress",
    };
    error!(
        id = target.uid(),
        ingress.path = path,
        ingress.host = host,
        topics = resource.map(Resource::topic),
        contractGeneration = generation,
        reason,
        state,
        "{message}"
    );
}

/// One line for each key that does not do what its writer may expect.
pub(super) fn warn_of(path: &Path, warnings: &[Warning]) {
    for warning in warnings {
        warn!(path = %path.display(), key = warning.key, reason = warning.reason, "Property without the expected effect");
    }
}

#[cfg(test)]
mod tests {
    use millrace_config::contract;
    use serde_json::{Value, json};

    use super::*;

    fn contract(resources: &[(&str, &str)]) -> Contract {
        let resource = |(uid, path): &(&str, &str)| {
            let ingress = if path.is_empty() { Value::Null } else { json!({"path": path}) };
            json!({"uid": uid, "topics": ["t"], "bootstrapServers": "localhost:1", "ingress": ingress})
        };
        let resources: Vec<_> = resources.iter().map(resource).collect();
        contract::parse(json!({"generation": 1, "resources": resources}).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn targets_that_come_change_and_go_are_counted() {
        let old = contract(&[("kept", "/kept"), ("changed", "/old"), ("gone", "/gone"), ("other", "")]);
        let new = contract(&[("kept", "/kept"), ("changed", "/new"), ("new", "/a"), ("newer", "/b")]);
        assert_eq!(Diff::between(Some(&old), &new).to_string(), "added=2 updated=1 removed=1");
        assert_eq!(Diff::between(None, &old).to_string(), "added=3 updated=0 removed=0");
        assert_eq!(Diff::between(Some(&new), &new), Diff::default());
    }
}
