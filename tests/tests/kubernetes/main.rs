//! Control on a real Kubernetes API server.
//!
//! One server for all tests of this program, so every test uses namespaces of its own.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests; the lint spares only functions marked as tests"
)]

mod cluster;
mod consolidated;
mod definitions;
mod manifests;
mod migrate;
