//! CloudEvents over HTTP: reads requests and responses in binary and in structured mode, writes binary mode.
//!
//! Batches are only recognised here; [`json::read_batch`] reads them. Headers other than `ce-*` and `content-type` are not
//! part of an event and are left alone.
//! Sources: CloudEvents HTTP binding 1.0.2, section 3; the Java SDK's reader for mode detection and for duplicates
//! (mode detection takes the first value of a header, attributes take the last).

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::builder::{Builder, is_uri_attribute};
use crate::error::{EventError, excerpt};
use crate::event::{Data, Event, SpecVersion};
use crate::mode::{self, Mode};
use crate::value::Value;
use crate::{header_text, json};

/// What the names of attribute headers start with.
const PREFIX: &str = "ce-";

const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");
const ID: HeaderName = HeaderName::from_static("ce-id");
const SOURCE: HeaderName = HeaderName::from_static("ce-source");
const TYPE: HeaderName = HeaderName::from_static("ce-type");
const DATA_SCHEMA: HeaderName = HeaderName::from_static("ce-dataschema");
const SCHEMA_URL: HeaderName = HeaderName::from_static("ce-schemaurl");
const SUBJECT: HeaderName = HeaderName::from_static("ce-subject");
const TIME: HeaderName = HeaderName::from_static("ce-time");

/// Extensions that the dispatcher adds to every event, or that nearly every event has: their names cost nothing.
const FREQUENT_EXTENSIONS: [(&str, HeaderName); 4] = [
    ("knativekafkapartition", HeaderName::from_static("ce-knativekafkapartition")),
    ("knativekafkaoffset", HeaderName::from_static("ce-knativekafkaoffset")),
    ("partitionkey", HeaderName::from_static("ce-partitionkey")),
    ("traceparent", HeaderName::from_static("ce-traceparent")),
];

/// Whether the headers claim to be an event's, in any format, known or not. [`read`] may still find it malformed.
pub fn claims_event(headers: &HeaderMap) -> bool {
    let has_event_content =
        headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(mode::ANY_FORMAT.as_bytes()));
    has_event_content || headers.contains_key(SPEC_VERSION)
}

/// Whether the body is a JSON batch, by the same narrow comparison that recognises a single structured event.
pub fn is_batch(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| mode::is_media_type(value.as_bytes(), json::BATCH_MEDIA_TYPE))
}

/// Reads a single event. A body without bytes means no data in binary mode.
///
/// # Errors
/// If the message is no event, is one in a format other than JSON, or breaks a rule of the specification.
pub fn read<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Result<Event<'a>, EventError> {
    // Other content types decide nothing, and are not looked at twice.
    let names_format = |value: &&HeaderValue| value.as_bytes().starts_with(mode::ANY_FORMAT.as_bytes());
    let content_type = headers.get(CONTENT_TYPE).filter(names_format).map(header_text::raw);
    let spec_version = headers.get(SPEC_VERSION).map(header_text::raw);
    match mode::detect(content_type.as_deref(), spec_version.as_deref())? {
        Mode::Structured => json::read(body),
        Mode::Binary(spec_version) => read_binary(spec_version, headers, body),
    }
}

fn read_binary<'a>(spec_version: SpecVersion, headers: &'a HeaderMap, body: &'a [u8]) -> Result<Event<'a>, EventError> {
    let mut builder = Builder::new(spec_version);
    for (name, value) in headers {
        if name == CONTENT_TYPE {
            builder.attribute(Cow::Borrowed("datacontenttype"), header_text::raw(value))?;
        } else if let Some(attribute) = name.as_str().strip_prefix(PREFIX).filter(|attribute| !attribute.is_empty()) {
            let value = attribute_text(attribute, spec_version, value)?;
            builder.attribute(Cow::Borrowed(attribute), value)?;
        }
    }
    builder.finish(if body.is_empty() { Data::None } else { Data::Binary(Cow::Borrowed(body)) })
}

/// The decoded value. URIs are the exception: percent-escapes belong to their own syntax, where `a%2Fb` is not `a/b`, so
/// only those are decoded that an encoder must have made of characters outside ASCII. The peer decodes nothing.
fn attribute_text<'a>(
    name: &str,
    spec_version: SpecVersion,
    value: &'a HeaderValue,
) -> Result<Cow<'a, str>, EventError> {
    let raw = header_text::raw(value);
    if header_text::is_plain(&raw) {
        return Ok(raw);
    }
    if is_uri_attribute(name, spec_version) {
        return Ok(header_text::decode_uri(raw));
    }
    match header_text::decode(&raw) {
        Some(decoded) => Ok(Cow::Owned(decoded.into_owned())),
        None => Err(EventError::Escape { name: excerpt(&format!("{PREFIX}{name}")) }),
    }
}

/// Adds the headers of binary mode, replacing headers of the same names. The body is [`Data::bytes`].
///
/// # Errors
/// If the map is full or a name is longer than a header's may be (64 KiB).
pub fn write(event: &Event<'_>, headers: &mut HeaderMap) -> Result<(), EventError> {
    write_shared(event, headers, &Bytes::copy_from_slice)
}

/// As [`write()`], for an event that was borrowed from shared bytes: `share` makes values of its texts, without a copy of
/// those that lie in these bytes.
///
/// # Errors
/// As [`write()`].
pub fn write_shared(
    event: &Event<'_>,
    headers: &mut HeaderMap,
    share: &dyn Fn(&[u8]) -> Bytes,
) -> Result<(), EventError> {
    headers.try_reserve(8 + event.extensions.len()).map_err(|_full| limit("extensions"))?;
    put(headers, SPEC_VERSION, HeaderValue::from_static(event.spec_version.as_str()))?;
    put(headers, ID, header_text::encode(&event.id, share))?;
    put(headers, SOURCE, header_text::encode_uri(&event.source, share))?;
    put(headers, TYPE, header_text::encode(&event.ty, share))?;
    if let Some(content_type) = &event.data_content_type {
        put(headers, CONTENT_TYPE, header_text::content_type(content_type, share))?;
    }
    if let Some(schema) = &event.data_schema {
        let name = match event.spec_version {
            SpecVersion::V03 => SCHEMA_URL,
            SpecVersion::V10 => DATA_SCHEMA,
        };
        put(headers, name, header_text::encode_uri(schema, share))?;
    }
    if let Some(subject) = &event.subject {
        put(headers, SUBJECT, header_text::encode(subject, share))?;
    }
    if let Some(time) = &event.time {
        put(headers, TIME, header_text::encode(time, share))?;
    }
    for (name, value) in event.extensions.iter() {
        put(headers, extension_name(name)?, extension_value(value, share))?;
    }
    Ok(())
}

fn extension_name(name: &str) -> Result<HeaderName, EventError> {
    if let Some((_, known)) = FREQUENT_EXTENSIONS.iter().find(|(known, _)| *known == name) {
        return Ok(known.clone());
    }
    let mut header: SmallVec<[u8; 64]> = SmallVec::from_slice(PREFIX.as_bytes());
    header.extend_from_slice(name.as_bytes());
    HeaderName::from_bytes(&header).map_err(|_too_long| limit(name))
}

fn extension_value(value: &Value<'_>, share: &dyn Fn(&[u8]) -> Bytes) -> HeaderValue {
    match value {
        Value::String(text) => header_text::encode(text, share),
        Value::Boolean(true) => HeaderValue::from_static("true"),
        Value::Boolean(false) => HeaderValue::from_static("false"),
        Value::Integer(value) => HeaderValue::from(*value),
        Value::Long(value) => HeaderValue::from(*value),
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), EventError> {
    match headers.try_insert(name, value) {
        Ok(_replaced) => Ok(()),
        Err(_full) => Err(limit("extensions")),
    }
}

fn limit(name: &str) -> EventError {
    EventError::HeaderLimit { name: excerpt(name) }
}

#[cfg(test)]
mod tests;
