//! The frame around a process: start-up problems are collected and reported all at once, then the process leaves with
//! exit code 1.
//!
//! Exit codes: 0 after a clean drain, 1 when the process could not start, 2 when it was given arguments.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use millrace_config::env::{Env, LogEnv};
use millrace_config::properties::{Properties, PropertyErrors};
use tracing::error;

use crate::logging;

mod arguments;
mod descriptors;

pub use arguments::{Usage, arguments};

/// How long the last log lines may take to reach a slow standard output.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Everything that keeps a process from starting, in the order it was found.
///
/// Each problem names the variable, file or key it is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// No problem so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One problem, for a step that cannot go on.
    #[must_use]
    pub fn one(problem: impl fmt::Display) -> Self {
        Self(vec![problem.to_string()])
    }

    /// Adds one problem; a text of several lines stays one problem.
    pub fn add(&mut self, problem: impl fmt::Display) {
        self.0.push(problem.to_string());
    }

    /// Takes the value out of a result, or notes its error with all its causes and goes on to look for the next
    /// problem.
    pub fn check<T, E: std::error::Error>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.push(with_causes(&error));
                None
            }
        }
    }

    /// Adds every problem of a list, such as the variables of `EnvErrors`.
    pub fn add_all(&mut self, problems: impl IntoIterator<Item = impl fmt::Display>) {
        self.0.extend(problems.into_iter().map(|problem| problem.to_string()));
    }

    /// Reads a properties file and makes settings of it, or notes every problem with the file's name and goes on to look
    /// for the next one. `None` when there was a problem. Blocks.
    ///
    /// An empty path stands for a variable that is not set, which is a problem already: nothing is read or added.
    pub fn properties<S>(
        &mut self,
        path: &Path,
        settings: impl FnOnce(&Properties) -> Result<S, PropertyErrors>,
    ) -> Option<(Properties, S)> {
        if path.as_os_str().is_empty() {
            return None;
        }
        let properties = self.check(Properties::read(path))?;
        match settings(&properties) {
            Ok(settings) => Some((properties, settings)),
            Err(errors) => {
                self.add_all(errors.0.iter().map(|error| format!("{}: {error}", path.display())));
                None
            }
        }
    }

    /// True when nothing stands in the way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems as text.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<E: std::error::Error> From<E> for Problems {
    fn from(error: E) -> Self {
        Self(vec![with_causes(&error)])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        Ok(())
    }
}

/// An error and its causes on one line.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Starts logging before anything else, whatever the variables for it say. One that cannot be used counts as absent and
/// is no problem here: the process's own environment reads it again and reports it together with all others.
pub fn logging(env: &dyn Env, process: &'static str) {
    logging::init(&LogEnv::read_anyway(env), process);
}

/// Runs a process to its end, with as many descriptors as the system allows. Problems go to standard error for the person and to the log for the cluster.
pub fn run(process: &'static str, body: impl FnOnce() -> Result<(), Problems>) -> ExitCode {
    descriptors::raise();
    let outcome = body();
    if let Err(problems) = &outcome {
        for problem in problems.iter() {
            error!(process, problem, "Cannot start");
        }
        eprint!("{process}: cannot start:\n{problems}");
    }
    logging::flush(FLUSH_LIMIT);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}

#[cfg(test)]
mod tests {
    use millrace_config::properties::kafka;

    use super::*;

    #[test]
    fn every_problem_is_kept_and_shown_on_its_own_line() {
        let mut problems = Problems::new();
        assert_eq!(problems.check("7".parse::<u16>()), Some(7));
        assert!(problems.is_empty());
        assert_eq!(problems.check("x".parse::<u16>()), None);
        problems.add("INGRESS_PORT is not set");
        assert_eq!(problems.to_string(), "  - invalid digit found in string\n  - INGRESS_PORT is not set\n");
    }

    #[test]
    fn each_bad_property_is_a_problem_of_its_own_with_the_files_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("producer.properties");
        std::fs::write(&path, "acks=some\nlinger.ms=soon\n").unwrap();
        let mut problems = Problems::new();
        assert!(problems.properties(&path, kafka::producer).is_none());
        let found: Vec<_> = problems.iter().collect();
        assert!(
            matches!(found[..], [acks, linger] if acks.contains("acks") && linger.contains("linger.ms")),
            "{found:?}"
        );
        assert!(found.iter().all(|problem| problem.starts_with(&path.display().to_string())), "{found:?}");
        assert!(problems.properties(Path::new(""), kafka::producer).is_none());
        assert_eq!(problems.iter().count(), 2);
        std::fs::write(&path, "acks=all\n").unwrap();
        let (properties, settings) = Problems::new().properties(&path, kafka::producer).unwrap();
        assert_eq!((properties.get("acks"), settings.queue_max), (Some("all"), 100_000));
    }

    #[test]
    fn a_process_that_cannot_start_leaves_with_code_1() {
        assert_eq!(format!("{:?}", run("test", || Err(Problems::one("no port")))), format!("{:?}", ExitCode::from(1)));
        assert_eq!(format!("{:?}", run("test", || Ok(()))), format!("{:?}", ExitCode::SUCCESS));
    }
}
