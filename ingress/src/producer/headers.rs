//! Writes an event's headers straight into librdkafka's own header list.

use millrace_event::kafka_binding::RecordHeaders;
use rdkafka::message::{Header, OwnedHeaders};

/// Most events have four to ten headers; the list grows by itself.
const CAPACITY: usize = 12;

/// A header list being filled. The list moves out and back in with each header, because rdkafka's builder takes it by
/// value.
pub(super) struct HeaderList(Option<OwnedHeaders>);

impl HeaderList {
    pub(super) fn new() -> Self {
        Self(Some(OwnedHeaders::new_with_capacity(CAPACITY)))
    }

    pub(super) fn finish(self) -> OwnedHeaders {
        self.0.unwrap_or_default()
    }
}

impl RecordHeaders for HeaderList {
    fn add(&mut self, name: &str, value: &[u8]) {
        if let Some(list) = self.0.take() {
            self.0 = Some(list.insert(Header { key: name, value: Some(value) }));
        }
    }
}
