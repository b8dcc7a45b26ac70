//! The standard variables of OpenTelemetry, for what config-observability does not say.
//!
//! Source: OpenTelemetry specification, "environment variables"; spec ingress 3.1 says which of them the peer reads.

use std::collections::BTreeMap;
use std::fmt;

use super::reading::Reading;

/// How exported telemetry is labelled and authorised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtelEnv {
    /// `OTEL_SERVICE_NAME`, of metrics; wins over `service.name` in the attributes.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, of metrics: `name=value,...`.
    pub resource_attributes: BTreeMap<String, String>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`, sent with every export: `name=value,...`.
    pub headers: OtelHeaders,
}

/// Request headers, which often are credentials: `Debug` shows only their names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OtelHeaders(BTreeMap<String, String>);

impl OtelHeaders {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for OtelHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

pub(super) fn otel(reading: &mut Reading<'_>) -> OtelEnv {
    OtelEnv {
        service_name: reading.optional("OTEL_SERVICE_NAME"),
        resource_attributes: pairs(reading, "OTEL_RESOURCE_ATTRIBUTES"),
        headers: OtelHeaders(pairs(reading, "OTEL_EXPORTER_OTLP_HEADERS")),
    }
}

/// A list as in W3C Baggage. What is wrong is never shown: it may be a credential.
fn pairs(reading: &mut Reading<'_>, name: &str) -> BTreeMap<String, String> {
    let text = reading.optional(name).unwrap_or_default();
    let mut pairs = BTreeMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let pair = item.split_once('=').map(|(key, value)| (key.trim(), decoded(value.trim())));
        match pair {
            Some((key, Some(value))) if !key.is_empty() => {
                pairs.insert(key.to_owned(), value);
            }
            Some(_) | None => {
                reading.error(name, "is not a list of name=value,name=value");
                return BTreeMap::new();
            }
        }
    }
    pairs
}

/// Undoes percent-encoding; `None` when an escape is not one or the result is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok()
}
