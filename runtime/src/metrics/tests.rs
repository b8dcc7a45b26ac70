//! What a scrape shows.

use std::time::Duration;

use super::family::{MAX_SERIES_PER_OWNER, OwnerLabels};
use super::*;

fn owner(kind: &str, name: &str) -> OwnerLabels {
    OwnerLabels::from([(format!("kn_{kind}_name"), name.to_owned())])
}

fn latencies() -> (Metrics, LatencyFamily) {
    let metrics = Metrics::new();
    let family = metrics.family("kn_test_latency_ms", "Time spent.", &["cloudevents_type", "code"]).unwrap();
    (metrics, family)
}

#[test]
fn a_latency_shows_the_peers_buckets_and_a_max() {
    let (metrics, family) = latencies();
    let series = family.series(owner("broker", "b"));
    series.with(&["t", "202"]).unwrap().observe(Duration::from_micros(700));
    let text = metrics.text();
    let labels = r#"cloudevents_type="t",code="202",kn_broker_name="b""#;
    for (bound, count) in [("0.5", 0), ("1.0", 1), ("50.0", 1), ("100.0", 1), ("10000.0", 1), ("+Inf", 1)] {
        let line = format!("kn_test_latency_ms_bucket{{{labels},le=\"{bound}\"}} {count}\n");
        assert!(text.contains(&line), "missing {line} in {text}");
    }
    assert!(text.contains("# TYPE kn_test_latency_ms_max gauge\n"));
    assert!(text.contains(&format!("kn_test_latency_ms_max{{{labels}}} 0.7\n")), "{text}");
}

#[test]
fn owners_of_different_kinds_share_one_metric_name() {
    let (metrics, family) = latencies();
    let broker = family.series(owner("broker", "b"));
    let channel = family.series(owner("kafkachannel", "c"));
    broker.with(&["t", "202"]).unwrap().observe(Duration::ZERO);
    channel.with(&["t", "202"]).unwrap().observe(Duration::ZERO);
    let text = metrics.text();
    assert!(text.contains(r#"kn_broker_name="b""#) && text.contains(r#"kn_kafkachannel_name="c""#));
    assert_eq!(text.matches("# TYPE kn_test_latency_ms histogram\n").count(), 1);
}

#[test]
fn the_series_of_an_owner_go_with_its_last_holder_and_survive_an_update() {
    let metrics = Metrics::new();
    let family: CounterFamily = metrics.family("kn_test_total", "Count.", &["code"]).unwrap();
    let old = family.series(owner("broker", "b"));
    old.with(&["202"]).unwrap().inc();
    let new = family.series(owner("broker", "b"));
    drop(old);
    new.with(&["202"]).unwrap().inc();
    assert!(metrics.text().contains(r#"kn_test_total{code="202",kn_broker_name="b"} 2"#), "{}", metrics.text());
    drop(new);
    assert_eq!(metrics.text(), "");
}

#[test]
fn too_many_label_values_of_one_owner_become_other() {
    let metrics = Metrics::new();
    let family: CounterFamily = metrics.family("kn_test_total", "Count.", &["type", "code"]).unwrap();
    let series = family.series(owner("broker", "b"));
    for number in 0..MAX_SERIES_PER_OWNER + 50 {
        series.with(&[&format!("type-{number}"), "202"]).unwrap().inc();
    }
    series.with(&["type-0", "202"]).unwrap().inc();
    let text = metrics.text();
    assert_eq!(text.lines().filter(|line| line.starts_with("kn_test_total{")).count(), MAX_SERIES_PER_OWNER + 1);
    assert!(text.contains(r#"type="other"} 50"#), "{text}");
    assert!(text.contains(r#"type="type-0"} 2"#));
}

#[test]
fn a_name_taken_twice_is_refused_with_the_name() {
    let metrics = Metrics::new();
    metrics.counter("twice", "First.").unwrap();
    assert_eq!(metrics.counter("twice", "First.").unwrap_err().to_string(), "cannot create metric twice");
}

#[test]
fn a_scrape_tells_which_build_is_running() {
    let metrics = Metrics::new();
    metrics.build_info().unwrap();
    let (version, profile) = (build_info::version(), build_info::profile());
    let commit = build_info::commit().unwrap_or("unknown");
    let line = format!("millrace_build_info{{commit=\"{commit}\",profile=\"{profile}\",version=\"{version}\"}} 1\n");
    assert!(metrics.text().contains(&line), "{}", metrics.text());
    assert!(metrics.build_info().is_err());
}

#[test]
fn only_bucket_bounds_are_written_with_a_decimal_point() {
    let (metrics, family) = latencies();
    let series = family.series(owner("role", "7"));
    series.with(&["le=\"50\"", "202"]).unwrap().observe(Duration::ZERO);
    let text = metrics.text();
    assert!(text.contains(r#"cloudevents_type="le=\"50\"""#), "{text}");
    assert!(text.contains(r#",le="50.0"}"#), "{text}");
}
