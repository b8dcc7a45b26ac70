//! OTLP messages as tests look at them. Panics at anything that our exports never send.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};

use super::{Attributes, SeenPoint, SeenSpan};

pub(super) fn spans(request: ExportTraceServiceRequest) -> Vec<SeenSpan> {
    let mut seen = Vec::new();
    for resource in request.resource_spans {
        let about = attributes(resource.resource.unwrap_or_default().attributes);
        for scope in resource.scope_spans {
            let name = scope.scope.unwrap_or_default().name;
            seen.extend(scope.spans.into_iter().map(|span| SeenSpan {
                kind: format!("{:?}", span.kind()),
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent_id: hex(&span.parent_span_id),
                nanos: span.end_time_unix_nano - span.start_time_unix_nano,
                name: span.name,
                attributes: attributes(span.attributes),
                error: span.status.map(|status| status.message),
                resource: about.clone(),
                scope: name.clone(),
            }));
        }
    }
    seen
}

pub(super) fn points(request: ExportMetricsServiceRequest) -> Vec<SeenPoint> {
    let mut seen = Vec::new();
    for resource in request.resource_metrics {
        let about = attributes(resource.resource.unwrap_or_default().attributes);
        for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            for (kind, point, value) in values(&metric) {
                seen.push(SeenPoint {
                    name: metric.name.clone(),
                    unit: metric.unit.clone(),
                    kind,
                    attributes: attributes(point),
                    value,
                    resource: about.clone(),
                });
            }
        }
    }
    seen
}

fn values(metric: &Metric) -> Vec<(&'static str, Vec<KeyValue>, f64)> {
    let number = |value: &Option<number_data_point::Value>| match value {
        Some(number_data_point::Value::AsDouble(value)) => *value,
        Some(number_data_point::Value::AsInt(_)) | None => f64::NAN,
    };
    match metric.data.as_ref().expect("every metric has values") {
        Data::Sum(sum) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{metric:?}");
            sum.data_points.iter().map(|point| ("sum", point.attributes.clone(), number(&point.value))).collect()
        }
        Data::Gauge(gauge) => {
            gauge.data_points.iter().map(|point| ("gauge", point.attributes.clone(), number(&point.value))).collect()
        }
        Data::Histogram(histogram) => {
            assert_eq!(histogram.aggregation_temporality, 2, "{metric:?}");
            let points = histogram.data_points.iter();
            points
                .map(|point| {
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                    let count = u32::try_from(point.count).expect("a test measures little");
                    ("histogram", point.attributes.clone(), f64::from(count))
                })
                .collect()
        }
        Data::ExponentialHistogram(_) | Data::Summary(_) => panic!("nothing of ours is one: {metric:?}"),
    }
}

fn attributes(attributes: Vec<KeyValue>) -> Attributes {
    let text = |value: Option<Value>| match value {
        Some(Value::StringValue(text)) => text,
        other => panic!("attributes are texts: {other:?}"),
    };
    attributes.into_iter().map(|pair| (pair.key, text(pair.value.and_then(|value| value.value)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
