//! JSON text in UTF-16 or UTF-32, told by its first bytes and turned into UTF-8.
//!
//! RFC 8259 wants UTF-8 between systems, but the peer's parser takes all three, so its senders may use them. A JSON text
//! begins with an ASCII character, which shows the width and the order of the bytes (RFC 4627, section 3).

use crate::error::EventError;

#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

/// The text in UTF-8; `None` when it looks like UTF-8 already.
///
/// # Errors
/// When the bytes are not what their beginning promises.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<String>, EventError> {
    let decoded = match bytes {
        [0, 0, 0xfe, 0xff, rest @ ..] => utf_32(rest, Order::Big),
        [0xff, 0xfe, 0, 0, rest @ ..] => utf_32(rest, Order::Little),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, Order::Big),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, Order::Little),
        [0, 0, 0, _, ..] => utf_32(bytes, Order::Big),
        [_, 0, 0, 0, ..] => utf_32(bytes, Order::Little),
        [0, _, ..] => utf_16(bytes, Order::Big),
        [_, 0, ..] => utf_16(bytes, Order::Little),
        _ => return Ok(None),
    };
    decoded.map(Some).ok_or(EventError::JsonEncoding)
}

fn utf_16(bytes: &[u8], order: Order) -> Option<String> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    let units = units.iter().map(|unit| match order {
        Order::Big => u16::from_be_bytes(*unit),
        Order::Little => u16::from_le_bytes(*unit),
    });
    char::decode_utf16(units).collect::<Result<String, _>>().ok()
}

fn utf_32(bytes: &[u8], order: Order) -> Option<String> {
    let (units, []) = bytes.as_chunks::<4>() else { return None };
    let units = units.iter().map(|unit| match order {
        Order::Big => u32::from_be_bytes(*unit),
        Order::Little => u32::from_le_bytes(*unit),
    });
    units.map(char::from_u32).collect()
}
