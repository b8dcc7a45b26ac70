//! From an event to JSON text.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;

use crate::error::EventError;
use crate::event::{Data, Event, SpecVersion};
use crate::media_type;
use crate::value::Value;

/// Writes an event as compact JSON, its members in the order of the Java SDK. Data goes in unchanged if it is JSON by
/// content type and by content, else as base64.
///
/// # Errors
/// If an extension is called `data`: binary mode can carry that name, but the object would have the member twice.
pub fn write(event: &Event<'_>) -> Result<Vec<u8>, EventError> {
    if event.extensions.get("data").is_some() {
        return Err(EventError::ReservedName { name: "data".to_owned() });
    }
    let mut json = Vec::with_capacity(256 + event.data.bytes().map_or(0, |data| data.len() + data.len() / 2));
    json.extend_from_slice(b"{\"specversion\":\"");
    json.extend_from_slice(event.spec_version.as_str().as_bytes());
    json.push(b'"');
    let attributes = [
        ("id", Some(&event.id)),
        ("source", Some(&event.source)),
        ("type", Some(&event.ty)),
        ("datacontenttype", event.data_content_type.as_ref()),
        (event.spec_version.data_schema_name(), event.data_schema.as_ref()),
        ("subject", event.subject.as_ref()),
        ("time", event.time.as_ref()),
    ];
    for (name, value) in attributes {
        if let Some(value) = value {
            push_name(&mut json, name);
            push_string(&mut json, value);
        }
    }
    for (name, value) in event.extensions.iter() {
        push_name(&mut json, name);
        push_value(&mut json, value);
    }
    push_data(&mut json, event);
    json.push(b'}');
    Ok(json)
}

fn push_data(json: &mut Vec<u8>, event: &Event<'_>) {
    match &event.data {
        Data::None => {}
        Data::Json(text) => {
            push_name(json, "data");
            json.extend_from_slice(text);
        }
        Data::Binary(bytes) if media_type::is_json(event.data_content_type.as_deref()) && is_json_text(bytes) => {
            push_name(json, "data");
            json.extend_from_slice(bytes);
        }
        Data::Binary(bytes) => {
            match event.spec_version {
                SpecVersion::V10 => push_name(json, "data_base64"),
                SpecVersion::V03 => {
                    json.extend_from_slice(b",\"datacontentencoding\":\"base64\"");
                    push_name(json, "data");
                }
            }
            push_string(json, &BASE64_STANDARD.encode(bytes));
        }
    }
}

/// Whether `bytes` are exactly one JSON value.
fn is_json_text(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

fn push_name(json: &mut Vec<u8>, name: &str) {
    json.extend_from_slice(b",\"");
    json.extend_from_slice(name.as_bytes());
    json.extend_from_slice(b"\":");
}

fn push_value(json: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::String(text) => push_string(json, text),
        Value::Boolean(_) | Value::Integer(_) => value.with_text(|text| json.extend_from_slice(text.as_bytes())),
        // Beyond the integers of CloudEvents; a reader would refuse the number.
        Value::Long(_) => value.with_text(|text| push_string(json, text)),
    }
}

fn push_string(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("writing text to memory cannot fail");
}
