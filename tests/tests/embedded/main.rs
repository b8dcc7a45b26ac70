//! Integration tests on the embedded broker: nothing to install, one process tree a test.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests; the lint spares only functions marked as tests"
)]

mod directory;
mod failures;
mod journeys;
mod people;
mod quiet;
mod reload;
mod shards;
