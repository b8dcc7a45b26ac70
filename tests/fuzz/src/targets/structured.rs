//! A structured event.

use millrace_event::json;

use super::events;
use crate::target::{Outcome, Target};

pub(super) const TARGET: Target = Target { name: "structured", check, examples: EXAMPLES, words: WORDS };

pub(super) const EXAMPLES: &[&str] = &[
    r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#,
    r#"{"specversion":"1.0","id":"a\u0000\"é","source":"http://x/y?z#f","type":"t","subject":"s","time":"2020-07-06T09:23Z",
        "dataschema":"urn:a:b","datacontenttype":"text/plain","data":"text\n","x":"y","n":-17,"b":true,"o":{ "a" : [1] }}"#,
    r#"{"specversion":"0.3","id":"1","source":"","type":"t","schemaurl":"/s","datacontentencoding":"base64","data":"aGk="}"#,
    r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/json","data": { "a": 1e400 } }"#,
    r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"aGVs\r\nbG8="}"#,
    r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":null,"schemaurl":"x","x":null}"#,
];

pub(super) const WORDS: &[&str] = &[
    "\"specversion\":\"1.0\",",
    "\"specversion\":\"0.3\",",
    "\"id\":",
    "\"source\":",
    "\"type\":",
    "\"subject\":",
    "\"time\":",
    "\"dataschema\":",
    "\"schemaurl\":",
    "\"datacontenttype\":",
    "\"datacontentencoding\":",
    "\"data\":",
    "\"data_base64\":",
    "\"x\":",
    "null",
    "true",
    "false",
    "-2147483648",
    "2147483648",
    "1.5",
    "\"\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\\u0000",
    "base64",
    "application/json",
    "text/plain",
    "application/cloudevents+json",
    ",",
    "{",
    "}",
    "[",
    "]",
    "\u{feff}",
    "é",
];

fn check(input: &[u8]) -> Outcome {
    let read = json::read(input);
    if let Ok(event) = &read {
        events::check(event);
    }
    events::outcome(&read)
}
