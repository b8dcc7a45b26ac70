//! `cargo xtask`: the project's commands, for people and for CI.
//!
//! Only decides which programs run with which arguments, and prints each before it runs. What is tested or measured is
//! in `tests/`; nothing here knows about events. Has no dependencies, so that it compiles in seconds on a new machine.
#![expect(clippy::print_stdout, reason = "this is a command-line program; what it prints is its output")]

mod ci;
mod counts;
mod deny;
mod features;
mod fuzz;
mod measure;
mod millrace;
mod soak;
mod step;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo [ARGS]      build and run `millrace demo`: one event's journey, on this machine (try: demo --count 5)
  dev DIR [ARGS]   build and run `millrace dev`: the same on your own YAML (try: dev deploy/examples/hello);
                   DIR is relative to the repository's root
  test [FILTER]    build the binaries and run all tests, or those whose name contains FILTER
  ci               everything a change must pass; .ci/run is this
  clippy           lints, warnings are errors
  doc              API documentation, warnings are errors
  deny             licences, sources and duplicate versions of the dependencies
  fuzz TARGET [--seconds N] [--seed S] [--replay FILE]
                   mutated input for everything that reads from outside; TARGET may be list or all
  bench [ROW]      measure, beside the limit programs where there are some: all (default), smoke, ingress, structured,
                   steady, dispatcher, slow, egresses, failover, changes, idle, start;
                   counts: instructions of the codec for one event, with valgrind
  soak SECONDS     mixed subscribers beside processes that are killed at random, on a real Kafka; checks that nothing is
                   lost, repeated without need or leaked (MILLRACE_TEST_SEED chooses the kills)

If the headers of OpenSSL or zlib are missing, every command that builds adds `--features vendored`, which
builds both from source (this needs perl and make). MILLRACE_VENDORED=1 or 0 decides without looking.";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match command.as_str() {
        "demo" | "dev" => millrace::run(&command, &rest),
        "test" => ci::test(&rest),
        "ci" => ci::run(),
        "clippy" => ci::clippy(),
        "doc" => ci::doc(),
        "deny" => deny::run(),
        "bench" => measure::run(&rest),
        "fuzz" => fuzz::run(&rest),
        "soak" => soak::run(&rest),
        "" | "help" | "-h" | "--help" => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => Err(step::Failure::new(format!("unknown command {other:?}; `cargo xtask help` lists them"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
