//! The text of an attribute inside an HTTP header.
//!
//! Reading: raw UTF-8 is taken as UTF-8, other bytes as Latin-1 (so no event is refused that the peer accepts; the peer
//! reads everything as Latin-1 and garbles UTF-8); then a value that is one quoted string as a whole is unquoted; then
//! one round of percent-decoding. Quotes inside a value stay, and so do percent signs that start no escape, because
//! senders that do not know the rule send them. Writing: percent-encoding of what the specification lists, so every
//! text becomes a legal header value. The escapes of a URI are part of it and stay, but for those of characters outside
//! ASCII: these are what the writing side makes of such characters, and both spellings are the same URI. So a URI is
//! read back as it was written, and one that passes through leaves as it came.
//! Source: CloudEvents HTTP binding 1.0.2, section 3.1.3.2.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::uri;

/// Makes shared bytes of a text; whoever has what the text was borrowed from needs no copy.
pub(crate) type Share<'a> = &'a dyn Fn(&[u8]) -> Bytes;

/// Besides control characters and everything outside ASCII.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// As [`ESCAPED`], without the percent sign.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"');

/// A header's bytes as text, not yet decoded.
pub(crate) fn raw(value: &HeaderValue) -> Cow<'_, str> {
    // Visible ASCII is the usual case, and the cheapest to find out.
    match value.to_str().or_else(|_| std::str::from_utf8(value.as_bytes())) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.as_bytes().iter().copied().map(char::from).collect()),
    }
}

/// What the sender meant by `raw`, or `None` if escapes stand for bytes that are not UTF-8.
pub(crate) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    match unquote(raw) {
        None => percent_decode_str(raw).decode_utf8().ok(),
        Some(unquoted) => percent_decode_str(&unquoted).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned())),
    }
}

/// Whether [`decode`] could change anything.
pub(crate) fn is_plain(raw: &str) -> bool {
    !raw.starts_with('"') && !raw.as_bytes().contains(&b'%')
}

/// The inside of a quoted string, without its backslashes. `None` unless the whole text is one.
fn unquote(raw: &str) -> Option<String> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next()?),
            // The string ended before the text did, so the text is no quoted string.
            '"' => return None,
            _ => text.push(character),
        }
    }
    Some(text)
}

/// The URI that the sender meant by `raw`: without quotes around it, and with characters outside ASCII for their
/// escapes. Text with any other escape, or that would be no URI afterwards, stays as it is.
pub(crate) fn decode_uri(raw: Cow<'_, str>) -> Cow<'_, str> {
    let text = match unquote(&raw) {
        Some(unquoted) => Cow::Owned(unquoted),
        None => raw,
    };
    let only_beyond_ascii = text
        .split('%')
        .skip(1)
        .all(|escape| matches!(escape.bytes().next(), Some(b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F')));
    match percent_decode_str(&text).decode_utf8() {
        Ok(Cow::Owned(decoded)) if only_beyond_ascii && uri::check(&decoded).is_ok() => Cow::Owned(decoded),
        _ => text,
    }
}

/// A URI as a header value: what a header cannot hold is escaped, and its own escapes stay as they are.
pub(crate) fn encode_uri(text: &str, share: Share<'_>) -> HeaderValue {
    header_value(utf8_percent_encode(text, UNSAFE).into(), share)
}

/// `text` as a header value.
pub(crate) fn encode(text: &str, share: Share<'_>) -> HeaderValue {
    header_value(utf8_percent_encode(text, ESCAPED).into(), share)
}

/// A content type as a header value. Readers never percent-decode it, so it stays as it is unless a header cannot hold
/// it at all.
pub(crate) fn content_type(text: &str, share: Share<'_>) -> HeaderValue {
    match HeaderValue::from_maybe_shared(share(text.as_bytes())) {
        Ok(value) if text.is_ascii() => value,
        _ => header_value(utf8_percent_encode(text, CONTROLS).into(), share),
    }
}

fn header_value(encoded: Cow<'_, str>, share: Share<'_>) -> HeaderValue {
    HeaderValue::from_maybe_shared(match encoded {
        Cow::Borrowed(text) => share(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    })
    .expect("percent-encoded text has only visible ASCII characters and blanks")
}

#[cfg(test)]
mod tests;
