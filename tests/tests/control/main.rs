//! Control on a real API server with a real Kafka, and the data plane that follows its contract.
//!
//! Each test has an API server of its own, because control looks at all namespaces; they share one Kafka.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests; the lint spares only functions marked as tests"
)]

mod crash;
mod encryption;
mod identities;
mod life;
mod recovery;
mod references;
mod scale;
mod shards;
