//! Millrace ingress: takes CloudEvents over HTTP and answers 202 once Kafka has them.
//!
//! One event's way: `server > handler > routes > auth > event > producer`; `error` turns every failure into one answer.
//! Learns of channels from the contract file only (`reconcile`). Never consumes from Kafka, never calls subscribers.

pub mod app;
mod auth;
mod debug;
mod error;
mod handler;
mod metrics;
mod probe;
mod producer;
mod reconcile;
mod routes;
mod server;
pub mod settings;

#[doc(hidden)]
pub use auth::fuzzing;
