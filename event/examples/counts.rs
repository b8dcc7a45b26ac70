//! Does what one event costs the codec, so and so often, for `cargo xtask bench counts`, which counts instructions.
//!
//! `counts in N` reads N requests and writes them as records; `counts out N` reads N records, asks a filter, and writes them as
//! requests. Prints nothing; deterministic, so that two runs differ only by their N.
#![expect(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::hint::black_box;

use http::{HeaderMap, HeaderName, HeaderValue};
use millrace_config::contract::FilterSpec;
use millrace_event::kafka_binding::RecordHeaders;
use millrace_event::{filter, http_binding, kafka_binding};

/// Name and value, as in the benchmarks of whole processes.
const ATTRIBUTES: [(&str, &str); 9] = [
    ("id", "000100000042"),
    ("specversion", "1.0"),
    ("source", "/bench/generator"),
    ("type", "dev.millrace.bench.order.created"),
    ("subject", "orders/0123456789"),
    ("time", "2026-03-04T05:06:07.891Z"),
    ("dataschema", "http://example.com/schemas/order.json"),
    ("region", "eu-central-1"),
    ("tenant", "tenant-0042"),
];
const CONTENT_TYPE: &str = "application/json";
const BODY: [u8; 1024] = [b'x'; 1024];

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap();
    let times: u32 = args.next().unwrap().parse().unwrap();
    match path.as_str() {
        "in" => requests_to_records(times),
        "out" => records_to_requests(times),
        other => panic!("in or out, not {other}"),
    }
}

struct Written(usize);

impl RecordHeaders for Written {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.0 += black_box(name).len() + black_box(value).len();
    }
}

fn requests_to_records(times: u32) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(CONTENT_TYPE));
    for (name, value) in ATTRIBUTES {
        headers
            .insert(HeaderName::from_bytes(format!("ce-{name}").as_bytes()).unwrap(), HeaderValue::from_static(value));
    }
    for _ in 0..times {
        let event = http_binding::read(black_box(&headers), black_box(&BODY)).unwrap();
        let mut written = Written(0);
        kafka_binding::write_binary(&event, &mut written);
        black_box((written.0, kafka_binding::key(&event), kafka_binding::payload(&event)));
    }
}

fn records_to_requests(times: u32) {
    let names: Vec<String> = ATTRIBUTES.iter().map(|(name, _)| format!("ce_{name}")).collect();
    let attributes = names.iter().zip(ATTRIBUTES).map(|(name, (_, value))| (name.as_str(), Some(value.as_bytes())));
    let headers: Vec<_> = attributes.chain([("content-type", Some(CONTENT_TYPE.as_bytes()))]).collect();
    let wanted = [("type".to_owned(), "dev.millrace.bench.order.created".to_owned())];
    let filter = filter::compile(&[FilterSpec::Exact(wanted.into_iter().collect())]).unwrap();
    for _ in 0..times {
        let event = kafka_binding::read(black_box(&headers).iter().copied(), Some(&BODY)).unwrap();
        assert!(filter.matches(&event));
        let mut request = HeaderMap::new();
        http_binding::write(&event, &mut request).unwrap();
        black_box(request);
    }
}
