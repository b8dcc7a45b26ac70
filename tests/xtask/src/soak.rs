//! `cargo xtask soak SECONDS`: the soak test of `tests/faults`, for as long as said, with release binaries.

use crate::features;
use crate::step::{Failure, cargo};

/// # Errors
/// When the argument is no number of at least 60, a build fails, or an invariant does not hold.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let seconds = args.first().and_then(|seconds| seconds.parse::<u64>().ok()).filter(|seconds| *seconds >= 60);
    let (Some(seconds), true) = (seconds, args.len() <= 1) else {
        return Err(Failure::new("usage: cargo xtask soak SECONDS, at least 60".to_owned()));
    };
    let features = features::arguments()?;
    let bins = ["build", "--release", "--bins", "--package", "millrace-ingress", "--package", "millrace-dispatcher"];
    cargo(bins).args(features.clone()).run()?;
    let test = cargo(["test", "--release", "--package", "millrace-tests", "--test", "faults"]).args(features);
    let test = test.env("MILLRACE_SOAK_SECONDS", &seconds.to_string());
    test.args(["--", "--exact", "soak::soak", "--nocapture"]).run()
}
