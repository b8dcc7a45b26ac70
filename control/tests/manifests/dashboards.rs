//! The dashboard and the alerts ask for metrics that the processes have.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{deploy, documents, files, read};

/// Names of metrics in a query: they begin with `kn_` or `millrace_`. Labels such as `kn_kafkachannel_name` are no
/// metrics; they end in `_name` or `_namespace`.
fn metrics(query: &str) -> BTreeSet<String> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names = words.filter(|word| word.starts_with("kn_eventing_") || word.starts_with("millrace_"));
    let base = |name: &str| {
        let histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        histogram.unwrap_or(name).to_owned()
    };
    names.map(base).collect()
}

/// The sources in which metrics have their names.
fn sources() -> String {
    let root = deploy("..");
    let crates = ["ingress", "dispatcher", "control", "runtime"];
    let all = crates.iter().flat_map(|krate| files(&root.join(krate).join("src"), ".rs"));
    all.map(|path| read(&path)).collect()
}

#[test]
fn every_metric_of_the_dashboard_and_of_the_alerts_exists() {
    let dashboard: Value = serde_json::from_str(&read(&deploy("dashboards/millrace.json"))).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let mut queries: Vec<String> = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    assert!(queries.len() > 20);
    let rules = documents(&deploy("components/prometheus-operator/rules.yaml")).remove(0);
    let alerts = rules["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert!(alerts.len() > 5);
    queries.extend(alerts.iter().map(|alert| alert["expr"].as_str().unwrap().to_owned()));
    let sources = sources();
    for query in queries {
        let metrics = metrics(&query);
        assert!(!metrics.is_empty(), "{query} asks for nothing of ours");
        for metric in metrics {
            assert!(sources.contains(&format!("\"{metric}\"")), "there is no metric {metric}: {query}");
        }
    }
}

#[test]
fn every_alert_says_what_happened_and_how_bad_it_is() {
    let rules = documents(&deploy("components/prometheus-operator/rules.yaml")).remove(0);
    for alert in rules["spec"]["groups"][0]["rules"].as_array().unwrap() {
        assert!(["warning", "critical"].iter().any(|level| alert["labels"]["severity"] == *level), "{alert}");
        for text in ["summary", "description"] {
            assert!(alert["annotations"][text].is_string(), "{alert}");
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&read(&deploy("dashboards/millrace.json"))).unwrap();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |field: &str| panel["gridPos"][field].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
    }
}
