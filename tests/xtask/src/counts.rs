//! `cargo xtask bench counts`: how many instructions one event costs the codec, beside what was recorded.
//!
//! Counts do not depend on what else a machine does. They do depend on compiler, C library and processor, so a recorded value
//! is good for telling what a change costs, and a few percent are no difference. Counted with valgrind; where there is none,
//! says so and succeeds.

use std::fs;
use std::process::Command;

use crate::step::{Failure, Step, cargo, root};

/// One line a path: its name and the recorded count.
const RECORDED: &str = "tests/bench/counts.txt";
/// In percent of what was recorded.
const TOLERANCE: u64 = 5;
/// Two numbers of events: the difference is without start and end of the program.
const EVENTS: [u64; 2] = [1000, 3000];

/// # Errors
/// When the build or a run fails, or a path costs more than was recorded.
pub(crate) fn run() -> Result<(), Failure> {
    if !Step::new("valgrind").args(["--version"]).succeeds() {
        println!("SKIPPED: valgrind, which counts instructions, is not installed");
        return Ok(());
    }
    cargo(["build", "--release", "--package", "millrace-event", "--example", "counts"]).run()?;
    let recorded = fs::read_to_string(root().join(RECORDED))
        .map_err(|error| Failure::new(format!("cannot read {RECORDED}: {error}")))?;
    let mut worse = Vec::new();
    for (path, before) in recorded.lines().filter_map(line) {
        let (fewer, more) = (instructions(path, EVENTS[0])?, instructions(path, EVENTS[1])?);
        let now = more.saturating_sub(fewer) / (EVENTS[1] - EVENTS[0]);
        println!("{path}: {now} instructions an event, recorded {before}");
        if now * 100 > before * (100 + TOLERANCE) {
            worse.push(path);
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    let worse = worse.join(", ");
    Err(Failure::new(format!("more instructions than recorded: {worse}; if they are worth it, change {RECORDED}")))
}

fn line(line: &str) -> Option<(&str, u64)> {
    let (path, count) = line.split_once(' ')?;
    Some((path, count.parse().ok()?))
}

fn instructions(path: &str, events: u64) -> Result<u64, Failure> {
    let program = root().join("target/release/examples/counts");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([path, &events.to_string()])
        .output()
        .map_err(|error| Failure::new(format!("cannot run valgrind: {error}")))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let found = collected(&text).filter(|_| output.status.success());
    found.ok_or_else(|| Failure::new(format!("valgrind counted nothing:\n{text}")))
}

/// The number behind `Collected :` in what callgrind says at its end.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.split_once("Collected :"))?.1;
    line.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callgrind_counted_is_found_in_its_words() {
        assert_eq!(collected("==7== \n==7== Events    : Ir\n==7== Collected : 20506123\n==7== \n"), Some(20_506_123));
        assert_eq!(collected("==7== no such program"), None);
        assert_eq!(line("in 7000"), Some(("in", 7000)));
    }
}
