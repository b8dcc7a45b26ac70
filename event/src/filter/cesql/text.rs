//! Parts of texts, counted in characters, without copying what is borrowed.

use std::borrow::Cow;

/// A part of `text`, borrowed if `text` is.
pub(super) fn narrow<'e>(text: Cow<'e, str>, part: impl for<'t> FnOnce(&'t str) -> &'t str) -> Cow<'e, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(part(text)),
        Cow::Owned(text) => Cow::Owned(part(&text).to_owned()),
    }
}

/// The first `count` characters, or all of them.
pub(super) fn first(text: &str, count: usize) -> &str {
    split(text, count).0
}

/// What follows the first `count` characters.
pub(super) fn after(text: &str, count: usize) -> &str {
    split(text, count).1
}

fn split(text: &str, count: usize) -> (&str, &str) {
    let place = text.char_indices().nth(count).map_or(text.len(), |(index, _)| index);
    text.split_at_checked(place).unwrap_or((text, ""))
}
