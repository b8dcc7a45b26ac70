//! From JSON text to an event.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::value::RawValue;

use super::object::{Object, Text};
use super::wide;
use crate::builder::Builder;
use crate::error::{EventError, excerpt};
use crate::event::{Data, Event, SpecVersion};
use crate::media_type;
use crate::mode;
use crate::names::DATA_BASE64;
use crate::value::Value;

/// Padding is required; unused bits of the last character may be set. Both as Jackson has it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Reads an event in the JSON format. What follows the object in `bytes` is ignored.
///
/// # Errors
/// If `bytes` are no JSON object in UTF-8, UTF-16 or UTF-32, or the object is no event.
pub fn read(bytes: &[u8]) -> Result<Event<'_>, EventError> {
    match wide::decode(bytes)? {
        None => read_utf_8(bytes),
        Some(text) => read_utf_8(text.as_bytes()).map(Event::into_owned),
    }
}

pub(super) fn read_utf_8(bytes: &[u8]) -> Result<Event<'_>, EventError> {
    let mut object = Object::read(bytes)?;
    let spec_version = match object.take("specversion") {
        None => return Err(EventError::Missing { name: "specversion" }),
        Some(raw) => mode::spec_version_of(&string("specversion", raw)?)?,
    };
    let mut builder = Builder::new(spec_version);
    for name in ["id", "source", "type"] {
        let raw = object.take(name).ok_or(EventError::Missing { name })?;
        builder.attribute(Cow::Borrowed(name), string(name, raw)?)?;
    }
    for name in [spec_version.data_schema_name(), "subject", "time"] {
        if let Some(text) = optional_string(name, object.take(name))? {
            builder.attribute(Cow::Borrowed(name), text)?;
        }
    }
    let mut content_type = optional_string("datacontenttype", object.take("datacontenttype"))?;
    let data = Members { plain: object.take("data"), base64: object.take(DATA_BASE64) };
    if content_type.is_none() && data.plain.is_some() {
        content_type = Some(Cow::Borrowed("application/json"));
    }
    let is_base64 = spec_version == SpecVersion::V03
        && optional_string("datacontentencoding", object.take("datacontentencoding"))?.as_deref() == Some("base64");
    let data = read_data(data, content_type.as_deref(), is_base64)?;
    if let Some(content_type) = content_type {
        builder.attribute(Cow::Borrowed("datacontenttype"), content_type)?;
    }
    // Each version has names that are attributes only in the other one.
    for name in ["dataschema", "schemaurl", "datacontentencoding"] {
        if let Some(raw) = object.take(name) {
            read_extension(&mut builder, Cow::Borrowed(name), raw)?;
        }
    }
    for (name, raw) in object.others {
        read_extension(&mut builder, name, raw)?;
    }
    builder.finish(data)
}

/// The two members that may hold the payload.
struct Members<'a> {
    plain: Option<&'a RawValue>,
    base64: Option<&'a RawValue>,
}

fn read_data<'a>(members: Members<'a>, content_type: Option<&str>, is_base64: bool) -> Result<Data<'a>, EventError> {
    match members {
        Members { plain: None, base64: None } => Ok(Data::None),
        Members { plain: Some(_), base64: Some(_) } => Err(EventError::DataTwice),
        Members { plain: None, base64: Some(raw) } => decode_base64(DATA_BASE64, raw),
        Members { plain: Some(raw), base64: None } if is_base64 => decode_base64("data", raw),
        Members { plain: Some(raw), base64: None } if media_type::is_json(content_type) => {
            Ok(Data::Json(Cow::Borrowed(raw.get().as_bytes())))
        }
        Members { plain: Some(raw), base64: None } => Ok(Data::Binary(match text(raw) {
            Some(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Some(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            None => return Err(member_type("data", "a string, because the content type is not JSON")),
        })),
    }
}

fn decode_base64(name: &'static str, raw: &RawValue) -> Result<Data<'static>, EventError> {
    let mut encoded = string(name, raw)?;
    // Line breaks, as MIME has them.
    if encoded.contains(|character: char| character.is_ascii_whitespace()) {
        encoded.to_mut().retain(|character| !character.is_ascii_whitespace());
    }
    match BASE64.decode(encoded.as_bytes()) {
        Ok(bytes) => Ok(Data::Binary(Cow::Owned(bytes))),
        Err(_) => Err(EventError::Base64 { name }),
    }
}

fn read_extension<'a>(builder: &mut Builder<'a>, name: Cow<'a, str>, raw: &'a RawValue) -> Result<(), EventError> {
    let json = raw.get();
    let value = match json.as_bytes().first() {
        Some(b'n') => return Ok(()),
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'"') => Value::String(string(&name, raw)?),
        Some(b'{' | b'[') => Value::String(compact(json)),
        _ => match json.parse::<i32>() {
            Ok(number) => Value::Integer(number),
            Err(_) => return Err(member_type(&name, "an integer of 32 bits, if it is a number")),
        },
    };
    builder.extension(name, value)
}

/// JSON text without the blanks between its tokens.
fn compact(json: &str) -> Cow<'_, str> {
    if !json.contains(|character: char| character.is_ascii_whitespace()) {
        return Cow::Borrowed(json);
    }
    let (mut in_string, mut escaped) = (false, false);
    let keep = |character: &char| {
        if in_string {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
            return true;
        }
        in_string = *character == '"';
        !character.is_ascii_whitespace()
    };
    Cow::Owned(json.chars().filter(keep).collect())
}

fn optional_string<'a>(name: &str, raw: Option<&'a RawValue>) -> Result<Option<Cow<'a, str>>, EventError> {
    match raw {
        None => Ok(None),
        Some(raw) if raw.get() == "null" => Ok(None),
        Some(raw) => string(name, raw).map(Some),
    }
}

fn string<'a>(name: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, EventError> {
    text(raw).ok_or_else(|| member_type(name, "a string"))
}

/// `None` for anything but a string, and for a string with half a surrogate pair, which no other text can hold.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(raw.get()).ok().map(|Text(text)| text)
}

fn member_type(name: &str, expected: &'static str) -> EventError {
    EventError::MemberType { name: excerpt(name), expected }
}
