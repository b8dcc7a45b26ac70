//! The control plane: turns objects into topics, first offsets, statuses and one contract.
//!
//! `reconcile` is the pure core; `directory` is the shell that lives on a folder of YAML files. Nothing here is on the
//! path of an event: ingress and dispatcher go on with the last contract when this process is gone.

pub mod accounts;
pub mod addressable;
pub mod addresses;
pub mod api;
pub mod app;
mod atomic;
mod changes;
pub mod contract;
pub mod crds;
pub mod directory;
pub mod election;
pub mod features;
pub mod files;
pub mod index;
mod jobs;
pub mod kafka_access;
pub mod kubernetes;
pub mod metrics;
pub mod offsets;
pub mod probe;
pub mod publish;
pub mod reconcile;
pub mod status;
pub mod template;
#[cfg(test)]
mod testing;
pub mod topics;
pub mod validate;
