//! Runs one program: prints it first, and says which one failed.
//!
//! Must not decide what to run. Programs inherit the terminal, so their progress is visible while they run.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a command ended; already worded for a person.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `cargo` with arguments; the cargo that runs xtask is the one that builds.
pub(crate) fn cargo<I: IntoIterator<Item = S>, S: Into<String>>(args: I) -> Step {
    let mut step = Step::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    step.shown = "cargo".into();
    step.args(args)
}

/// One program with its arguments and variables.
#[derive(Debug)]
pub(crate) struct Step {
    program: String,
    shown: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Step {
    pub(crate) fn new(program: impl Into<String>) -> Self {
        let program = program.into();
        Self { shown: program.clone(), program, args: Vec::new(), env: Vec::new() }
    }

    pub(crate) fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The line a person could type to get the same.
    pub(crate) fn line(&self) -> String {
        let variables = self.env.iter().map(|(name, value)| format!("{name}={} ", quoted(value)));
        let arguments = self.args.iter().map(|argument| format!(" {}", quoted(argument)));
        variables.chain([self.shown.clone()]).chain(arguments).collect()
    }

    /// Prints the line, runs the program and waits for it.
    ///
    /// # Errors
    /// When the program is not there or ends with another status than 0.
    pub(crate) fn run(self) -> Result<(), Failure> {
        println!("$ {}", self.line());
        let status = self.command().status().map_err(|error| self.not_started(&error))?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}` failed ({status})", self.line()))) }
    }

    /// Runs without output; true when it ended with 0. For asking whether something is there.
    pub(crate) fn succeeds(&self) -> bool {
        let status = self.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value))).current_dir(root());
        // The outer `cargo run` sets these for xtask; passed on they would make later builds differ from a person's.
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
            command.env_remove(name);
        }
        command
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        if error.kind() == ErrorKind::NotFound {
            Failure::new(format!("`{}` is not installed or not on PATH", self.shown))
        } else {
            Failure::new(format!("cannot start `{}`: {error}", self.shown))
        }
    }
}

/// Runs one named stage and prints how long it took.
///
/// # Errors
/// The stage's own failure.
pub(crate) fn stage(name: &str, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let started = Instant::now();
    println!("\n==> {name}");
    let done = work();
    let outcome = if done.is_ok() { "done" } else { "FAILED" };
    println!("==> {name}: {outcome} in {}", minutes(started.elapsed()));
    done
}

/// The workspace's folder, wherever xtask was called from.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(PathBuf::from).unwrap_or(here)
}

fn minutes(taken: Duration) -> String {
    let seconds = taken.as_secs();
    if seconds < 60 {
        format!("{:.1} s", taken.as_secs_f32())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=./:,@+".contains(letter);
    if !text.is_empty() && text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_line_can_be_typed_in_a_shell() {
        let step = Step::new("cargo").args(["test", "a b", "it's"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(step.line(), r"RUSTDOCFLAGS='-D warnings' cargo test 'a b' 'it'\''s'");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failure = Step::new("no-such-program-here").run().unwrap_err();
        assert_eq!(failure.to_string(), "`no-such-program-here` is not installed or not on PATH");
    }

    #[test]
    fn a_failing_program_is_named_with_its_status() {
        let failure = Step::new("false").run().unwrap_err();
        assert!(failure.to_string().starts_with("`false` failed"), "{failure}");
    }

    #[test]
    fn times_above_a_minute_are_minutes() {
        assert_eq!(minutes(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(minutes(Duration::from_secs(125)), "2 min 05 s");
    }
}
