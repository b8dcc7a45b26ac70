//! The environment variables of every process. The only place that reads the process environment.
//!
//! Names and meanings are those of the peer's deployments, so that their manifests work unchanged; ours begin with
//! `MILLRACE_` and are optional. A reading reports every problem at once, each naming its variable. An empty variable
//! counts as absent, as manifests often leave them empty.
//!
//! Source: eventing-kafka-broker's receiver, dispatcher and controller deployments.

mod aws;
mod control;
mod dispatcher;
mod ingress;
mod otel;
mod reading;
mod shared;

use std::fmt;

pub use aws::AwsEnv;
pub use control::{ControlEnv, PlaneEnv};
pub use dispatcher::DispatcherEnv;
pub use ingress::IngressEnv;
pub use otel::{OtelEnv, OtelHeaders};
pub use shared::{AdminEnv, LogEnv, LogFormat, MetricsEnv, ServiceEnv};

/// Where variables come from.
pub trait Env {
    /// The value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn get(&self, name: &str) -> Option<String> {
        // What is not UTF-8 is shown with replacement characters, so that its problem can be named.
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

/// Variables given by hand: for tests, and for the tool that starts processes itself.
impl Env for std::collections::BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).cloned()
    }
}

/// A variable that a process cannot start without, for its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Required {
    /// The variable.
    pub name: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// A value that works where the peer's manifests mount their files.
    pub example: &'static str,
}

const fn required(name: &'static str, meaning: &'static str, example: &'static str) -> Required {
    Required { name, meaning, example }
}

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct EnvError {
    /// The variable.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Every variable that cannot be used; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvErrors(pub Vec<EnvError>);

impl fmt::Display for EnvErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for EnvErrors {}

#[cfg(test)]
mod tests;
