//! What a commit says beyond its offset: which later records are finished too, so that a restart sends only the others.
//!
//! Pure. The text is for Millrace alone: everybody else reads the offset and repeats what lies beyond. It is bound by a
//! checksum to cluster, group, topic, partition and offset, so that text which a tool copied to another group, or which
//! was left beside an offset that somebody reset, means nothing. Whatever does not fit is ignored, never an error.
//!
//! Layout: `mr1:`, then base64 of checksum (4 bytes, little-endian), form (1 byte) and body. Form 0: lengths of runs,
//! unfinished and finished in turn from the committed offset on, as LEB128 numbers. Form 1: one bit an offset, lowest
//! bit first, set for finished. The shorter one is used.
//! Source: design row 3; Kafka's `offset.metadata.max.bytes`, 4096 by default.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use super::ranges::Ranges;

/// No metadata is longer than this.
pub(crate) const MAX_BYTES: usize = 4096;

const PREFIX: &str = "mr1:";
const RUNS: u8 = 0;
const BITS: u8 = 1;
/// Checksum and form.
const HEAD_BYTES: usize = 5;
const BODY_BYTES: usize = (MAX_BYTES - PREFIX.len()) / 4 * 3 - HEAD_BYTES;
/// So many offsets always fit, however the finished ones lie among them.
const BITS_MAX: i64 = 8 * (BODY_BYTES as i64);

/// Whose offset it is.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The cluster's id; empty if it has none.
    pub(crate) cluster: Arc<str>,
    pub(crate) group: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
}

/// Whether any `runs` runs of finished records fit that lie within `span` offsets.
pub(crate) fn fits(span: i64, runs: usize) -> bool {
    span <= BITS_MAX || runs.saturating_mul(2 * varint_bytes(span)) <= BODY_BYTES
}

/// The metadata of a commit of `base`; empty if nothing beyond it is `finished`. What does not fit is left out from the
/// end.
pub(crate) fn write(scope: &Scope, base: i64, finished: &Ranges) -> String {
    if finished.is_empty() {
        return String::new();
    }
    let ((runs, runs_end), (bits, bits_end)) = (runs(base, finished), bits(base, finished));
    let longer_or_as_long = (runs_end, std::cmp::Reverse(runs.len())) >= (bits_end, std::cmp::Reverse(bits.len()));
    let (form, body) = if longer_or_as_long { (RUNS, runs) } else { (BITS, bits) };
    let mut bytes = checksum(scope, base, form, &body).to_le_bytes().to_vec();
    bytes.push(form);
    bytes.extend_from_slice(&body);
    let mut text = PREFIX.to_owned();
    BASE64.encode_string(&bytes, &mut text);
    text
}

/// What is finished beyond the committed offset `base`; empty for metadata that is not ours, or not of this commit.
pub(crate) fn read(scope: &Scope, base: i64, text: &str) -> Ranges {
    let Some(encoded) = text.strip_prefix(PREFIX).filter(|_| text.len() <= MAX_BYTES) else {
        return Ranges::default();
    };
    let Ok(bytes) = BASE64.decode(encoded) else { return Ranges::default() };
    let Some((sum, rest)) = bytes.split_first_chunk::<4>() else { return Ranges::default() };
    let Some((form, body)) = rest.split_first() else { return Ranges::default() };
    if u32::from_le_bytes(*sum) != checksum(scope, base, *form, body) {
        return Ranges::default();
    }
    match *form {
        RUNS => from_runs(base, body),
        BITS => from_bits(base, body),
        _newer => None,
    }
    .unwrap_or_default()
}

/// The body and the offset after the last one it tells of.
fn runs(base: i64, finished: &Ranges) -> (Vec<u8>, i64) {
    let (mut body, mut at) = (Vec::new(), base);
    for (start, end) in finished.iter() {
        let before = body.len();
        put_varint(&mut body, start.abs_diff(at));
        put_varint(&mut body, end.abs_diff(start));
        if body.len() > BODY_BYTES {
            body.truncate(before);
            break;
        }
        at = end;
    }
    (body, at)
}

fn bits(base: i64, finished: &Ranges) -> (Vec<u8>, i64) {
    let (mut body, mut at) = (Vec::new(), base);
    for (start, end) in finished.iter() {
        for offset in start..end.min(base.saturating_add(BITS_MAX)) {
            let index = usize::try_from(offset - base).unwrap_or(usize::MAX);
            if body.len() <= index / 8 {
                body.resize(index / 8 + 1, 0);
            }
            if let Some(byte) = body.get_mut(index / 8) {
                *byte |= 1_u8 << (index % 8);
            }
            at = offset + 1;
        }
    }
    (body, at)
}

fn from_runs(base: i64, mut body: &[u8]) -> Option<Ranges> {
    let (mut ranges, mut at) = (Ranges::default(), base);
    while !body.is_empty() {
        let start = at.checked_add_unsigned(take_varint(&mut body)?)?;
        at = start.checked_add_unsigned(take_varint(&mut body)?)?;
        ranges.push(start, at);
    }
    Some(ranges)
}

fn from_bits(base: i64, body: &[u8]) -> Option<Ranges> {
    let mut ranges = Ranges::default();
    let mut offset = base;
    for byte in body {
        for bit in 0..8 {
            let next = offset.checked_add(1)?;
            if byte >> bit & 1 == 1 {
                ranges.push(offset, next);
            }
            offset = next;
        }
    }
    Some(ranges)
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return bytes.push(low & 0x7f);
        }
        bytes.push(low | 0x80);
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// How many bytes a number up to `largest` takes at most.
fn varint_bytes(largest: i64) -> usize {
    let bits = u64::BITS - largest.unsigned_abs().leading_zeros();
    usize::try_from(bits.div_ceil(7).max(1)).unwrap_or(usize::MAX)
}

/// FNV-1a over everything the text is bound to, folded to 32 bits. It guards against mistakes, not against forgers:
/// whoever may commit offsets of a group can skip its records anyway.
fn checksum(scope: &Scope, base: i64, form: u8, body: &[u8]) -> u32 {
    let (partition, base, form) = (scope.partition.to_le_bytes(), base.to_le_bytes(), [form]);
    let parts: [&[u8]; 7] =
        [scope.cluster.as_bytes(), scope.group.as_bytes(), scope.topic.as_bytes(), &partition, &base, &form, body];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        // The length first: parts cannot run into one another.
        for byte in part.len().to_le_bytes().iter().chain(part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
    u32::from_le_bytes([a ^ e, b ^ f, c ^ g, d ^ h])
}

#[cfg(test)]
mod tests;
