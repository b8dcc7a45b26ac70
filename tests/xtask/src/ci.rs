//! `cargo xtask ci`: everything a change must pass, in the order in which it fails fastest.
//!
//! Each stage is also a command of its own, so that a person can repeat the one that failed.

use crate::step::{Failure, cargo, stage};
use crate::{deny, features, measure, millrace};

/// All stages; stops at the first that fails.
///
/// # Errors
/// The failure of that stage.
pub(crate) fn run() -> Result<(), Failure> {
    stage("format", || cargo(["fmt", "--all", "--check"]).run())?;
    stage("clippy", clippy)?;
    stage("doc", doc)?;
    stage("deny", deny::run)?;
    stage("test", || test(&[]))?;
    stage("demo", || millrace::run("demo", &["--count".into(), "5".into()]))?;
    stage("bench smoke", || measure::run(&["smoke".into()]))?;
    println!("\nall stages passed");
    Ok(())
}

/// # Errors
/// When there is a warning.
pub(crate) fn clippy() -> Result<(), Failure> {
    let features = features::arguments()?;
    cargo(["clippy", "--workspace", "--all-targets"]).args(features).args(["--", "-D", "warnings"]).run()
}

/// # Errors
/// When there is a warning.
pub(crate) fn doc() -> Result<(), Failure> {
    let features = features::arguments()?;
    cargo(["doc", "--workspace", "--no-deps"]).args(features).env("RUSTDOCFLAGS", "-D warnings").run()
}

/// The test command: integration tests start the binaries, which `cargo test` alone would not build.
///
/// # Errors
/// When the build or a test fails.
pub(crate) fn test(filter: &[String]) -> Result<(), Failure> {
    let features = features::arguments()?;
    cargo(["build", "--workspace", "--bins"]).args(features.clone()).run()?;
    let test = cargo(["test", "--workspace", "--no-fail-fast"]).args(features);
    if filter.is_empty() { test.run() } else { test.args(["--"]).args(filter).run() }
}
