//! Values as collectors see them.

use std::time::Duration as Elapsed;

use super::*;
use crate::metrics::family::OwnerLabels;
use crate::metrics::{BUCKETS_MS, LatencyFamily, Metrics};

const SPAN: Span = Span { start: 5, now: 7 };

fn find<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name} in {metrics:?}"))
}

#[test]
fn a_latency_becomes_a_histogram_with_each_bucket_alone() {
    let registry = Metrics::new();
    let family: LatencyFamily =
        registry.family("kn_eventing_dispatch_latency_ms", "help", &["cloudevents_type"]).unwrap();
    let owner = OwnerLabels::from([("kn_broker_name".to_owned(), "b".to_owned())]);
    let series = family.series(owner);
    for millis in [1, 1, 3, 60_000] {
        series.with(&["t"]).unwrap().observe(Elapsed::from_millis(millis));
    }
    let metrics = metrics(&registry.families(), SPAN);
    assert_eq!(metrics.len(), 1, "the largest value is Prometheus's only: {metrics:?}");
    let metric = find(&metrics, "kn.eventing.dispatch.latency");
    assert_eq!((metric.unit.as_str(), metric.description.as_str()), ("ms", "help"));
    let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
    assert_eq!(histogram.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let point = &histogram.data_points[0];
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano, point.count), (5, 7, 4));
    assert_eq!(point.explicit_bounds, BUCKETS_MS);
    assert_eq!(point.bucket_counts, [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(point.sum, Some(60_005.0));
    let labels: Vec<_> = point.attributes.iter().map(|label| label.key.as_str()).collect();
    assert_eq!(labels, ["cloudevents.type", "kn.broker.name"]);
}

#[test]
fn counters_are_sums_that_only_grow_and_gauges_are_gauges() {
    let registry = Metrics::new();
    registry.counter("millrace_ingress_requests_total", "c").unwrap().inc_by(3);
    registry.gauge("millrace_ingress_connections_max", "g").unwrap().set(-2);
    let metrics = metrics(&registry.families(), SPAN);
    let Some(Data::Sum(sum)) = &find(&metrics, "millrace.ingress.requests").data else { panic!("{metrics:?}") };
    assert!(sum.is_monotonic);
    assert_eq!(sum.data_points[0].value, Some(Value::AsDouble(3.0)));
    let Some(Data::Gauge(gauge)) = &find(&metrics, "millrace.ingress.connections_max").data else {
        panic!("{metrics:?}")
    };
    assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(-2.0)));
}
