//! Ends an egress' partitions when its thread ends, also by a panic.
//!
//! Without it the feeds would keep the client alive, because each partition's queue refers to it: it would stay in the
//! group, and its tasks would deliver beside those of the consumer that is started in its place.
//! Source: dispatcher spec 1.9; design section 5, Kafka client rules.

use std::sync::Arc;

use super::Context;
use crate::consumer::feed;

/// Held by the consumer's thread. An orderly end leaves it nothing to do.
pub(crate) struct Guard(pub(crate) Arc<Context>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.stop_partitions();
        // Taken first: a feed may be the last to refer to the client, which looks for feeds while it closes.
        let feeds = std::mem::take(&mut *self.0.feeds());
        feed::end(feeds);
    }
}
