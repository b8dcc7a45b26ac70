//! The JSON format: a whole event as one JSON object, or a batch of them as one array.
//!
//! `data` is cut out of the text and put back into text, never parsed and printed, so its bytes survive: number
//! spelling, blanks, escapes and the order of members. A text in UTF-16 or UTF-32 is turned into UTF-8 first; a byte order
//! mark is skipped.
//! Sources: CloudEvents JSON format 1.0.2 and 0.3; the Java SDK's Jackson reader and writer. Ours where it differs:
//! an extension that is null is absent (there it becomes the text `null`), an extension with an empty name is refused,
//! and a body that is not JSON in spite of its content type is written as base64 (there it makes a broken text).

mod batch;
mod object;
mod read;
mod wide;
mod write;

pub use batch::{BATCH_MEDIA_TYPE, MAX_BATCH_EVENTS, read_batch};
pub use read::read;
pub use write::write;

#[cfg(test)]
mod tests;
