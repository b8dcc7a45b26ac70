//! What the processes of Millrace must agree on, read from files and the environment.
//!
//! The contract (which channels and subscriptions exist), the four properties files (how to talk to Kafka and HTTP),
//! the observability and feature directories, and the environment variables. Everything here turns outside text into
//! checked values once; nothing here sends, listens, or knows about an async runtime.
//!
//! This crate must not depend on any other crate of the workspace.

#![warn(missing_docs)]

pub mod contract;
pub mod directory;
pub mod env;
pub mod features;
pub mod observability;
pub mod properties;
pub mod snapshot;
pub mod watch;
