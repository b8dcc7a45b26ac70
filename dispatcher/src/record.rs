//! One Kafka record as the dispatcher works on it: everything in a single buffer.
//!
//! No Kafka client here, so that everything behind the consumer can be tested with values.
//! A record is copied once, out of the client's memory, into one allocation; key, value and headers are
//! views of it, and the value can be sent without another copy.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

/// The length that says a header's value is null.
const NULL: u32 = u32::MAX;

/// A record read from Kafka.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970, as the record says; `None` when it has no timestamp.
    pub(crate) timestamp_ms: Option<i64>,
    /// When it was taken from the Kafka client.
    pub(crate) read: Instant,
    /// The headers first, each as the lengths of name and value (4 bytes, little-endian) and then both; no table of
    /// them, so that a record costs little more than its bytes while it waits for a retry. Then key and value.
    buffer: Bytes,
    headers_end: u32,
    key: Option<Span>,
    value: Option<Span>,
}

/// Kafka's records are smaller than 2 GiB.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(self, bytes: &[u8]) -> &[u8] {
        let range = usize::try_from(self.start).ok().zip(usize::try_from(self.end).ok());
        range.and_then(|(start, end)| bytes.get(start..end)).unwrap_or_default()
    }
}

impl Record {
    /// Starts a record whose parts together have about `size_bytes` bytes.
    pub(crate) fn builder(topic: Arc<str>, partition: i32, offset: i64, size_bytes: usize) -> RecordBuilder {
        RecordBuilder {
            buffer: Vec::with_capacity(size_bytes),
            record: Self {
                topic,
                partition,
                offset,
                timestamp_ms: None,
                read: Instant::now(),
                buffer: Bytes::new(),
                headers_end: 0,
                key: None,
                value: None,
            },
        }
    }

    /// `None` for a record without key; an empty key is a key.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.key.map(|span| self.slice(span))
    }

    /// `None` for a null value (a tombstone); an empty value is a value.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        self.value.map(|span| self.slice(span))
    }

    /// The headers in order; a header's value may be null.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> + Clone {
        Headers(self.slice(Span { start: 0, end: self.headers_end }))
    }

    /// The same record in no more memory than it needs, for one that waits.
    pub(crate) fn shrunk(mut self) -> Self {
        // A copy drops the slack of the buffer that the record was built in.
        self.buffer = Bytes::copy_from_slice(&self.buffer);
        self
    }

    /// `part`, which must be borrowed from this record, as a shared view without copying.
    /// Anything else is copied.
    pub(crate) fn share(&self, part: &[u8]) -> Bytes {
        let whole = self.buffer.as_ptr_range();
        let range = part.as_ptr_range();
        if whole.start <= range.start && range.end <= whole.end && !part.is_empty() {
            self.buffer.slice_ref(part)
        } else {
            Bytes::copy_from_slice(part)
        }
    }

    /// What the record occupies in memory, for the limit on bytes in flight.
    pub(crate) fn size_bytes(&self) -> usize {
        self.buffer.len()
    }

    fn slice(&self, span: Span) -> &[u8] {
        span.of(&self.buffer)
    }
}

#[derive(Clone)]
struct Headers<'a>(&'a [u8]);

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name_len, rest) = self.0.split_first_chunk::<4>()?;
        let (value_len, rest) = rest.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*name_len)).ok()?)?;
        let value_len = u32::from_le_bytes(*value_len);
        let (value, rest) = match value_len {
            NULL => (None, rest),
            length => rest.split_at_checked(usize::try_from(length).ok()?).map(|(value, rest)| (Some(value), rest))?,
        };
        self.0 = rest;
        Some((std::str::from_utf8(name).unwrap_or_default(), value))
    }
}

/// Fills a [`Record`] part by part: all headers before key and value.
#[derive(Debug)]
pub(crate) struct RecordBuilder {
    buffer: Vec<u8>,
    record: Record,
}

impl RecordBuilder {
    pub(crate) fn timestamp_ms(&mut self, timestamp_ms: Option<i64>) {
        self.record.timestamp_ms = timestamp_ms;
    }

    pub(crate) fn header(&mut self, name: &str, value: Option<&[u8]>) {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(NULL).to_le_bytes();
        self.push(&length(name.as_bytes()));
        self.push(&value.map_or(NULL.to_le_bytes(), length));
        self.push(name.as_bytes());
        let last = self.push(value.unwrap_or_default());
        self.record.headers_end = last.end;
    }

    pub(crate) fn key(&mut self, key: Option<&[u8]>) {
        self.record.key = key.map(|key| self.push(key));
    }

    pub(crate) fn value(&mut self, value: Option<&[u8]>) {
        self.record.value = value.map(|value| self.push(value));
    }

    pub(crate) fn build(self) -> Record {
        Record { buffer: Bytes::from(self.buffer), ..self.record }
    }

    fn push(&mut self, bytes: &[u8]) -> Span {
        let end_of = |buffer: &[u8]| u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let start = end_of(&self.buffer);
        self.buffer.extend_from_slice(bytes);
        Span { start, end: end_of(&self.buffer) }
    }
}

#[cfg(test)]
mod tests {
    //! What goes in comes out, and the value is shared rather than copied.

    use super::*;

    fn record() -> Record {
        let mut builder = Record::builder("orders".into(), 3, 42, 64);
        builder.header("ce_id", Some(b"1"));
        builder.header("empty", Some(b""));
        builder.header("null", None);
        builder.key(Some(b"k"));
        builder.value(Some(b"{\"a\":1}"));
        builder.build()
    }

    #[test]
    fn every_part_is_kept_apart() {
        let record = record();
        let headers: Vec<_> = record.headers().collect();
        assert_eq!(headers, [("ce_id", Some(&b"1"[..])), ("empty", Some(&b""[..])), ("null", None)]);
        assert_eq!(record.key(), Some(&b"k"[..]));
        assert_eq!(record.value(), Some(&b"{\"a\":1}"[..]));
    }

    #[test]
    fn null_and_empty_are_different() {
        let mut builder = Record::builder("orders".into(), 0, 0, 0);
        builder.key(None);
        builder.value(Some(b""));
        let record = builder.build();
        assert_eq!(record.key(), None);
        assert_eq!(record.value(), Some(&b""[..]));
    }

    #[test]
    fn a_part_of_the_record_is_shared_and_anything_else_copied() {
        let record = record();
        let value = record.value().unwrap();
        assert_eq!(record.share(value).as_ptr(), value.as_ptr());
        let foreign = b"elsewhere".to_vec();
        let copied = record.share(&foreign);
        assert_eq!(copied, foreign);
        assert_ne!(copied.as_ptr(), foreign.as_ptr());
    }
}
