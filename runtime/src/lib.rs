//! What every Millrace process needs besides its own job: logs, metrics, the admin port, readiness, draining, and what
//! the data planes ask the Kubernetes API for.
//!
//! Knows nothing of HTTP events or Kafka clients. Reads no environment variable: settings arrive as values from
//! `millrace_config::env`; only the `kube` crate looks for its cluster by itself.

#![warn(missing_docs)]

pub mod admin;
pub mod build_info;
pub mod clock;
pub mod cluster;
pub mod drain;
pub mod event_types;
pub mod health;
pub mod kafka_tokens;
pub mod logging;
pub mod metrics;
pub mod properties;
pub mod secrets;
pub mod sockets;
pub mod startup;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod throttle;
pub mod tls;
