//! Benchmarks: Millrace beside its limit program on a real Kafka, in one run.
//!
//! Method (the proof's section 2): interleaved A B A B with a fresh topic a round on one broker process, the first round
//! dropped, medians with least and most. The process under test has one processor for itself, everything else shares the
//! other. Cost is processor time per event of all its threads, from schedstat. What arrived is counted at the far end: a
//! fast wrong answer is no answer. The noise meter is the time that others spent on the process's own processor; rounds
//! with more than a tenth are dropped. (Run-queue wait would also count the process's own threads waiting for each other.)

pub mod changes;
pub mod cpu;
pub mod dispatcher;
pub mod egresses;
pub mod failover;
pub mod generator;
pub mod ingress;
pub mod report;
pub mod responder;
pub mod slow;
pub mod standing;
pub mod steady;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::broker::kafka::Kafka;
use report::Report;

/// The processor of the process under test; everything else runs on processor 1.
pub const CPU_UNDER_TEST: usize = 0;

/// What [`run`] takes.
const ROWS: [&str; 12] = [
    "all",
    "smoke",
    "ingress",
    "structured",
    "steady",
    "dispatcher",
    "slow",
    "egresses",
    "failover",
    "changes",
    "idle",
    "start",
];

/// Partitions of every topic.
pub const PARTITIONS: i32 = 10;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Rounds that count, after the one that is dropped.
    pub rounds: usize,
    /// Numbers of connections to the ingress.
    pub connections: Vec<usize>,
    /// Modes (true: structured) and KiB of data of the row about documents.
    pub documents: Vec<(bool, usize)>,
    /// Events a second of the row with fixed rates.
    pub rates: Vec<u32>,
    /// How long an ingress round lasts.
    pub duration: Duration,
    /// Records that wait for the dispatcher.
    pub backlog: usize,
    /// Starts that are timed.
    pub starts: usize,
    /// Resources of a large contract.
    pub resources: usize,
    /// How often one of them changes.
    pub changes: u64,
    /// Numbers of idle egresses of one topic.
    pub egresses: Vec<usize>,
    /// How long a row without a backlog lasts.
    pub steady: Duration,
}

impl Scale {
    fn full() -> Self {
        Self {
            rounds: 5,
            connections: vec![8, 64, 512],
            documents: vec![(false, 1), (true, 1), (false, 16), (true, 16)],
            rates: vec![2000, 10_000],
            duration: Duration::from_secs(4),
            backlog: 200_000,
            starts: 20,
            resources: 10_000,
            changes: 50,
            egresses: vec![1, 10, 200, 1000],
            steady: Duration::from_secs(10),
        }
    }

    /// Enough to see that everything works; its numbers mean little.
    fn smoke() -> Self {
        Self {
            rounds: 1,
            connections: vec![64],
            documents: vec![(true, 1)],
            rates: vec![500],
            duration: Duration::from_millis(1000),
            backlog: 10_000,
            starts: 3,
            resources: 1000,
            changes: 5,
            egresses: vec![10],
            steady: Duration::from_secs(2),
        }
    }
}

/// Runs one row, or all.
///
/// # Errors
/// When a row is unknown, no Kafka can be had, or a far end did not get what was sent.
pub fn run(row: &str) -> anyhow::Result<Report> {
    let scale = if row == "smoke" { Scale::smoke() } else { Scale::full() };
    let wants = |name: &str| matches!(row, "all" | "smoke") || row == name;
    if !ROWS.contains(&row) {
        bail!("unknown row {row:?}; known are {}", ROWS.join(", "));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors > 1 {
        move_to_other_processor().context("cannot move the runner to another processor with taskset")?;
    }
    let kafka = Kafka::start_unless_missing(&["-Xmx1g"]).context("a real Kafka is needed (Java 17 and Maven)")?;
    let mut report = Report::new(row, processors);
    if wants("ingress") {
        ingress::run(&kafka, &scale, &mut report)?;
    }
    if wants("structured") {
        ingress::structured(&kafka, &scale, &mut report)?;
    }
    if wants("steady") {
        steady::run(&kafka, &scale, &mut report)?;
    }
    if wants("dispatcher") {
        dispatcher::run(&kafka, &scale, &mut report)?;
    }
    if wants("slow") {
        slow::run(&kafka, &scale, &mut report)?;
    }
    if wants("egresses") {
        egresses::run(&kafka, &scale, &mut report);
    }
    if wants("failover") {
        failover::run(&kafka, &scale, &mut report)?;
    }
    if wants("changes") {
        changes::run(&kafka, &scale, &mut report)?;
    }
    if wants("idle") {
        standing::idle(&kafka, &scale, &mut report);
    }
    if wants("start") {
        standing::start(&kafka, &scale, &mut report)?;
    }
    Ok(report)
}

/// Everything that is started later inherits this, except what is pinned elsewhere.
fn move_to_other_processor() -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let output = Command::new("taskset").args(["-a", "-c", "-p", "1", &pid]).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
