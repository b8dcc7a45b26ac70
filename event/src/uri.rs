//! Decides whether a text is a URI reference, by the rules of the Java class library.
//!
//! Senders have been held to RFC 2396 as `java.net.URI` reads it (non-ASCII letters allowed, no blanks, no brackets in
//! a path); a stricter or laxer reading would refuse events that used to pass, or store events that the Java
//! dispatcher cannot read. Checks only: the text is never changed.
//! Source: the class documentation of `java.net.URI`; the tables in the tests were run through it. One known
//! difference: leading zeros in an IPv4 tail of an IPv6 host (`[::01.2.3.4]`) are refused here.

use std::net::Ipv6Addr;

/// Why a text is no URI reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// What stands before the first colon is no scheme.
    #[error("the scheme is malformed")]
    Scheme,
    /// A scheme with nothing behind it.
    #[error("nothing follows the scheme")]
    Empty,
    /// Two slashes with nothing behind them, or a host in brackets that is no IPv6 address.
    #[error("the host is malformed")]
    Authority,
    /// A character that must be percent-encoded, or a percent sign without two hexadecimal digits.
    #[error("a character is not allowed, or a percent sign is not followed by two hexadecimal digits")]
    Character,
}

/// Accepts absolute, relative and empty references.
///
/// # Errors
/// Names the part that is malformed.
pub fn check(text: &str) -> Result<(), UriError> {
    let (before_fragment, fragment) = split_at(text, b'#');
    match scheme_end(before_fragment) {
        Some((scheme, rest)) => {
            check_scheme(scheme)?;
            match rest.as_bytes().first() {
                None => return Err(UriError::Empty),
                Some(b'/') => check_hierarchical(rest, fragment.is_some())?,
                Some(_) => check_characters(rest, Part::Other)?,
            }
        }
        None => check_hierarchical(before_fragment, fragment.is_some())?,
    }
    check_characters(fragment.unwrap_or_default(), Part::Other)
}

/// What stands before the first `mark`, an ASCII character, and what stands behind it, if it is there. For texts as short as
/// URIs this costs half of what searching for a `char` does.
fn split_at(text: &str, mark: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == mark) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// Splits at a colon, unless a slash or a question mark comes first: then the text has no scheme.
fn scheme_end(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| matches!(byte, b':' | b'/' | b'?'))?;
    let (scheme, rest) = text.split_at(at);
    rest.strip_prefix(':').map(|rest| (scheme, rest))
}

fn check_scheme(scheme: &str) -> Result<(), UriError> {
    let mut bytes = scheme.bytes();
    let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let goes_on_well = bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if starts_well && goes_on_well { Ok(()) } else { Err(UriError::Scheme) }
}

/// `[//authority][path][?query]`
fn check_hierarchical(text: &str, fragment_follows: bool) -> Result<(), UriError> {
    let (before_query, query) = split_at(text, b'?');
    let path = match before_query.strip_prefix("//") {
        None => before_query,
        Some(rest) => {
            let end = rest.bytes().position(|byte| byte == b'/');
            let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
            // Java allows an empty authority only if anything else follows it.
            if authority.is_empty() && path.is_empty() && query.is_none() && !fragment_follows {
                return Err(UriError::Authority);
            }
            check_authority(authority)?;
            path
        }
    };
    check_characters(path, Part::Path)?;
    check_characters(query.unwrap_or_default(), Part::Other)
}

/// Host names are not looked at closer than for their characters, because Java falls back to "registry-based"
/// authorities, which may be any text. Only brackets force a real host, an IPv6 address.
fn check_authority(authority: &str) -> Result<(), UriError> {
    if !authority.bytes().any(|byte| matches!(byte, b'[' | b']')) {
        return check_characters(authority, Part::Authority);
    }
    let (user, host) = authority.split_once('@').map_or(("", authority), |(user, host)| (user, host));
    check_characters(user, Part::User)?;
    let (address, after) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or(UriError::Authority)?;
    let (address, scope) = address.split_once('%').map_or((address, None), |(address, scope)| (address, Some(scope)));
    let scope_fits = scope.is_none_or(|scope| {
        !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
    });
    let port_fits = match after.strip_prefix(':') {
        None => after.is_empty(),
        Some(port) => port.is_empty() || (is_digits(port) && port.parse::<i32>().is_ok()),
    };
    let fits = scope_fits && port_fits && address.parse::<Ipv6Addr>().is_ok();
    if fits { Ok(()) } else { Err(UriError::Authority) }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Every ASCII character must be allowed in `part` or start a percent-escape; others must be visible.
fn check_characters(text: &str, part: Part) -> Result<(), UriError> {
    let mut rest = text.as_bytes();
    let mut all_ascii = true;
    while let Some(at) = rest.iter().position(|byte| NARROWEST_PART[usize::from(*byte)] > part as u8) {
        rest = match rest.split_at(at).1 {
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            [byte, after @ ..] if !byte.is_ascii() => {
                all_ascii = false;
                after
            }
            _ => return Err(UriError::Character),
        };
    }
    if all_ascii || text.chars().all(is_visible) { Ok(()) } else { Err(UriError::Character) }
}

/// Java's "other" characters: neither control characters nor any kind of blank.
fn is_visible(character: char) -> bool {
    let is_blank = matches!(
        character,
        '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    );
    !is_blank && !matches!(character, '\u{80}'..='\u{9f}')
}

/// The parts of a URI by the characters they allow: each allows what those before it do, and more.
#[derive(Clone, Copy)]
enum Part {
    User,
    Authority,
    Path,
    /// Query, fragment, and what follows the scheme of a URI without slashes.
    Other,
}

/// For every byte the first part that allows it.
const NARROWEST_PART: [u8; 256] = {
    let mut table = [u8::MAX; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        table[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => Part::User as u8,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => Part::User as u8,
            b';' | b':' | b'&' | b'=' | b'+' | b'$' | b',' => Part::User as u8,
            b'@' => Part::Authority as u8,
            b'/' => Part::Path as u8,
            b'?' | b'[' | b']' => Part::Other as u8,
            _ => u8::MAX,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;
