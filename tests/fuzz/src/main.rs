//! `millrace-fuzz TARGET`: fuzzes one target for a time, or repeats an input that was found.
//!
//! An input that makes the target panic is written to a file; its name and the command that repeats it are printed.
#![expect(clippy::print_stdout, reason = "this is a command-line program; what it prints is its output")]

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::Parser;
use millrace_fuzz::driver::{self, Crash, Limit};
use millrace_fuzz::target::Target;
use millrace_fuzz::targets;

/// Feeds a target with mutated examples.
#[derive(Debug, Parser)]
struct Arguments {
    /// The target; `list` names all of them, `all` runs one after the other.
    target: String,
    /// How long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What the mutations begin with; another one for every run by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Repeats this input and does nothing else.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Where an input that was found is written.
    #[arg(long, default_value = "target/fuzz-found")]
    found: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.target.as_str() {
        "list" => {
            targets::ALL.iter().for_each(|target| println!("{}", target.name));
            Ok(())
        }
        "all" => targets::ALL.iter().try_for_each(|target| fuzz(target, &arguments)),
        name => {
            let target = targets::ALL.iter().find(|target| target.name == name);
            fuzz(target.with_context(|| format!("there is no target {name:?}; `list` names all"))?, &arguments)
        }
    }
}

fn fuzz(target: &Target, arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(path) = &arguments.replay {
        let input = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        driver::replay(target, &input).map_err(|crash| anyhow::anyhow!("it panics: {}", crash.message))?;
        println!("{}: {} does not panic", target.name, path.display());
        return Ok(());
    }
    let seed = arguments.seed.unwrap_or_else(seed_of_now);
    println!("{}: {} s with --seed {seed}", target.name, arguments.seconds);
    match driver::run(target, seed, Limit::Time(Duration::from_secs(arguments.seconds))) {
        Ok(report) => {
            println!("{}: no panic; {report:?}", target.name);
            Ok(())
        }
        Err(crash) => found(target, arguments, &crash),
    }
}

fn found(target: &Target, arguments: &Arguments, crash: &Crash) -> anyhow::Result<()> {
    std::fs::create_dir_all(&arguments.found)?;
    let path = arguments.found.join(target.name);
    std::fs::write(&path, &crash.input).with_context(|| format!("cannot write {}", path.display()))?;
    bail!(
        "{} panics: {}\nthe input is in {path}; to repeat it: cargo xtask fuzz {} --replay {path}",
        target.name,
        crash.message,
        target.name,
        path = path.display()
    )
}

#[expect(clippy::disallowed_methods, reason = "a seed that differs from run to run; it is printed")]
fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs().rotate_left(32)
}
