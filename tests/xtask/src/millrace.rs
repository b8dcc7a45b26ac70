//! `cargo xtask demo` and `cargo xtask dev`: build and run `millrace` for someone who has just cloned the repository.
//!
//! Only chooses features and passes the arguments on; what runs is `millrace demo` or `millrace dev`.

use crate::features;
use crate::step::{Failure, Step, cargo};

/// Builds in release and runs this subcommand of `millrace` with the given arguments.
///
/// # Errors
/// When the build or the command fails.
pub(crate) fn run(subcommand: &str, args: &[String]) -> Result<(), Failure> {
    step(features::arguments()?, subcommand, args).run()
}

fn step(features: Vec<String>, subcommand: &str, args: &[String]) -> Step {
    cargo(["run", "--release", "--package", "millrace"]).args(features).args(["--", subcommand]).args(args.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_millrace_and_features_reach_cargo() {
        let (features, args) = (["--features", "vendored"], ["deploy/examples/hello", "--port", "0"]);
        let step = step(features.map(String::from).to_vec(), "dev", &args.map(String::from));
        let expected =
            "cargo run --release --package millrace --features vendored -- dev deploy/examples/hello --port 0";
        assert_eq!(step.line(), expected);
    }
}
