//! What is read at start, and what is said when it cannot be used.

use std::collections::BTreeMap;
use std::fs;

use super::*;

struct Files {
    folder: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

fn files() -> Files {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("observability")).unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let env = [
        ("INGRESS_PORT", "8080".to_owned()),
        ("INGRESS_TLS_PORT", "8443".to_owned()),
        ("LIVENESS_PROBE_PATH", "/healthz".to_owned()),
        ("READINESS_PROBE_PATH", "/readyz".to_owned()),
        ("HTTPSERVER_CONFIG_FILE_PATH", path("http")),
        ("PRODUCER_CONFIG_FILE_PATH", path("producer")),
        ("DATA_PLANE_CONFIG_FILE_PATH", path("data")),
        ("CONFIG_OBSERVABILITY_PATH", path("observability")),
        ("WAIT_STARTUP_SECONDS", "8".to_owned()),
    ];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let files = Files { folder, env };
    files.write("producer", "acks=all\n");
    files.write("http", "idleTimeout=0\n");
    files
}

impl Files {
    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    #[track_caller]
    fn check_problems(&self, expected: &[&str]) {
        let problems = Settings::read(&self.env).unwrap_err();
        let found: Vec<_> = problems.iter().collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found:?} does not name {expected}");
        }
    }

    #[track_caller]
    fn check_admin(&self, expected: &[(&str, &str)]) {
        let settings = Settings::read(&self.env).unwrap();
        let found: Vec<_> =
            settings.admin.iter().map(|place| (place.address.as_str(), place.metrics_path.as_str())).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn every_missing_variable_is_named_at_once() {
    let mut files = files();
    files.env.remove("PRODUCER_CONFIG_FILE_PATH");
    files.env.remove("INGRESS_TLS_PORT");
    files.set("INGRESS_PORT", "http");
    files.check_problems(&["INGRESS_PORT", "INGRESS_TLS_PORT", "PRODUCER_CONFIG_FILE_PATH"]);
}

#[test]
fn every_bad_property_of_every_file_is_named_at_once() {
    let files = files();
    files.write("producer", "acks=some\nlinger.ms=soon\n");
    files.write("http", "maxHeaderSize=-5\n");
    files.check_problems(&["acks", "linger.ms", "maxHeaderSize"]);
}

#[test]
fn variables_and_properties_are_complained_of_together_and_each_once() {
    let mut files = files();
    files.set("MILLRACE_LOG_FORMAT", "xml");
    files.env.remove("PRODUCER_CONFIG_FILE_PATH");
    files.env.remove("CONFIG_OBSERVABILITY_PATH");
    files.write("http", "maxHeaderSize=-5\n");
    files.check_problems(&[
        "PRODUCER_CONFIG_FILE_PATH",
        "CONFIG_OBSERVABILITY_PATH",
        "MILLRACE_LOG_FORMAT",
        "maxHeaderSize",
    ]);
}

#[test]
fn without_wishes_there_is_no_admin_port() {
    files().check_admin(&[]);
}

#[test]
fn an_address_of_ours_and_the_peers_metrics_port_may_both_be_asked_for() {
    let mut files = files();
    files.set("MILLRACE_ADMIN_ADDRESS", "127.0.0.1:7070");
    files.check_admin(&[("127.0.0.1:7070", "/metrics")]);
    files.write("observability/metrics-protocol", "prometheus\n");
    files.write("observability/metrics-endpoint", "http://ignored:9191/prom");
    files.check_admin(&[("127.0.0.1:7070", "/metrics"), ("0.0.0.0:9191", "/prom")]);
    files.set("METRICS_HOST", "127.0.0.1");
    files.set("MILLRACE_ADMIN_ADDRESS", "127.0.0.1:9191");
    files.check_admin(&[("127.0.0.1:9191", "/prom")]);
}
