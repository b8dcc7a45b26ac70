//! `cargo xtask demo`: builds and runs the main job for someone who has just cloned the repository.
//!
//! Only chooses features and passes the arguments on; the demo itself is `millrace demo`.

use crate::features;
use crate::step::{Failure, cargo};

/// Builds in release and runs `millrace demo` with the given arguments.
///
/// # Errors
/// When the build or the demo fails.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let features = features::arguments()?;
    cargo(["run", "--release", "--package", "millrace"]).args(features).args(["--", "demo"]).args(args).run()
}
