//! The separate ingress binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_ingress::app::main()
}
