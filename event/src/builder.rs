//! Gathers attributes in the order in which a reader meets them and checks each: the one place with attribute rules.
//!
//! A later value of a name replaces an earlier one, as in every binding of the peer. Names arrive lower-cased where the
//! binding does that.
//! Sources: CloudEvents 1.0.2 and 0.3, "context attributes"; the Java SDK's builders for what is accepted.

use std::borrow::Cow;

use crate::error::{EventError, excerpt};
use crate::event::{Data, Event, SpecVersion};
use crate::extensions::Extensions;
use crate::value::Value;
use crate::{time, uri};

/// An event of which not everything is known yet.
pub(crate) struct Builder<'a> {
    spec_version: SpecVersion,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    ty: Option<Cow<'a, str>>,
    data_content_type: Option<Cow<'a, str>>,
    data_schema: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    extensions: Extensions<'a>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(spec_version: SpecVersion) -> Self {
        Self {
            spec_version,
            id: None,
            source: None,
            ty: None,
            data_content_type: None,
            data_schema: None,
            subject: None,
            time: None,
            extensions: Extensions::new(),
        }
    }

    /// Sets an attribute, or an extension if `name` is none of the version's attributes.
    pub(crate) fn attribute(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), EventError> {
        match (name.as_ref(), self.spec_version) {
            // Whoever builds has read it already, to know the version.
            ("specversion", _) => {}
            ("id", _) => self.id = Some(value),
            ("source", _) => self.source = Some(checked_uri("source", value)?),
            ("type", _) => self.ty = Some(value),
            ("datacontenttype", _) => self.data_content_type = Some(value),
            ("dataschema", SpecVersion::V10) => self.data_schema = Some(checked_uri("dataschema", value)?),
            ("schemaurl", SpecVersion::V03) => self.data_schema = Some(checked_uri("schemaurl", value)?),
            ("subject", _) => self.subject = Some(value),
            ("time", _) => self.time = Some(normal_time(value)?),
            // It describes how a JSON text holds the data, so it ends where the JSON text does.
            ("datacontentencoding", SpecVersion::V03) => {}
            _ => self.extensions.insert(name, Value::String(value))?,
        }
        Ok(())
    }

    /// Sets an extension of any kind.
    pub(crate) fn extension(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), EventError> {
        self.extensions.insert(name, value)
    }

    /// The event, if everything required is there.
    pub(crate) fn finish(self, data: Data<'a>) -> Result<Event<'a>, EventError> {
        Ok(Event {
            spec_version: self.spec_version,
            id: self.id.ok_or(EventError::Missing { name: "id" })?,
            source: self.source.ok_or(EventError::Missing { name: "source" })?,
            ty: self.ty.ok_or(EventError::Missing { name: "type" })?,
            data_content_type: self.data_content_type,
            data_schema: self.data_schema,
            subject: self.subject,
            time: self.time,
            extensions: self.extensions,
            data,
        })
    }
}

/// Whether the version has a URI attribute of that name.
pub(crate) fn is_uri_attribute(name: &str, spec_version: SpecVersion) -> bool {
    name == "source" || name == spec_version.data_schema_name()
}

fn checked_uri<'a>(name: &'static str, value: Cow<'a, str>) -> Result<Cow<'a, str>, EventError> {
    match uri::check(&value) {
        Ok(()) => Ok(value),
        Err(reason) => Err(EventError::Uri { name, found: excerpt(&value), reason }),
    }
}

fn normal_time(value: Cow<'_, str>) -> Result<Cow<'_, str>, EventError> {
    let rewritten = match time::normalise(&value) {
        Ok(Cow::Borrowed(_)) => None,
        Ok(Cow::Owned(text)) => Some(text),
        Err(reason) => return Err(EventError::Time { found: excerpt(&value), reason }),
    };
    Ok(rewritten.map_or(value, Cow::Owned))
}
