//! `millrace-control`: a thin main over the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_control::app::main(std::env::args_os())
}
