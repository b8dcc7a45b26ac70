//! From a JSON batch to events, each on its own.
//!
//! An element that is no event spoils nothing but itself: whoever sent the batch is told which ones were refused, and
//! why. The text as a whole must be one JSON array, with nothing after it: the peer takes no batches, so unlike with
//! single events no sender can depend on a parser that overlooks the rest.
//! Source: CloudEvents JSON format 1.0.2, section 4.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{read, wide};
use crate::error::{EventError, excerpt};
use crate::event::Event;

/// The media type of a batch. Parameters may follow it.
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// Most elements of one batch. More is an error: an element of two bytes would take hundreds of times its size in
/// memory, whatever the limit of the body.
pub const MAX_BATCH_EVENTS: usize = 4096;

/// Reads a batch; the results are in the order of the text. A batch may be empty.
///
/// # Errors
/// If `bytes` are not one JSON array in UTF-8, UTF-16 or UTF-32, or it has more than [`MAX_BATCH_EVENTS`] elements.
/// Then nothing of it is known to be an event.
pub fn read_batch(bytes: &[u8]) -> Result<Vec<Result<Event<'_>, EventError>>, EventError> {
    match wide::decode(bytes)? {
        None => Ok(elements(bytes)?.into_iter().map(element).collect()),
        Some(text) => {
            let read = |raw| element(raw).map(Event::into_owned);
            Ok(elements(text.as_bytes())?.into_iter().map(read).collect())
        }
    }
}

fn element(raw: &RawValue) -> Result<Event<'_>, EventError> {
    read::read_utf_8(raw.get().as_bytes())
}

fn elements(bytes: &[u8]) -> Result<Vec<&RawValue>, EventError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match serde_json::from_slice(bytes) {
        Ok(Elements(raw)) if raw.len() > MAX_BATCH_EVENTS => Err(EventError::TooManyEvents { limit: MAX_BATCH_EVENTS }),
        Ok(Elements(raw)) => Ok(raw),
        Err(error) => Err(EventError::JsonBatch { reason: excerpt(&error.to_string()) }),
    }
}

/// The elements, not looked into; when there are too many, one more than the limit.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Elements<'de>, A::Error> {
        let mut raw = Vec::new();
        // A text that goes wrong only later is read to its end nevertheless: it is no batch at all then.
        while let Some(element) = sequence.next_element()? {
            if raw.len() <= MAX_BATCH_EVENTS {
                raw.push(element);
            }
        }
        Ok(Elements(raw))
    }
}

#[cfg(test)]
mod tests;
