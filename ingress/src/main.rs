//! The separate ingress binary: looks at its arguments, everything else is in the library.

use std::ops::ControlFlow;
use std::process::ExitCode;

use millrace_ingress::app;
use millrace_runtime::startup;

fn main() -> ExitCode {
    match startup::arguments(&app::USAGE, std::env::args_os()) {
        ControlFlow::Continue(()) => app::main(),
        ControlFlow::Break(code) => code,
    }
}
