//! The JSON format: a whole event as one JSON object.
//!
//! `data` is cut out of the text and put back into text, never parsed and printed, so its bytes survive: number
//! spelling, blanks, escapes and the order of members. Only UTF-8 is read (a byte order mark is skipped); UTF-16 and
//! UTF-32, which Java detects and decodes, are refused by name, as RFC 8259 allows.
//! Sources: CloudEvents JSON format 1.0.2 and 0.3; the Java SDK's Jackson reader and writer. Ours where it differs:
//! an extension that is null is absent (there it becomes the text `null`), an extension with an empty name is refused,
//! and a body that is not JSON in spite of its content type is written as base64 (there it makes a broken text).

mod object;
mod read;
mod write;

pub use read::read;
pub use write::write;

#[cfg(test)]
mod tests;
