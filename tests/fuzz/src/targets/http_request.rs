//! An HTTP request's headers and body, to an event and onwards.
//!
//! The input is lines of `name: value` up to an empty line; what follows is the body.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use millrace_event::http_binding;

use super::events;
use crate::target::{Outcome, Target};

pub(super) const TARGET: Target = Target {
    name: "http-request",
    check,
    examples: &[
        "ce-specversion: 1.0\nce-id: 1\nce-source: /s\nce-type: t\n\n",
        "ce-specversion: 1.0\nce-id: a%20b\nce-source: http://x/%41?q#f\nce-type: \"quo\\\"ted\"\nce-subject: caf%C3%A9\n\
         ce-time: 2020-07-06T09:23:12.100+02:00\nce-dataschema: urn:x:y\nce-partitionkey: k\n\
         content-type: application/json; charset=utf-8\n\n{ \"a\": 1.10 }",
        "ce-specversion: 0.3\nce-id: 1\nce-source: \nce-type: t\nce-schemaurl: /schema\nce-dataschema: x\n\
         ce-datacontentencoding: base64\nce-data: x\ncontent-type: text/plain\n\nhi",
        "content-type: application/cloudevents+json\n\n\
         {\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"x\":1,\"data\":{}}",
        "content-type: application/cloudevents-batch+json\n\n[]",
    ],
    words: &[
        "ce-specversion: 1.0\n",
        "ce-specversion: 0.3\n",
        "ce-id: ",
        "ce-source: ",
        "ce-type: ",
        "ce-time: ",
        "ce-subject: ",
        "ce-dataschema: ",
        "ce-schemaurl: ",
        "ce-data: ",
        "ce-a: ",
        "ce-",
        "content-type: ",
        "%C3%A9",
        "%",
        "%2",
        "\"",
        "\\\"",
        "application/cloudevents+json",
        "application/json",
        "é",
        "1985-04-12T23:20:50.52Z",
        "http://",
        "urn:",
        "[::1]",
        "\n\n",
    ],
};

fn check(input: &[u8]) -> Outcome {
    let (headers, body) = split(input);
    let read = http_binding::read(&headers, body);
    if let Ok(event) = &read {
        assert!(http_binding::claims_event(&headers));
        events::check(event);
    }
    events::outcome(&read)
}

fn split(input: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = input;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        if line.is_empty() {
            return (headers, rest);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
}
