//! The lines that operators look for, as a subscriber of `tracing` gets them.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::delivery::tests::deliver_one;
use crate::testing::{Script, shared};

/// Level and fields of every line above DEBUG.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() < Level::DEBUG && metadata.target().starts_with("millrace")
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().unwrap().push((*event.metadata().level(), fields.0));
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[tokio::test]
async fn failed_attempts_and_events_have_the_peers_lines() {
    let subscriber = crate::testing::Subscriber::start().await;
    subscriber.answer("/subscriber", &[Script::status(503)]);
    let retries = r#","egressConfig":{"retry":20,"backoffPolicy":"Linear","backoffDelay":"0"}"#;
    let shared = shared(&subscriber, retries, "");
    let lines = Lines::default();
    let said = tracing::subscriber::set_default(lines.clone());
    deliver_one(&shared, 7).await.unwrap_err();
    drop(said);
    let lines = lines.0.lock().unwrap();
    let (last, attempts) = lines.split_last().unwrap();
    assert!(!attempts.is_empty() && attempts.len() < 10, "at most one a second: {attempts:?}");
    for (level, text) in attempts {
        assert_eq!(*level, Level::ERROR);
        for part in ["message=failed to send event to subscriber", "statusCode=503", &subscriber.url] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
    assert_eq!(last.0, Level::ERROR);
    for part in [
        "message=Failed to send event to subscriber",
        "topic=\"orders\"",
        "partition=0",
        "offset=7",
        "attempts=21",
        "statusCode=503",
    ] {
        assert!(last.1.contains(part), "{part} is not in {}", last.1);
    }
}
