//! Finds out whether a message is a structured event, a binary event or no event.
//!
//! The comparisons are case-sensitive and do not trim, as in the Java SDK: `Application/CloudEvents+JSON` is an
//! ordinary content type there, so a sender that works with one plane works with the other.
//! Source: the Java SDK's message parser; CloudEvents HTTP binding 1.0.2, section 3.

use crate::error::{EventError, excerpt};
use crate::event::SpecVersion;

/// The one structured format that is understood.
pub(crate) const JSON_FORMAT: &str = "application/cloudevents+json";

/// What all CloudEvents formats begin with, batches too.
pub(crate) const ANY_FORMAT: &str = "application/cloudevents";

/// How an event travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Structured,
    Binary(SpecVersion),
}

/// Decides by the content type first: a structured event may carry attribute headers too, and they do not count.
pub(crate) fn detect(content_type: Option<&str>, spec_version: Option<&str>) -> Result<Mode, EventError> {
    if let Some(content_type) = content_type.filter(|content_type| content_type.starts_with(ANY_FORMAT)) {
        if is_media_type(content_type.as_bytes(), JSON_FORMAT) {
            return Ok(Mode::Structured);
        }
        return Err(EventError::UnsupportedFormat { found: excerpt(content_type) });
    }
    match spec_version {
        None => Err(EventError::NotAnEvent),
        Some(text) => spec_version_of(text).map(Mode::Binary),
    }
}

/// Whether a content type is `media_type`, with or without parameters.
pub(crate) fn is_media_type(content_type: &[u8], media_type: &str) -> bool {
    content_type.strip_prefix(media_type.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b';', ..]))
}

/// Reads a `specversion`, which must be exact.
pub(crate) fn spec_version_of(text: &str) -> Result<SpecVersion, EventError> {
    match text {
        "1.0" => Ok(SpecVersion::V10),
        "0.3" => Ok(SpecVersion::V03),
        _ => Err(EventError::SpecVersion { found: excerpt(text) }),
    }
}
