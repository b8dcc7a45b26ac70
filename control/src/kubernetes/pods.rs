//! Pods of the data plane: where the ingress is asked, and whose mounts have to be refreshed.
//!
//! Pure. Source: control-plane spec 0.3 and 2.5d.

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::marks::{FEATURES_CHANGED, GENERATION, INGRESS};
use super::objects::PodObject;

/// Where to ask: every pod of the ingress that is ready. Without any pod of that label, ready or not, the Service of the
/// ingress: whoever runs it under other labels still has that.
pub(crate) fn targets(pods: &[impl AsRef<PodObject>], port: u16, service: &str) -> Vec<Url> {
    let mut ingresses = pods.iter().map(AsRef::as_ref).filter(|pod| pod.app == INGRESS).peekable();
    if ingresses.peek().is_none() {
        return Url::parse(&format!("http://{service}")).into_iter().collect();
    }
    let mut urls: Vec<Url> = ingresses.filter(|pod| pod.ready).filter_map(|pod| url(&pod.address, port)).collect();
    urls.sort();
    urls
}

/// Pods that would not see a contract in several maps: of Knative, or of an older version of ours.
pub(crate) fn blind(pods: &[impl AsRef<PodObject>]) -> Vec<String> {
    let blind = pods.iter().map(AsRef::as_ref).filter(|pod| !pod.sees_shards);
    blind.map(|pod| pod.name.clone()).collect()
}

/// The annotations that a pod lacks, as a merge patch. `features_changed` is empty as long as nothing changed.
pub(crate) fn annotations(pod: &PodObject, generation: u64, features_changed: &str) -> Option<Value> {
    let mut lacking = Map::new();
    if generation > 0 && pod.generation != generation.to_string() {
        lacking.insert(GENERATION.to_owned(), json!(generation.to_string()));
    }
    if pod.app == INGRESS && !features_changed.is_empty() && pod.features != features_changed {
        lacking.insert(FEATURES_CHANGED.to_owned(), json!(features_changed));
    }
    (!lacking.is_empty()).then(|| json!({"metadata": {"annotations": lacking}}))
}

/// Since when pods may have old features mounted.
#[derive(Debug, Default)]
pub(crate) struct FeatureChanges {
    seen: Option<String>,
    /// Of the last change that this process saw; empty before one.
    pub(crate) moment: String,
}

impl FeatureChanges {
    /// Notes the version of `config-features`; empty for none. What is there at the start is in the mounts already.
    pub(crate) fn note(&mut self, version: &str, now: impl FnOnce() -> String) {
        if self.seen.as_deref() == Some(version) {
            return;
        }
        if self.seen.replace(version.to_owned()).is_some() {
            self.moment = now();
        }
    }
}

fn url(address: &str, port: u16) -> Option<Url> {
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    Url::parse(&format!("http://{host}:{port}")).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kubernetes::marks::DISPATCHER;

    fn pod(app: &str, address: &str, ready: bool) -> Arc<PodObject> {
        Arc::new(PodObject {
            namespace: "s".into(),
            name: address.into(),
            version: String::new(),
            app: app.into(),
            address: address.into(),
            ready,
            generation: String::new(),
            features: String::new(),
            sees_shards: true,
        })
    }

    #[track_caller]
    fn check(pods: &[Arc<PodObject>], expected: &[&str]) {
        let found: Vec<String> = targets(pods, 8080, "in.s.svc.cluster.local").iter().map(Url::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_ready_pod_of_the_ingress_is_asked() {
        let pods = [
            pod(INGRESS, "10.0.0.2", true),
            pod(INGRESS, "10.0.0.1", true),
            pod(INGRESS, "10.0.0.3", false),
            pod(DISPATCHER, "10.0.0.4", true),
            pod(INGRESS, "fd00::1", true),
        ];
        check(&pods, &["http://10.0.0.1:8080/", "http://10.0.0.2:8080/", "http://[fd00::1]:8080/"]);
        check(&[pod(INGRESS, "10.0.0.3", false)], &[]);
    }

    #[test]
    fn a_pod_gets_the_annotations_that_it_lacks() {
        let expected = |found: Value| Some(json!({"metadata": {"annotations": found}}));
        let ingress = pod(INGRESS, "10.0.0.1", true);
        assert_eq!(annotations(&ingress, 0, ""), None);
        assert_eq!(annotations(&ingress, 7, ""), expected(json!({GENERATION: "7"})));
        assert_eq!(annotations(&ingress, 7, "noon"), expected(json!({GENERATION: "7", FEATURES_CHANGED: "noon"})));
        let current = PodObject { generation: "7".into(), features: "noon".into(), ..(*ingress).clone() };
        assert_eq!(annotations(&current, 7, "noon"), None);
        let dispatcher = pod(DISPATCHER, "10.0.0.2", true);
        assert_eq!(annotations(&dispatcher, 0, "noon"), None);
    }

    #[test]
    fn features_change_when_another_version_is_seen_and_not_at_the_start() {
        let mut changes = FeatureChanges::default();
        changes.note("5", || "never".to_owned());
        changes.note("5", || "never".to_owned());
        assert_eq!(changes.moment, "");
        changes.note("9", || "noon".to_owned());
        changes.note("9", || "never".to_owned());
        assert_eq!(changes.moment, "noon");
        changes.note("", || "evening".to_owned());
        assert_eq!(changes.moment, "evening");
    }

    #[test]
    fn without_pods_of_that_label_the_service_is_asked() {
        check(&[pod(DISPATCHER, "10.0.0.4", true)], &["http://in.s.svc.cluster.local/"]);
    }
}
