//! A JSON batch.

use std::mem::discriminant;

use millrace_event::{Event, json};

use super::{events, structured};
use crate::target::{Outcome, Target};

pub(super) const TARGET: Target = Target {
    name: "batch",
    check,
    examples: &[
        "[]",
        r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t","data":[1, 2]}]"#,
        r#" [ {"specversion":"1.0","id":"1","source":"/s","type":"t"} , 7, {"specversion":"0.3","id":"2"}, "x", null ] "#,
        r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"},{"specversion":"1.0","id":"2","source":"/s","type":"t",
            "data_base64":"aGk=","x":1}]"#,
    ],
    words: structured::WORDS,
};

fn check(input: &[u8]) -> Outcome {
    let results = match json::read_batch(input) {
        Ok(results) => results,
        Err(error) => return Outcome::of((0, discriminant(&error))),
    };
    assert!(results.len() <= json::MAX_BATCH_EVENTS);
    let events: Vec<&Event<'_>> = results.iter().flatten().collect();
    events.iter().for_each(|event| events::check(event));
    check_again(&events);
    Outcome::of((1, results.len().min(8), events.len().min(8), results.first().map(events::outcome)))
}

/// What was read and is written again is read again, and in the same order.
fn check_again(events: &[&Event<'_>]) {
    let written: Vec<Vec<u8>> = events.iter().filter_map(|event| json::write(event).ok()).collect();
    let text = [b"[".as_slice(), &written.join(b",".as_slice()), b"]"].concat();
    let again = json::read_batch(&text);
    let Ok(again) = again else { panic!("written and not readable: {again:?}") };
    assert_eq!(again.len(), written.len());
    for (event, again) in events.iter().zip(&again) {
        assert_eq!(again.as_ref().map(|event| &event.id), Ok(&event.id));
    }
}
