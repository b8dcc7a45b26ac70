//! `cargo xtask bench`: builds the release binaries, the limit programs and the runner, then runs the runner.
//!
//! The method and the rows are in `millrace-tests` (`tests/src/bench`); nothing is measured here.

use crate::step::{Failure, Step, cargo, root};
use crate::{counts, features};

/// # Errors
/// When a build fails or the runner ends with another status than 0.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    if args == ["counts"] {
        return counts::run();
    }
    let packages = ["millrace-ingress", "millrace-dispatcher", "millrace-limit", "millrace-tests"];
    let selected = packages.iter().flat_map(|package| ["--package", package]);
    cargo(["build", "--release", "--bins"]).args(selected).args(features::arguments()?).run()?;
    Step::new(root().join("target/release/millrace-bench").display().to_string()).args(args).run()
}
