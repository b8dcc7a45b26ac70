//! `millrace-bench [ROW]`: runs benchmarks and prints their table; `cargo xtask bench` builds what it needs first.
//!
//! Only a front of `millrace_tests::bench`. Results also go to `target/bench/ROW.json`.
#![expect(clippy::print_stdout, reason = "a command-line program; the table is its output")]

use std::path::Path;

use anyhow::Context;
use millrace_tests::bench;

fn main() -> anyhow::Result<()> {
    let row = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    let report = bench::run(&row)?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    report.write(&folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    println!("{}", report.markdown());
    Ok(())
}
