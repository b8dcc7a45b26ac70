//! What the binary of one role does with arguments: it takes none, so it explains itself or refuses.
//!
//! For the thin mains only: as part of `millrace` a role never sees the command line. Settings come from the environment,
//! as in a cluster; an argument that was ignored would look like one that was obeyed.

use std::ffi::OsString;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::ExitCode;

use millrace_config::env::Required;

use crate::build_info;

/// The arguments are wrong: the same code as clap's.
const WRONG_ARGUMENTS: u8 = 2;

/// What a process says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// The binary's name.
    pub process: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The variables it cannot start without.
    pub required: &'static [Required],
}

/// What somebody who gives arguments wants.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Run,
    Help,
    Version,
    /// The first argument that means nothing.
    Unknown(String),
}

/// Looks at the arguments, the first of which is the program's name. Goes on when there are none; otherwise answers on
/// standard output, or on standard error with exit code 2.
pub fn arguments(usage: &Usage, args: impl IntoIterator<Item = OsString>) -> ControlFlow<ExitCode> {
    let said = match wish(args) {
        Wish::Run => return ControlFlow::Continue(()),
        Wish::Help => help(usage),
        Wish::Version => format!("{} {}\n", usage.process, build_info::summary()),
        Wish::Unknown(argument) => {
            let process = usage.process;
            eprintln!("{process}: unexpected argument '{argument}': settings come from the environment");
            eprintln!("For more, run: {process} --help");
            return ControlFlow::Break(ExitCode::from(WRONG_ARGUMENTS));
        }
    };
    // A reader that has gone, as `head` does, has seen what it wanted.
    drop(std::io::stdout().write_all(said.as_bytes()));
    ControlFlow::Break(ExitCode::SUCCESS)
}

fn wish(args: impl IntoIterator<Item = OsString>) -> Wish {
    // Anything unknown is refused even beside `--help`: it may be a typing error of something that matters.
    let mut found = Wish::Run;
    for argument in args.into_iter().skip(1) {
        match (argument.to_str(), &found) {
            (Some("--help" | "-h" | "help"), _) => found = Wish::Help,
            (Some("--version" | "-V"), Wish::Run) => found = Wish::Version,
            (Some("--version" | "-V"), _) => {}
            _ => return Wish::Unknown(argument.to_string_lossy().into_owned()),
        }
    }
    found
}

fn help(usage: &Usage) -> String {
    let Usage { process, about, required } = usage;
    let width = required.iter().map(|variable| variable.name.len()).max().unwrap_or_default();
    let mut text = format!(
        "{about}\n\nUsage: {process} [--help | --version]\n\nTakes its settings from the environment. Required:\n"
    );
    for Required { name, meaning, .. } in *required {
        text.push_str(&format!("  {name:width$}  {meaning}\n"));
    }
    text.push_str(
        "\nOptional, among others:\n  \
         MILLRACE_ADMIN_ADDRESS  host:port of metrics, health and /debug pages\n  \
         MILLRACE_LOG            levels, such as info,millrace_ingress=debug\n  \
         MILLRACE_LOG_FORMAT     json (default) or text\n  \
         MILLRACE_DRAIN_SECONDS  how long work may take to finish after SIGTERM; 25 when absent\n\nExample:\n",
    );
    for Required { name, example, .. } in *required {
        text.push_str(&format!("  {name}={example} \\\n"));
    }
    text.push_str(&format!("  {process}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], expected: Wish) {
        let args = std::iter::once("program").chain(args.iter().copied()).map(OsString::from);
        assert_eq!(wish(args), expected);
    }

    #[test]
    fn a_role_takes_no_arguments_but_explains_itself() {
        check(&[], Wish::Run);
        check(&["--help"], Wish::Help);
        check(&["-h"], Wish::Help);
        check(&["--version"], Wish::Version);
        check(&["-V"], Wish::Version);
        check(&["--version", "--help"], Wish::Help);
        check(&["--help", "--version"], Wish::Help);
    }

    #[test]
    fn whatever_else_is_refused_by_name() {
        check(&["--port", "80"], Wish::Unknown("--port".to_owned()));
        check(&["--help", "--prot"], Wish::Unknown("--prot".to_owned()));
        check(&[""], Wish::Unknown(String::new()));
    }

    #[test]
    fn help_shows_each_variable_with_its_meaning_and_an_example_to_copy() {
        const PORT: Required = Required { name: "PORT", meaning: "port for events", example: "8080" };
        const FILE: Required = Required { name: "CONFIG_FILE", meaning: "file: settings", example: "/etc/file" };
        let text = help(&Usage { process: "millrace-x", about: "Does x.", required: &[PORT, FILE] });
        assert!(text.starts_with("Does x.\n\nUsage: millrace-x [--help | --version]\n"), "{text}");
        assert!(text.contains("  PORT         port for events\n  CONFIG_FILE  file: settings\n"), "{text}");
        assert!(text.ends_with("  PORT=8080 \\\n  CONFIG_FILE=/etc/file \\\n  millrace-x\n"), "{text}");
    }
}
