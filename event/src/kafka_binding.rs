//! CloudEvents in Kafka records: headers, value and key, without a Kafka client.
//!
//! Header values are UTF-8 and never percent-encoded. The order of the headers and the use of `content-type` (without
//! `ce_`) follow the Java data plane, so that records of both planes look alike.
//! Sources: CloudEvents Kafka binding 1.0.2; the Java SDK's Kafka module for duplicates (the last counts) and for case
//! (header names are case-sensitive, attribute names are lower-cased).

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::builder::Builder;
use crate::error::EventError;
use crate::event::{Data, Event, SpecVersion};
use crate::json;
use crate::mode::{self, JSON_FORMAT, Mode};

const PREFIX: &str = "ce_";
const CONTENT_TYPE: &str = "content-type";
const SPEC_VERSION: &str = "ce_specversion";

/// The extension that becomes the record's key.
const PARTITION_KEY: &str = "partitionkey";

/// Somewhere to put record headers, in order.
pub trait RecordHeaders {
    /// Appends a header.
    fn add(&mut self, name: &str, value: &[u8]);
}

/// Writes the headers of a binary record. Its value is [`payload`]. Allocates nothing for extension names of up to
/// 61 bytes.
pub fn write_binary(event: &Event<'_>, headers: &mut impl RecordHeaders) {
    headers.add(SPEC_VERSION, event.spec_version.as_str().as_bytes());
    headers.add("ce_id", event.id.as_bytes());
    headers.add("ce_source", event.source.as_bytes());
    headers.add("ce_type", event.ty.as_bytes());
    if let Some(content_type) = &event.data_content_type {
        headers.add(CONTENT_TYPE, content_type.as_bytes());
    }
    if let Some(schema) = &event.data_schema {
        let name = match event.spec_version {
            SpecVersion::V03 => "ce_schemaurl",
            SpecVersion::V10 => "ce_dataschema",
        };
        headers.add(name, schema.as_bytes());
    }
    if let Some(subject) = &event.subject {
        headers.add("ce_subject", subject.as_bytes());
    }
    if let Some(time) = &event.time {
        headers.add("ce_time", time.as_bytes());
    }
    let mut header: SmallVec<[u8; 64]> = SmallVec::from_slice(PREFIX.as_bytes());
    for (name, value) in event.extensions.iter() {
        header.truncate(PREFIX.len());
        header.extend_from_slice(name.as_bytes());
        let header = std::str::from_utf8(&header).expect("a prefix and a name are text, so both together are");
        value.with_text(|text| headers.add(header, text.as_bytes()));
    }
}

/// Writes the one header of a structured record and returns the record's value.
///
/// # Errors
/// As [`json::write`].
pub fn write_structured(event: &Event<'_>, headers: &mut impl RecordHeaders) -> Result<Vec<u8>, EventError> {
    let value = json::write(event)?;
    headers.add(CONTENT_TYPE, JSON_FORMAT.as_bytes());
    Ok(value)
}

/// The value of a binary record; `None` is a null value, which an event without data has.
pub fn payload<'e>(event: &'e Event<'_>) -> Option<&'e [u8]> {
    event.data.bytes()
}

/// The record's key: the text of the extension `partitionkey`, also if it is a number or a boolean. `None` is a null
/// key; an empty text is an empty key.
pub fn key<'e>(event: &'e Event<'_>) -> Option<Cow<'e, [u8]>> {
    event.extensions.get(PARTITION_KEY).map(|value| match value.text() {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// Reads a record of either mode. In binary mode no value and an empty value both mean no data. A header without a
/// value is as good as absent.
///
/// # Errors
/// If the record is no event, is one in a format other than JSON, or breaks a rule of the specification.
pub fn read<'a>(
    headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + Clone,
    payload: Option<&'a [u8]>,
) -> Result<Event<'a>, EventError> {
    let headers = headers.filter_map(|(name, value)| Some((name, value?)));
    let (mut content_type, mut spec_version) = (None, None);
    for (name, value) in headers.clone() {
        match name {
            CONTENT_TYPE => content_type = Some(value),
            SPEC_VERSION => spec_version = Some(value),
            _ => {}
        }
    }
    let content_type = content_type.map(text);
    let spec_version = spec_version.map(text);
    match mode::detect(content_type.as_deref(), spec_version.as_deref())? {
        Mode::Structured => json::read(payload.unwrap_or_default()),
        Mode::Binary(spec_version) => read_binary(spec_version, headers, payload),
    }
}

fn read_binary<'a>(
    spec_version: SpecVersion,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    payload: Option<&'a [u8]>,
) -> Result<Event<'a>, EventError> {
    let mut builder = Builder::new(spec_version);
    for (name, value) in headers {
        if name == CONTENT_TYPE {
            builder.attribute(Cow::Borrowed("datacontenttype"), text(value))?;
        } else if let Some(attribute) = name.strip_prefix(PREFIX).filter(|attribute| !attribute.is_empty()) {
            builder.attribute(lower_case(attribute), text(value))?;
        }
    }
    builder.finish(match payload {
        None | Some([]) => Data::None,
        Some(bytes) => Data::Binary(Cow::Borrowed(bytes)),
    })
}

/// Bytes that are not UTF-8 become replacement characters, as in Java: a bad byte in a header is no reason to lose the
/// event.
fn text(value: &[u8]) -> Cow<'_, str> {
    // The usual case, and faster than asking for a lossy conversion at once.
    std::str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed)
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests;
