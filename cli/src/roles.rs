//! `millrace ingress`, `dispatcher` and `control`: the processes of a cluster, inside this binary.
//!
//! The only place that calls the three libraries. Nothing is configured here: what a role needs to know it
//! reads from its environment and its files, whether a kubelet or `millrace dev` has set them up.

use std::ffi::OsString;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

/// Longer than any drain: a supervised process that has not ended by then is stuck.
const END_AFTER_PARENT: Duration = Duration::from_secs(60);

pub(crate) const INGRESS_EXAMPLES: &str = "\
Examples (`millrace dev` sets all of it for you):
  export INGRESS_PORT=8080 INGRESS_TLS_PORT=8443
  export DATA_PLANE_CONFIG_FILE_PATH=state/contract/data
  export PRODUCER_CONFIG_FILE_PATH=state/config/config-kafka-channel-producer.properties
  export HTTPSERVER_CONFIG_FILE_PATH=state/config/config-kafka-channel-httpserver.properties
  export LIVENESS_PROBE_PATH=/healthz READINESS_PROBE_PATH=/readyz
  ...
  millrace ingress

There are no options: environment variables and files are those of Knative's Kafka data plane. \
What is missing or wrong is reported at the start, all of it at once.";

pub(crate) const DISPATCHER_EXAMPLES: &str = "\
Examples (`millrace dev` sets all of it for you):
  export DATA_PLANE_CONFIG_FILE_PATH=state/contract/data
  export CONSUMER_CONFIG_FILE_PATH=state/config/config-kafka-channel-consumer.properties
  export WEBCLIENT_CONFIG_FILE_PATH=state/config/config-kafka-channel-webclient.properties
  export PRODUCER_CONFIG_FILE_PATH=state/config/config-kafka-channel-producer.properties
  export EGRESSES_INITIAL_CAPACITY=20
  ...
  millrace dispatcher

There are no options: environment variables and files are those of Knative's Kafka data plane. \
What is missing or wrong is reported at the start, all of it at once.";

/// Of both data planes; each has examples of its own.
#[derive(Debug, Args)]
pub(crate) struct DataPlaneArgs {
    /// End when standard input ends, which means that the process which started this one is gone
    #[arg(long, hide = true)]
    supervised: bool,
}

/// Runs control: objects in; topics, offsets and the contract out. See `millrace control --help`
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct ControlArgs {
    /// End when standard input ends, which means that the process which started this one is gone
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
    /// Left to control itself
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) rest: Vec<OsString>,
}

pub(crate) fn ingress(args: &DataPlaneArgs) -> ExitCode {
    end_with_parent(args.supervised);
    millrace_ingress::app::main()
}

pub(crate) fn dispatcher(args: &DataPlaneArgs) -> ExitCode {
    end_with_parent(args.supervised);
    millrace_dispatcher::app::main()
}

pub(crate) fn control(args: ControlArgs) -> ExitCode {
    end_with_parent(args.supervised);
    // The first argument is the program's name, as in a process's own arguments.
    millrace_control::app::main(std::iter::once(OsString::from("millrace control")).chain(args.rest))
}

/// Makes sure that a child of `millrace dev` never outlives it, however `dev` ends.
///
/// The parent holds the other end of our standard input and writes nothing. Its end, by whatever death, is the end of
/// that pipe: then this process sends itself the signal that a kubelet would send, and drains as usual. This needs
/// neither unsafe code nor Linux, unlike a parent-death signal.
fn end_with_parent(supervised: bool) {
    if !supervised {
        return;
    }
    let watch = std::thread::Builder::new().name("parent-watch".to_owned()).spawn(|| {
        let mut ignored = [0_u8; 64];
        loop {
            match std::io::stdin().read(&mut ignored) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).is_err() {
            std::process::exit(1);
        }
        std::thread::sleep(END_AFTER_PARENT);
        std::process::exit(1);
    });
    // Without threads nothing else in this process would start either, and its own error says more.
    drop(watch);
}
