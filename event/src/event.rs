//! One CloudEvent, borrowed from wherever it was read.
//!
//! Every text is a `Cow`, so that an event passes from an HTTP request to a Kafka record, or back, without being copied.
//! Sources: CloudEvents 1.0.2 and 0.3, "context attributes".

use std::borrow::Cow;

use crate::builder::Builder;
use crate::error::EventError;
use crate::extensions::Extensions;
use crate::value::Value;

/// The version of CloudEvents that an event is written in. It is kept from end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecVersion {
    /// `0.3`
    V03,
    /// `1.0`
    V10,
}

impl SpecVersion {
    /// `1.0` or `0.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            SpecVersion::V03 => "0.3",
            SpecVersion::V10 => "1.0",
        }
    }

    /// What this version calls [`Event::data_schema`].
    pub fn data_schema_name(self) -> &'static str {
        match self {
            SpecVersion::V03 => "schemaurl",
            SpecVersion::V10 => "dataschema",
        }
    }
}

/// The payload of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Data<'a> {
    /// No payload. As a Kafka value this is null.
    #[default]
    None,
    /// Bytes as they came.
    Binary(Cow<'a, [u8]>),
    /// The text of a JSON value out of a structured event, byte for byte as it stood there.
    Json(Cow<'a, [u8]>),
}

impl Data<'_> {
    /// The bytes of an HTTP body or a Kafka value; `None` if there is no payload.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Data::None => None,
            Data::Binary(bytes) | Data::Json(bytes) => Some(bytes),
        }
    }

    /// The same payload, borrowing nothing.
    pub fn into_owned(self) -> Data<'static> {
        match self {
            Data::None => Data::None,
            Data::Binary(bytes) => Data::Binary(Cow::Owned(bytes.into_owned())),
            Data::Json(bytes) => Data::Json(Cow::Owned(bytes.into_owned())),
        }
    }
}

/// One event. What the readers of this crate return satisfies the rule of every field; who sets fields by hand keeps
/// to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Which names the attributes have.
    pub spec_version: SpecVersion,
    /// May be empty, which the CloudEvents specification forbids but the Java data plane lets pass.
    pub id: Cow<'a, str>,
    /// A URI reference by [`crate::uri::check`], unchanged. May be empty.
    pub source: Cow<'a, str>,
    /// `type`. May be empty.
    pub ty: Cow<'a, str>,
    /// `datacontenttype`, in HTTP and Kafka the header `content-type`.
    pub data_content_type: Option<Cow<'a, str>>,
    /// `dataschema` of 1.0 or `schemaurl` of 0.3: a URI reference, unchanged.
    pub data_schema: Option<Cow<'a, str>>,
    /// `subject`.
    pub subject: Option<Cow<'a, str>>,
    /// In the form of [`crate::time::normalise`].
    pub time: Option<Cow<'a, str>>,
    /// Everything else.
    pub extensions: Extensions<'a>,
    /// The payload.
    pub data: Data<'a>,
}

impl<'a> Event<'a> {
    /// An event of version 1.0 with nothing but the required attributes.
    ///
    /// # Errors
    /// If `source` is no URI reference.
    pub fn new(
        id: impl Into<Cow<'a, str>>,
        source: impl Into<Cow<'a, str>>,
        ty: impl Into<Cow<'a, str>>,
    ) -> Result<Self, EventError> {
        let mut builder = Builder::new(SpecVersion::V10);
        builder.attribute("id".into(), id.into())?;
        builder.attribute("source".into(), source.into())?;
        builder.attribute("type".into(), ty.into())?;
        builder.finish(Data::None)
    }

    /// The attribute or extension called exactly `name`; `None` if it is absent. Attributes are text, as in headers.
    /// `dataschema` and `schemaurl` both name the schema, whatever the version. `time` is the header's text here, not
    /// the UTC instant that attribute filters compare ([`crate::time::to_instant`]).
    pub fn attribute(&self, name: &str) -> Option<Value<'_>> {
        let text = match name {
            "specversion" => Some(self.spec_version.as_str()),
            "id" => Some(self.id.as_ref()),
            "source" => Some(self.source.as_ref()),
            "type" => Some(self.ty.as_ref()),
            "datacontenttype" => self.data_content_type.as_deref(),
            "dataschema" | "schemaurl" => self.data_schema.as_deref(),
            "subject" => self.subject.as_deref(),
            "time" => self.time.as_deref(),
            extension => return self.extensions.get(extension).map(Value::borrowed),
        };
        text.map(Value::from)
    }

    /// Turns an event of version 0.3 into one of 1.0, as dead letters are: `schemaurl` becomes `dataschema`. A 0.3
    /// event may have an *extension* called `dataschema`; that name is taken in 1.0, so the extension goes.
    pub fn to_version_10(&mut self) {
        match self.spec_version {
            SpecVersion::V10 => {}
            SpecVersion::V03 => {
                self.spec_version = SpecVersion::V10;
                let _replaced: Option<Value<'a>> = self.extensions.remove(SpecVersion::V10.data_schema_name());
            }
        }
    }

    /// The same event, borrowing nothing.
    pub fn into_owned(self) -> Event<'static> {
        Event {
            spec_version: self.spec_version,
            id: owned(self.id),
            source: owned(self.source),
            ty: owned(self.ty),
            data_content_type: self.data_content_type.map(owned),
            data_schema: self.data_schema.map(owned),
            subject: self.subject.map(owned),
            time: self.time.map(owned),
            extensions: self.extensions.into_owned(),
            data: self.data.into_owned(),
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

#[cfg(test)]
mod tests;
