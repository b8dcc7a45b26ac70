//! The registry's values as OTLP metrics: cumulative since the process began, under the peer's dotted names. Pure.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, metric::Data,
};
use prometheus::proto::{self, MetricFamily, MetricType};

use super::encode::attribute;
use super::names;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// When the values began to count and when they were read, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) now: u64,
}

/// One metric for each family. The `_max` gauges beside latencies are Prometheus's only, as with the peer.
pub(super) fn metrics(families: &[MetricFamily], span: Span) -> Vec<Metric> {
    families.iter().filter(|family| !is_largest(family, families)).map(|family| metric(family, span)).collect()
}

fn is_largest(family: &MetricFamily, all: &[MetricFamily]) -> bool {
    let latency = family.name().strip_suffix("_max");
    latency.is_some_and(|name| {
        all.iter().any(|other| other.name() == name && other.get_field_type() == MetricType::HISTOGRAM)
    })
}

fn metric(family: &MetricFamily, span: Span) -> Metric {
    let numbers = |value: fn(&proto::Metric) -> f64| -> Vec<_> {
        family.get_metric().iter().map(|metric| number(family, metric, value(metric), span)).collect()
    };
    let data = match family.get_field_type() {
        MetricType::COUNTER => Data::Sum(Sum {
            data_points: numbers(|metric| metric.get_counter().get_value()),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: family.get_metric().iter().map(|metric| histogram(family, metric, span)).collect(),
            aggregation_temporality: CUMULATIVE,
        }),
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
            Data::Gauge(Gauge { data_points: numbers(|metric| metric.get_gauge().get_value()) })
        }
    };
    let (name, unit) = names::meter(family.name());
    Metric { name, description: family.help().to_owned(), unit: unit.to_owned(), data: Some(data), ..Metric::default() }
}

fn number(family: &MetricFamily, metric: &proto::Metric, value: f64, span: Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(family, metric),
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Prometheus counts every bucket with all before it; OTLP counts each alone, and one more beyond the last bound.
fn histogram(family: &MetricFamily, metric: &proto::Metric, span: Span) -> HistogramDataPoint {
    let histogram = metric.get_histogram();
    let finite = || histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let mut below = 0;
    let mut bucket_counts: Vec<_> = finite()
        .map(|bucket| {
            let count = bucket.cumulative_count().saturating_sub(below);
            below = bucket.cumulative_count();
            count
        })
        .collect();
    bucket_counts.push(histogram.get_sample_count().saturating_sub(below));
    HistogramDataPoint {
        attributes: attributes(family, metric),
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        count: histogram.get_sample_count(),
        sum: Some(histogram.get_sample_sum()),
        bucket_counts,
        explicit_bounds: finite().map(proto::Bucket::upper_bound).collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(family: &MetricFamily, metric: &proto::Metric) -> Vec<KeyValue> {
    let labels = metric.get_label().iter();
    labels.map(|label| attribute(names::label(family.name(), label.name()), label.value())).collect()
}

#[cfg(test)]
mod tests;
