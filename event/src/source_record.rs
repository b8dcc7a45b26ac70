//! Makes events of Kafka records that are none, as a KafkaSource does.
//!
//! The caller has tried [`crate::kafka_binding::read`] first. A header without a value is skipped (the Java data plane
//! loses the whole poll over one).
//! Source: Knative's KafkaSource as its Java data plane converts records and keys.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use millrace_config::contract::KeyType;

use crate::error::EventError;
use crate::event::{Data, Event};
use crate::time;
use crate::value::Value;

mod number;

/// The event type of every converted record.
pub const EVENT_TYPE: &str = "dev.knative.kafka.event";

/// Where records come from: the object that owns the consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Namespace of the object.
    pub namespace: String,
    /// Its kind in the plural, lower case: `kafkasources`.
    pub kind_plural: String,
    /// Its name.
    pub name: String,
}

/// A record that is no event, without its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The topic it was read from.
    pub topic: &'a str,
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds from 1970; `None` if the record has no time stamp, which leaves the event without a `time`.
    pub timestamp_millis: Option<i64>,
    /// An empty key is no key.
    pub key: Option<&'a [u8]>,
    /// `None` is a null value: an event without data.
    pub payload: Option<&'a [u8]>,
}

/// Makes an event of version 1.0 of a record and its headers.
///
/// # Errors
/// If the record has more headers than an event may have extensions, or if topic or origin do not fit into a URI.
pub fn convert<'a>(
    record: &Record<'a>,
    headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    key_type: KeyType,
    origin: &Origin,
) -> Result<Event<'a>, EventError> {
    let Record { topic, partition, offset, timestamp_millis, key, payload } = *record;
    let Origin { namespace, kind_plural, name } = origin;
    let id = format!("partition:{partition}/offset:{offset}");
    let source = format!("/apis/v1/namespaces/{namespace}/{kind_plural}/{name}#{topic}");
    let mut event = Event::new(id, source, EVENT_TYPE)?;
    event.time = timestamp_millis.map(|millis| Cow::Owned(time::from_unix_millis(millis)));
    event.subject = Some(Cow::Owned(format!("partition:{partition}#{offset}")));
    event.data = payload.map_or(Data::None, |bytes| Data::Binary(Cow::Borrowed(bytes)));
    if let Some(key) = key.filter(|key| !key.is_empty()).map(|key| key_value(key, key_type)) {
        event.extensions.set("partitionkey", key.clone())?;
        event.extensions.set("key", key)?;
    }
    for (name, value) in headers {
        let Some(value) = value else { continue };
        if name.eq_ignore_ascii_case("content-type") {
            event.data_content_type = Some(Cow::Owned(String::from_utf8_lossy(value).to_lowercase()));
        } else {
            event.extensions.set(extension_name(name), String::from_utf8_lossy(value))?;
        }
    }
    Ok(event)
}

/// `kafkaheader` and what is left of the name, in lower case, without everything an extension's name may not have.
fn extension_name(header: &str) -> String {
    let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    "kafkaheader".chars().chain(header.to_lowercase().bytes().filter(allowed).map(char::from)).collect()
}

/// A key that does not have the length of its type is text.
fn key_value(key: &[u8], key_type: KeyType) -> Value<'_> {
    match key_type {
        KeyType::Integer => {
            <[u8; 4]>::try_from(key).map_or_else(|_| text(key), |bytes| Value::Integer(i32::from_be_bytes(bytes)))
        }
        KeyType::Double => float(key).map_or_else(|| text(key), Value::from),
        KeyType::ByteArray => Value::from(BASE64_STANDARD.encode(key)),
        KeyType::String => text(key),
    }
}

fn text(key: &[u8]) -> Value<'_> {
    Value::from(String::from_utf8_lossy(key))
}

/// Text in Java's spelling: CloudEvents has no type for fractions.
fn float(key: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(key) {
        return Some(number::java_text(f32::from_be_bytes(bytes)));
    }
    <[u8; 8]>::try_from(key).ok().map(|bytes| number::java_text(f64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests;
