//! Undoes the `Content-Encoding` of a body, never beyond the size that a plain body may have.
//!
//! Only if `decompressionSupported` says so: by default bytes are stored as they came. Encodings other than gzip and
//! deflate are left alone, as the peer does. Source: spec ingress 1.1 and 7.2; Netty for deflate with and without its
//! zlib wrapping.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::error::Rejection;

/// The plain body; absent when there is nothing to undo.
///
/// # Errors
///
/// `NotInflatable` when the data is not what the header says, `BodyTooLarge` beyond `limit_bytes`.
pub(super) fn inflate(headers: &HeaderMap, body: &[u8], limit_bytes: usize) -> Result<Option<Bytes>, Rejection> {
    let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|_| !body.is_empty()) else { return Ok(None) };
    let is = |name: &str| encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(name.as_bytes());
    let plain = if is("gzip") || is("x-gzip") {
        read(MultiGzDecoder::new(body), limit_bytes, "gzip")
    } else if (is("deflate") || is("x-deflate")) && is_wrapped(body) {
        read(ZlibDecoder::new(body), limit_bytes, "deflate")
    } else if is("deflate") || is("x-deflate") {
        read(DeflateDecoder::new(body), limit_bytes, "deflate")
    } else {
        return Ok(None);
    };
    plain.map(Some)
}

/// RFC 1950: the method is 8, and the first two bytes make a multiple of 31.
fn is_wrapped(body: &[u8]) -> bool {
    match body {
        [first, second, ..] => first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31),
        _ => false,
    }
}

fn read(decoder: impl Read, limit_bytes: usize, encoding: &'static str) -> Result<Bytes, Rejection> {
    let mut plain = Vec::new();
    // One byte more than allowed, to tell "full" from "too much".
    let most = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(&mut plain).map_err(|_| Rejection::NotInflatable { encoding })?;
    if plain.len() > limit_bytes {
        return Err(Rejection::BodyTooLarge { limit_bytes });
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    use super::*;

    fn headers(encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))])
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_and_both_kinds_of_deflate_are_undone() {
        let text = b"hello, hello, hello";
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(text).unwrap();
        let two_members = [gzip(b"hello, "), gzip(b"hello, hello")].concat();
        for (encoding, body) in [
            ("gzip", gzip(text)),
            ("X-GZIP", two_members),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
        ] {
            assert_eq!(inflate(&headers(encoding), &body, 19).unwrap().unwrap(), &text[..], "{encoding}");
        }
    }

    #[test]
    fn what_is_not_encoded_or_unknown_stays_as_it_is() {
        assert!(inflate(&HeaderMap::new(), b"x", 9).unwrap().is_none());
        assert!(inflate(&headers("br"), b"x", 9).unwrap().is_none());
        assert!(inflate(&headers("identity"), b"x", 9).unwrap().is_none());
        assert!(inflate(&headers("gzip"), b"", 9).unwrap().is_none());
    }

    #[test]
    fn a_bomb_ends_at_the_limit_and_broken_data_is_refused() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert!(matches!(
            inflate(&headers("gzip"), &bomb, 50_000),
            Err(Rejection::BodyTooLarge { limit_bytes: 50_000 })
        ));
        let whole = gzip(b"hello");
        for broken in [&b"nonsense"[..], &whole[..whole.len() - 1]] {
            assert!(matches!(
                inflate(&headers("gzip"), broken, 99),
                Err(Rejection::NotInflatable { encoding: "gzip" })
            ));
        }
    }
}
