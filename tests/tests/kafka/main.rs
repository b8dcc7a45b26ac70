//! Conformance with a real Apache Kafka: the journeys of the embedded tests, and what only a real broker can show.
//!
//! One Kafka for all tests of this program, so every test uses topics and groups of its own.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests; the lint spares only functions marked as tests"
)]

mod control;
mod crashes;
mod groups;
mod journeys;
mod offsets;
mod secrets;
mod storms;
mod tokens;
mod tools;
