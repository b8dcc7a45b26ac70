//! The harness of all integration tests and benchmarks: processes under test, their folders of files, brokers,
//! scripted subscribers, and clients that send exactly what they are told.
//!
//! Knows the outside of the product only (environment variables, files, log lines, HTTP, Kafka): it must not import the
//! product's crates, so that a test cannot share a mistake with the code. Everything listens on 127.0.0.1 on a port that
//! the system chose, every wait is bounded, and whatever a test started ends with it.

pub mod bench;
pub mod broker;
pub mod contract;
pub mod directory;
pub mod event;
pub mod folder;
pub mod journeys;
pub mod kubernetes;
pub mod load;
pub mod metrics;
pub mod plane;
pub mod process;
pub mod proxy;
pub mod random;
pub mod raw_http;
pub mod rig;
pub mod server;
pub mod subscriber;
pub mod tidy;
pub mod tls;
pub mod wait;
pub mod watch;
pub mod wire;

/// Long enough for a loaded 2-core machine; a test that reaches it has failed.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
