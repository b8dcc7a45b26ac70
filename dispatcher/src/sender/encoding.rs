//! Undoes the compression of answers, where the properties ask for compressed answers.
//!
//! Pure and bounded: a few bytes can stand for gigabytes.
//! Source: dispatcher spec 9.4 (`decompressionSupported`), Vert.x' `Accept-Encoding`.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue};

/// What is offered.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("deflate, gzip");

/// Why an answer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncodingError {
    TooLarge,
    Malformed,
}

/// The body as it was before it was compressed, and headers that say so. An answer in another encoding stays as it is.
///
/// # Errors
///
/// When it is longer than `limit_bytes`, or broken.
pub(crate) fn decode(headers: &mut HeaderMap, body: Bytes, limit_bytes: usize) -> Result<Bytes, EncodingError> {
    let Some(mut decoder) = decoder(headers, &body) else { return Ok(body) };
    let mut decoded = Vec::new();
    let one_more = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    decoder.by_ref().take(one_more).read_to_end(&mut decoded).map_err(|_broken| EncodingError::Malformed)?;
    if decoded.len() > limit_bytes {
        return Err(EncodingError::TooLarge);
    }
    drop(decoder);
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(decoded.into())
}

/// As much of the beginning as can be read of a body that may be cut, at most `limit_bytes`.
pub(crate) fn decode_beginning(headers: &mut HeaderMap, body: Bytes, limit_bytes: usize) -> Bytes {
    let Some(mut decoder) = decoder(headers, &body) else { return body };
    let mut decoded = vec![0; limit_bytes];
    let mut length = 0;
    while let Some(room) = decoded.get_mut(length..).filter(|room| !room.is_empty()) {
        match decoder.read(room) {
            Ok(0) | Err(_) => break,
            Ok(read) => length += read,
        }
    }
    drop(decoder);
    decoded.truncate(length);
    headers.remove(CONTENT_ENCODING);
    decoded.into()
}

fn decoder<'a>(headers: &HeaderMap, body: &'a Bytes) -> Option<Box<dyn Read + 'a>> {
    let encoding = headers.get(CONTENT_ENCODING)?.to_str().ok()?.trim();
    if body.is_empty() {
        return None;
    }
    if encoding.eq_ignore_ascii_case("gzip") || encoding.eq_ignore_ascii_case("x-gzip") {
        return Some(Box::new(MultiGzDecoder::new(body.as_ref())));
    }
    if encoding.eq_ignore_ascii_case("deflate") {
        // By the standard with a zlib header; many servers leave it out. It is a multiple of 31 and names method 8.
        let zlib = body.get(..2).is_some_and(|head| {
            matches!(head, [first, second] if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0)
        });
        return Some(if zlib {
            Box::new(ZlibDecoder::new(body.as_ref()))
        } else {
            Box::new(DeflateDecoder::new(body.as_ref()))
        });
    }
    None
}

#[cfg(test)]
mod tests {
    //! Which answers are undone, and how much of them.

    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn headers(encoding: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        headers
    }

    fn gzip(data: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn gzip_and_both_kinds_of_deflate_are_undone() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"data").unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(b"data").unwrap();
        let bodies = [
            ("gzip", gzip(b"data")),
            ("GZIP", gzip(b"data")),
            ("deflate", zlib.finish().unwrap().into()),
            ("deflate", raw.finish().unwrap().into()),
        ];
        for (encoding, body) in bodies {
            let mut headers = headers(encoding);
            assert_eq!(decode(&mut headers, body, 100), Ok(Bytes::from_static(b"data")), "{encoding}");
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn anything_else_stays_as_it_is() {
        for (encoding, body) in [("br", "data"), ("identity", "data"), ("gzip", "")] {
            let mut headers = headers(encoding);
            assert_eq!(
                decode(&mut headers, Bytes::from_static(body.as_bytes()), 100),
                Ok(Bytes::from_static(body.as_bytes()))
            );
            assert_eq!(headers.len(), 1);
        }
    }

    #[test]
    fn a_bomb_is_refused_and_a_broken_body_too() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert_eq!(decode(&mut headers("gzip"), bomb.clone(), 1_000_000), Err(EncodingError::TooLarge));
        assert_eq!(decode(&mut headers("gzip"), bomb.slice(..500), 10_000_000), Err(EncodingError::Malformed));
        assert_eq!(decode(&mut headers("gzip"), Bytes::from_static(b"text"), 100), Err(EncodingError::Malformed));
    }

    #[test]
    fn the_beginning_of_a_cut_body_is_read_as_far_as_it_goes() {
        let text: Vec<u8> = (0..60_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let cut = gzip(&text).slice(..1024);
        let decoded = decode_beginning(&mut headers("gzip"), cut, 1024);
        assert_eq!(decoded, Bytes::copy_from_slice(&text[..1024]));
        assert_eq!(decode_beginning(&mut headers("gzip"), gzip(b"short"), 1024), Bytes::from_static(b"short"));
    }
}
