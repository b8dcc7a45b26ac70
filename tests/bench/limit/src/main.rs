//! The limit programs: the least that an ingress or a dispatcher can do, for measuring Millrace beside it.
//!
//! hyper and librdkafka with Millrace's settings of both, and nothing else: no routing, no parsing, no retries, no commits.
//! Never part of the product; what is missing here is missing on purpose.
#![expect(clippy::print_stdout, reason = "the runner reads the same start-up lines as from Millrace's processes")]

mod dispatcher;
mod ingress;

use clap::{Parser, Subcommand};

/// Least work on the path of an event, for comparison.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// POST to record: answers 202 when the broker has acknowledged.
    Ingress(ingress::Args),
    /// Record to POST: sends every record of a topic to one URL.
    Dispatcher(dispatcher::Args),
}

fn main() -> anyhow::Result<()> {
    // One thread for all sockets: on one processor that is the cheapest runtime there is.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match Args::parse().role {
        Role::Ingress(args) => runtime.block_on(ingress::run(args)),
        Role::Dispatcher(args) => runtime.block_on(dispatcher::run(args)),
    }
}
