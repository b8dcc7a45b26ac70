//! Byte-exact CloudEvents codec: HTTP, Kafka and JSON in, HTTP, Kafka and JSON out, and subscription filters.
//!
//! One borrowed [`Event`] stands between all bindings. Values are passed on as they came: nothing is re-serialised and
//! nothing is normalised except `time`. Nothing here does I/O, spawns, logs or panics on outside input.
//! Sources: CloudEvents 1.0.2 and 0.3 (core, HTTP, Kafka and JSON documents), and the Java data plane where Knative
//! users can see a difference.

mod builder;
pub mod error;
pub mod event;
pub mod extensions;
pub mod filter;
mod header_text;
pub mod http_binding;
pub mod json;
pub mod kafka_binding;
mod media_type;
mod mode;
mod names;
pub mod source_record;
pub mod time;
pub mod uri;
pub mod value;

pub use error::EventError;
pub use event::{Data, Event, SpecVersion};
pub use extensions::Extensions;
pub use value::Value;
