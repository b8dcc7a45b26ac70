//! The dispatcher as a process of its own; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_dispatcher::app::main()
}
