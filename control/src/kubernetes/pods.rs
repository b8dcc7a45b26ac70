//! Pods of the data plane: where the ingress is asked, and whose mounts have to be refreshed.
//!
//! Pure. Source: control-plane spec 0.3 and 2.5d.

use reqwest::Url;

use super::objects::PodObject;

/// The annotation whose change makes the kubelet refresh a pod's mounts at once.
pub(crate) const ANNOTATION: &str = "volumeGeneration";
/// Label `app` of the ingress.
pub(crate) const INGRESS: &str = "kafka-channel-receiver";
/// Label `app` of the dispatcher.
pub(crate) const DISPATCHER: &str = "kafka-channel-dispatcher";

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

fn url(address: &str, port: u16) -> Option<Url> {
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    Url::parse(&format!("http://{host}:{port}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn pod(app: &str, address: &str, ready: bool) -> Arc<PodObject> {
        Arc::new(PodObject {
            namespace: "s".into(),
            name: address.into(),
            version: String::new(),
            app: app.into(),
            address: address.into(),
            ready,
            generation: String::new(),
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
    fn without_pods_of_that_label_the_service_is_asked() {
        check(&[pod(DISPATCHER, "10.0.0.4", true)], &["http://in.s.svc.cluster.local/"]);
    }
}
