//! Splits a JSON object into members whose values are not looked into yet.
//!
//! Members of the same name: the last wins. Whatever follows the object is ignored, as Jackson does.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::error::{EventError, excerpt};
use crate::extensions::MAX_EXTENSIONS;
use crate::names::{self, JSON_MEMBERS};

/// The members of one object, each name once.
#[derive(Debug)]
pub(super) struct Object<'a> {
    known: [Option<&'a RawValue>; JSON_MEMBERS],
    /// In the order of the text.
    pub(super) others: SmallVec<[(Cow<'a, str>, &'a RawValue); 8]>,
}

impl<'a> Object<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, EventError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        Self::deserialize(&mut serde_json::Deserializer::from_slice(bytes))
            .map_err(|error| EventError::Json { reason: excerpt(&error.to_string()) })
    }

    /// The member called `name`, which must be one of those with a meaning.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = names::json_member(name)?;
        self.known.get_mut(index)?.take()
    }

    fn insert(&mut self, name: Cow<'a, str>, value: &'a RawValue) {
        if let Some(slot) = names::json_member(&name).and_then(|index| self.known.get_mut(index)) {
            *slot = Some(value);
            return;
        }
        if let Some((_, known)) = self.others.iter_mut().find(|(known, _)| *known == name) {
            *known = value;
            return;
        }
        self.others.push((name, value));
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object { known: [None; JSON_MEMBERS], others: SmallVec::new() };
        // Repeated names count too: each costs a search.
        for _ in 0..MAX_EXTENSIONS + JSON_MEMBERS {
            match map.next_entry()? {
                Some((Text(name), value)) => object.insert(name, value),
                None => return Ok(object),
            }
        }
        match map.next_key::<Text<'_>>()? {
            Some(_) => Err(A::Error::custom(EventError::TooManyExtensions { limit: MAX_EXTENSIONS })),
            None => Ok(object),
        }
    }
}

/// A JSON string that is borrowed unless it has escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}
