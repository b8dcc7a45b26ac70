//! Texts that count as absent: nothing, or only white space.

/// Nothing, or only white space.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The text, unless it is blank.
pub(super) fn non_blank(text: String) -> Option<String> {
    (!is_blank(&text)).then_some(text)
}
