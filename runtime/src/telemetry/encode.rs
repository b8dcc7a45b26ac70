//! Spans as OTLP messages, and what both kinds of export have in common. Pure.

use std::time::Duration;

use millrace_config::env::ServiceEnv;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as proto;

use super::span::{Kind, Span};

/// The peer's name for what makes spans.
const SCOPE: &str = "io.vertx";

/// One request with all spans of a batch.
pub(super) fn traces(spans: Vec<Span>, service: &ServiceEnv) -> ExportTraceServiceRequest {
    let attributes = vec![
        attribute("service.name", service.name.clone()),
        attribute("service.namespace", service.namespace.clone()),
    ];
    let scope = InstrumentationScope { name: SCOPE.to_owned(), ..InstrumentationScope::default() };
    let spans = spans.into_iter().map(span).collect();
    let scope_spans = proto::ScopeSpans { scope: Some(scope), spans, ..proto::ScopeSpans::default() };
    let resource = proto::ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: vec![scope_spans],
        ..proto::ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![resource] }
}

fn span(span: Span) -> proto::Span {
    let kind = match span.kind {
        Kind::Server => proto::span::SpanKind::Server,
        Kind::Client => proto::span::SpanKind::Client,
        Kind::Producer => proto::span::SpanKind::Producer,
        Kind::Consumer => proto::span::SpanKind::Consumer,
    };
    let failed = |message| proto::Status { message, code: proto::status::StatusCode::Error.into() };
    proto::Span {
        trace_id: span.context.trace_id.to_vec(),
        span_id: span.context.span_id.to_vec(),
        parent_span_id: span.parent.to_vec(),
        flags: span.context.flags.into(),
        name: span.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes: span.attributes.into_iter().map(|(name, value)| attribute(name, value)).collect(),
        status: span.error.map(failed),
        ..proto::Span::default()
    }
}

/// A name and a text.
pub(super) fn attribute(name: impl Into<String>, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: name.into(), value, ..KeyValue::default() }
}

/// Of a time since 1970.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
