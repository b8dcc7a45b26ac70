//! Finds an attribute of an event by a name that was looked up once.
//!
//! Names are compared as they stand: all attributes have lower-case names, so a name in other letters is of no attribute.
//! Source: CloudEvents SQL 1.0.0, section 3.2.

use std::borrow::Cow;

use super::value::Value;
use crate::event::{Event, SpecVersion};
use crate::value::Value as Extension;

/// An attribute or extension by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attribute {
    SpecVersion,
    Id,
    Source,
    Type,
    DataContentType,
    /// `dataschema` and `schemaurl`; see [`schema`].
    DataSchema(&'static str),
    Subject,
    Time,
    Extension(Box<str>),
}

impl Attribute {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "specversion" => Attribute::SpecVersion,
            "id" => Attribute::Id,
            "source" => Attribute::Source,
            "type" => Attribute::Type,
            "datacontenttype" => Attribute::DataContentType,
            "dataschema" => Attribute::DataSchema(SpecVersion::V10.data_schema_name()),
            "schemaurl" => Attribute::DataSchema(SpecVersion::V03.data_schema_name()),
            "subject" => Attribute::Subject,
            "time" => Attribute::Time,
            extension => Attribute::Extension(extension.into()),
        }
    }

    /// The value; `None` if the event has no such attribute. Integers beyond 32 bits are texts here, and only they are
    /// allocated.
    pub(super) fn value<'e>(&self, event: &'e Event<'_>) -> Option<Value<'e>> {
        let text = match self {
            Attribute::SpecVersion => Some(event.spec_version.as_str()),
            Attribute::Id => Some(event.id.as_ref()),
            Attribute::Source => Some(event.source.as_ref()),
            Attribute::Type => Some(event.ty.as_ref()),
            Attribute::DataContentType => event.data_content_type.as_deref(),
            Attribute::DataSchema(name) => return schema(name, event),
            Attribute::Subject => event.subject.as_deref(),
            Attribute::Time => event.time.as_deref(),
            Attribute::Extension(name) => return event.extensions.get(name).map(extension),
        };
        text.map(|text| Value::String(Cow::Borrowed(text)))
    }

    pub(super) fn exists(&self, event: &Event<'_>) -> bool {
        match self {
            Attribute::SpecVersion | Attribute::Id | Attribute::Source | Attribute::Type => true,
            Attribute::DataContentType => event.data_content_type.is_some(),
            Attribute::DataSchema(name) => schema(name, event).is_some(),
            Attribute::Subject => event.subject.is_some(),
            Attribute::Time => event.time.is_some(),
            Attribute::Extension(name) => event.extensions.get(name).is_some(),
        }
    }
}

/// The schema goes by both names in both versions, as in attribute filters, unless the name that belongs to the other
/// version is one of an extension.
fn schema<'e>(name: &str, event: &'e Event<'_>) -> Option<Value<'e>> {
    if let Some(value) = event.extensions.get(name) {
        return Some(extension(value));
    }
    event.data_schema.as_deref().map(|text| Value::String(Cow::Borrowed(text)))
}

fn extension<'e>(value: &'e Extension<'_>) -> Value<'e> {
    match value {
        Extension::String(text) => Value::String(Cow::Borrowed(text)),
        Extension::Boolean(value) => Value::Boolean(*value),
        Extension::Integer(value) => Value::Integer(*value),
        Extension::Long(value) => Value::String(Cow::Owned(value.to_string())),
    }
}
