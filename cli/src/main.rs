//! `millrace`, the person's command: reads the arguments and hands over to one file a subcommand.
//!
//! It is also a multi-call binary: `millrace ingress`, `dispatcher` and `control` are the very processes of a
//! cluster, and `dev` and `demo` start them as children of themselves. Nothing here knows how a command works.
//! Exit status: 0 done, 1 it failed (and said why), 2 the arguments are wrong.

mod console;
mod demo;
mod dev;
mod display;
mod migrate;
mod post;
mod roles;
mod send;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::console::Console;

const EXAMPLES: &str = "\
Examples:
  millrace demo                        see what happens to events; no set-up
  millrace dev deploy/examples/hello   the same, on your own objects
  millrace send http://127.0.0.1:8080/default/orders --data '{\"a\":1}'
  millrace display --port 9000         a subscriber that prints

Colours appear only on a terminal; set NO_COLOR=1 to have none there either.";

/// Moves CloudEvents between HTTP and Apache Kafka for Knative channels.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Dev(dev::DevArgs),
    Send(Box<send::SendArgs>),
    Display(display::DisplayArgs),
    Validate(validate::ValidateArgs),
    Migrate(migrate::MigrateArgs),
    /// Runs an ingress, which takes events and stores them, as in a cluster
    #[command(after_help = roles::INGRESS_EXAMPLES)]
    Ingress(roles::DataPlaneArgs),
    /// Runs a dispatcher, which delivers stored events to subscribers, as in a cluster
    #[command(after_help = roles::DISPATCHER_EXAMPLES)]
    Dispatcher(roles::DataPlaneArgs),
    Control(roles::ControlArgs),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        // The roles build their own runtime, exactly as their stand-alone binaries do.
        Command::Ingress(args) => roles::ingress(&args),
        Command::Dispatcher(args) => roles::dispatcher(&args),
        Command::Control(args) => roles::control(args),
        Command::Demo(args) => run(|console| demo::run(args, console)),
        Command::Dev(args) => run(|console| dev::run(args, console)),
        Command::Send(args) => run(|console| send::run(*args, console)),
        Command::Display(args) => run(|console| display::run(args, console)),
        Command::Validate(args) => run(|console| validate::run(args, console)),
        Command::Migrate(args) => run(|console| migrate::run(args, console)),
    }
}

/// Runs one of the person's commands to its end and says on standard error why it failed.
fn run<F, E>(command: impl FnOnce(Console) -> F) -> ExitCode
where
    F: Future<Output = Result<ExitCode, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("cannot start the async runtime")),
    };
    let outcome = runtime.block_on(command(Console::stdout()));
    match outcome {
        Ok(code) => code,
        Err(error) => failed(&anyhow::Error::new(error)),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let console = Console::stderr();
    console.line(&format!("{} {error:#}", console.paint().bad("error:")));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace()).map(|arguments| arguments.command)
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        for command in Arguments::command().get_subcommands() {
            // `millrace control --help` is answered by control itself.
            if command.get_name() == "control" {
                continue;
            }
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "no example in the help of {}:\n{help}", command.get_name());
        }
    }

    #[test]
    fn everything_after_control_is_left_to_control() {
        let Ok(Command::Control(args)) = parse("millrace control directory --objects a --help") else {
            panic!("not understood as control");
        };
        assert_eq!(args.rest, ["directory", "--objects", "a", "--help"]);
    }

    #[test]
    fn a_supervised_control_still_gets_its_own_arguments() {
        let Ok(Command::Control(args)) = parse("millrace control --supervised directory --objects a") else {
            panic!("not understood as control");
        };
        assert!(args.supervised);
        assert_eq!(args.rest, ["directory", "--objects", "a"]);
    }

    #[test]
    fn a_fixed_kafka_port_and_a_real_kafka_exclude_each_other() {
        assert!(parse("millrace dev somewhere --kafka-port 9092").is_ok());
        assert!(parse("millrace dev somewhere --kafka localhost:9092").is_ok());
        assert!(parse("millrace dev somewhere --kafka localhost:9092 --kafka-port 9092").is_err());
    }

    #[test]
    fn servers_without_a_port_and_empty_attributes_are_wrong_arguments() {
        for line in ["dev somewhere --kafka localhost", "dev somewhere --kafka ,"] {
            assert!(parse(&format!("millrace {line}")).is_err(), "{line}");
        }
        for option in ["--id", "--type", "--source"] {
            let line = ["millrace", "send", "http://localhost/a", option, ""];
            let error = Arguments::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains("must not be empty"), "{error}");
        }
    }

    #[test]
    fn a_url_without_http_is_explained() {
        for (url, hint) in [
            ("127.0.0.1:9100/x", "write http://127.0.0.1:9100/x"),
            ("localhost:9100/x", "write http://localhost:9100/x"),
            ("ftp://localhost/x", "begin with http:// or https://"),
            ("http://", "is no URL"),
        ] {
            let Err(error) = parse(&format!("millrace send {url}")) else { panic!("{url} was taken") };
            assert!(error.to_string().contains(hint), "{url}: {error}");
        }
    }

    #[test]
    fn data_comes_from_one_place() {
        assert!(parse("millrace send http://localhost/a --data x").is_ok());
        assert!(parse("millrace send http://localhost/a --data-file x").is_ok());
        assert!(parse("millrace send http://localhost/a --data x --data-file y").is_err());
    }

    #[test]
    fn a_count_of_zero_events_is_refused() {
        assert!(parse("millrace demo --count 0").is_err());
        assert!(parse("millrace send http://localhost/a --count 0").is_err());
    }
}
