//! What can be wrong with an event, said so that its sender can mend it.
//!
//! The text of an error is the whole reason (causes are part of it, there is no source chain), because the ingress
//! answers with it and the dispatcher logs it. It quotes attributes, shortened, and never data.

use crate::time::TimeError;
use crate::uri::UriError;

/// Why something is not an event, or why an event cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Neither structured nor binary mode.
    #[error("no CloudEvent: the content type is no CloudEvents format and there is no specversion")]
    NotAnEvent,
    /// A CloudEvents content type other than the JSON format, a batch for example.
    #[error("CloudEvents format {found:?} is not supported here")]
    UnsupportedFormat {
        /// The content type, shortened.
        found: String,
    },
    /// Any version but 1.0 and 0.3.
    #[error("specversion {found:?} is not supported, only 1.0 and 0.3 are")]
    SpecVersion {
        /// The value, shortened.
        found: String,
    },
    /// `id`, `source`, `type` or `specversion` is not there. An empty text would be there.
    #[error("required attribute {name} is missing")]
    Missing {
        /// The attribute.
        name: &'static str,
    },
    /// `source`, `dataschema` or `schemaurl` is no URI reference.
    #[error("attribute {name} is no URI reference: {found:?}: {reason}")]
    Uri {
        /// The attribute.
        name: &'static str,
        /// The value, shortened.
        found: String,
        /// What is wrong with it.
        reason: UriError,
    },
    /// `time` is no RFC 3339 date-time.
    #[error("attribute time is no date-time with an offset: {found:?}: {reason}")]
    Time {
        /// The value, shortened.
        found: String,
        /// What is wrong with it.
        reason: TimeError,
    },
    /// A name with anything but `a`-`z` and `0`-`9` in it, or an empty one.
    #[error("extension name {name:?} has characters other than a-z and 0-9, or none")]
    ExtensionName {
        /// The name, shortened.
        name: String,
    },
    /// An extension that has the name of an attribute.
    #[error("{name} is an attribute of CloudEvents and cannot be an extension")]
    ReservedName {
        /// The attribute.
        name: String,
    },
    /// See [`crate::extensions::MAX_EXTENSIONS`].
    #[error("more than {limit} extensions")]
    TooManyExtensions {
        /// How many are allowed.
        limit: usize,
    },
    /// See [`crate::json::MAX_BATCH_EVENTS`].
    #[error("more than {limit} events in one batch")]
    TooManyEvents {
        /// How many are allowed.
        limit: usize,
    },
    /// Percent-escapes in a header value that stand for bytes outside UTF-8.
    #[error("header {name} has percent-escapes that are not UTF-8")]
    Escape {
        /// The header's name.
        name: String,
    },
    /// Structured mode in UTF-16 or UTF-32, with units that are no characters.
    #[error("the JSON text begins like UTF-16 or UTF-32 and is neither")]
    JsonEncoding,
    /// The body of a structured event is no JSON object.
    #[error("no valid JSON object: {reason}")]
    Json {
        /// What the JSON parser said, with line and column.
        reason: String,
    },
    /// The body of a batch is no JSON array.
    #[error("no valid JSON array: {reason}")]
    JsonBatch {
        /// What the JSON parser said, with line and column.
        reason: String,
    },
    /// A JSON member of the wrong type.
    #[error("JSON member {name:?} must be {expected}")]
    MemberType {
        /// The member, shortened.
        name: String,
        /// What it may be.
        expected: &'static str,
    },
    /// `data` and `data_base64` together.
    #[error("data and data_base64 exclude each other")]
    DataTwice,
    /// `data_base64`, or `data` with `datacontentencoding` `base64`, does not decode.
    #[error("member {name} is no base64 text")]
    Base64 {
        /// The member.
        name: &'static str,
    },
    /// An HTTP message cannot hold a header for this attribute: too many headers or too long a name.
    #[error("attribute {name:?} does not fit into the HTTP headers")]
    HeaderLimit {
        /// The attribute, shortened.
        name: String,
    },
}

/// Longest quotation of outside text, in characters: enough to recognise it, too little to flood a log.
const EXCERPT_CHARS: usize = 120;

/// The start of `text`, for a message.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS) {
        None => text.to_owned(),
        Some(_) => text.chars().take(EXCERPT_CHARS).chain(['…']).collect(),
    }
}
