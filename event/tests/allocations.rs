//! The path of a binary event from HTTP to Kafka allocates nothing, and neither do filters.
//!
//! A file of its own, because the counting allocator is the whole program's.
#![allow(unsafe_code, reason = "a global allocator can only be replaced with an unsafe impl")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use http::HeaderMap;
use http::header::HeaderValue;
use millrace_config::contract::FilterSpec;
use millrace_event::kafka_binding::{self, RecordHeaders};
use millrace_event::{Data, Event, filter, http_binding};

thread_local! {
    /// Of this thread only: the test harness has threads of its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; counting touches a thread-local without a destructor,
// which neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the pointer came from `System`, with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// As a Kafka client would, it copies what it is given, into room it has already.
struct Sink {
    bytes: Vec<u8>,
    headers: usize,
}

impl RecordHeaders for Sink {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.headers += 1;
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(value);
    }
}

fn allocations_of<R>(work: impl FnOnce() -> R) -> (usize, R) {
    let before = ALLOCATIONS.get();
    let result = work();
    (ALLOCATIONS.get() - before, result)
}

fn request(extensions: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "example.com"),
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "5b1d"),
        ("ce-source", "/sensors/7"),
        ("ce-type", "com.example.measured"),
        ("ce-subject", "room 7"),
        ("ce-dataschema", "http://example.com/schema"),
        ("ce-time", "2020-07-06T09:23:12.123Z"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    const NAMES: [&str; 9] =
        ["ce-partitionkey", "ce-traceparent", "ce-x1", "ce-x2", "ce-x3", "ce-x4", "ce-x5", "ce-x6", "ce-x7"];
    for name in NAMES.into_iter().take(extensions) {
        headers.insert(name, HeaderValue::from_static("value"));
    }
    headers
}

fn ingest(headers: &HeaderMap, body: &[u8], sink: &mut Sink) {
    let event = http_binding::read(headers, body).unwrap();
    kafka_binding::write_binary(&event, sink);
    assert!(matches!(event.data, Data::Binary(_)) && kafka_binding::key(&event).is_some());
    assert_eq!(kafka_binding::payload(&event), Some(body));
}

#[test]
fn a_binary_event_goes_from_http_to_kafka_without_allocating() {
    let headers = request(8);
    let mut sink = Sink { bytes: Vec::with_capacity(4096), headers: 0 };
    let (allocations, ()) = allocations_of(|| ingest(&headers, b"{\"celsius\": 21.50}", &mut sink));
    assert_eq!(allocations, 0);
    assert_eq!(sink.headers, 16, "everything was written");
}

#[test]
fn the_counter_counts() {
    let (allocations, _) = allocations_of(|| vec![1_u8; 100]);
    assert_eq!(allocations, 1);
    let headers = request(9);
    let mut sink = Sink { bytes: Vec::with_capacity(4096), headers: 0 };
    let (allocations, ()) = allocations_of(|| ingest(&headers, b"x", &mut sink));
    assert_eq!(allocations, 1, "the ninth extension needs room of its own");
}

#[test]
fn a_record_is_read_without_allocating() {
    let headers = request(8);
    let event = http_binding::read(&headers, b"x").unwrap();
    let pairs: Vec<(String, Vec<u8>)> = {
        struct Pairs(Vec<(String, Vec<u8>)>);
        impl RecordHeaders for Pairs {
            fn add(&mut self, name: &str, value: &[u8]) {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
        let mut pairs = Pairs(Vec::new());
        kafka_binding::write_binary(&event, &mut pairs);
        pairs.0
    };
    let record = pairs.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice())));
    let (allocations, read) = allocations_of(|| kafka_binding::read(record, Some(b"x")).unwrap());
    assert_eq!(allocations, 0);
    assert_eq!(read, event);
}

fn measured() -> Event<'static> {
    let mut event = Event::new("5b1d", "/sensors/7", "com.example.measured").unwrap();
    event.subject = Some("room 7".into());
    event.time = Some("2020-07-06T09:23:12Z".into());
    event.extensions.set("hop", "5").unwrap();
    event.extensions.set("number", 17).unwrap();
    event.extensions.set("knativekafkaoffset", 5_000_000_000_i64).unwrap();
    event
}

#[track_caller]
fn check_filter(spec: FilterSpec, expected: usize) {
    let compiled = filter::compile(std::slice::from_ref(&spec)).unwrap();
    let event = measured();
    let (allocations, passes) = allocations_of(|| compiled.matches(&event));
    assert_eq!((allocations, passes), (expected, true), "{spec:?}");
}

#[test]
fn attribute_filters_allocate_nothing() {
    let entries =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let exact = || {
        FilterSpec::Exact(entries(&[
            ("type", "com.example.measured"),
            ("time", "2020-07-06T09:23:12Z"),
            ("number", "17"),
            ("knativekafkaoffset", "5000000000"),
        ]))
    };
    check_filter(exact(), 0);
    check_filter(FilterSpec::Prefix(entries(&[("source", "/sensors/"), ("knativekafkaoffset", "5")])), 0);
    check_filter(FilterSpec::Suffix(entries(&[("type", "measured")])), 0);
    check_filter(FilterSpec::Not(Box::new(FilterSpec::Exact(entries(&[("missing", "x")])))), 0);
    check_filter(FilterSpec::All(vec![exact(), FilterSpec::Any(vec![FilterSpec::Pass])]), 0);
}

#[test]
fn cesql_allocates_only_for_new_texts() {
    for (expression, expected) in [
        ("type = 'com.example.measured' AND source LIKE '/sens%/_'", 0),
        ("subject IN ('room 5', 'room 6', 'room 7') OR missing = 5", 0),
        ("hop < 6 AND number * 2 - 4 = 30 AND EXISTS time AND NOT EXISTS dataschema", 0),
        ("number = '17' AND number LIKE '1_' AND 17 IN ('17') AND LENGTH(number) = 2", 0),
        ("SUBSTRING(LEFT(TRIM(subject), 4), 2) = 'oom' AND RIGHT(id, 1) = 'd' AND LOWER(id) = id", 0),
        ("INT(hop) = ABS(-5) AND BOOL(1) AND IS_INT(hop) AND STRING(hop) = '5'", 0),
        ("UPPER(subject) = 'ROOM 7'", 1),
        ("knativekafkaoffset = '5000000000'", 1),
    ] {
        check_filter(FilterSpec::CeSql(expression.to_owned()), expected);
    }
}
