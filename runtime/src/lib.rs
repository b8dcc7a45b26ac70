//! What every Millrace process needs besides its own job: logs, metrics, the admin port, readiness, draining.
//!
//! Knows nothing of HTTP events, Kafka, contracts or Kubernetes. Reads no environment variable: settings arrive as
//! values from `millrace_config::env`.

#![warn(missing_docs)]

pub mod admin;
pub mod build_info;
pub mod clock;
pub mod drain;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod properties;
pub mod startup;
pub mod throttle;
