//! `cargo xtask fuzz`: builds the fuzzer with checks and optimisation, then runs it.
//!
//! What is fuzzed, and how, is in `millrace-fuzz` (`tests/fuzz`); nothing is decided here.

use crate::step::{Failure, Step, cargo};

/// # Errors
/// When the build fails, or an input makes a target panic.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    step(args).run()
}

fn step(args: &[String]) -> Step {
    cargo(["run", "--profile", "fuzz", "--package", "millrace-fuzz", "--"]).args(args.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_the_fuzzer() {
        let step = step(&["cesql", "--seconds", "5"].map(String::from));
        assert_eq!(step.line(), "cargo run --profile fuzz --package millrace-fuzz -- cesql --seconds 5");
    }
}
