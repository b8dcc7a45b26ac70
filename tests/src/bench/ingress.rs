//! Rows 1 and 2: events of 1 KiB in binary mode, of 1 and 16 KiB in structured mode; kept connections, acks=all, 10
//! partitions. Row 4 in part: memory under that load.

use std::time::Duration;

use anyhow::ensure;

use super::cpu::{Usage, resident_kib, usage};
use super::generator::{self, Done, Shape};
use super::report::Report;
use super::{CPU_UNDER_TEST, PARTITIONS, Scale};
use crate::broker::kafka::Kafka;
use crate::broker::{Broker, records};
use crate::contract::Channel;
use crate::plane::{Ingress, Plane};
use crate::process::Program;

const WARM_UP: Duration = Duration::from_millis(500);
/// Ids of the warm-up and of the round do not meet.
const FIRST_MEASURED_ID: usize = 100_000_000;
/// The share of others' time on the processor above which a round does not count.
pub(super) const MAX_NOISE: f64 = 0.1;

/// Connections of the rows that have only one number of them.
const USUAL_CONNECTIONS: usize = 64;

/// What one round sends.
#[derive(Debug, Clone, Copy)]
struct Load {
    shape: Shape,
    connections: usize,
}

/// # Errors
/// When a request is not accepted, or the topic does not hold what was accepted.
pub(super) fn run(kafka: &Kafka, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    warm_up(kafka, scale, "connections")?;
    for &connections in &scale.connections {
        let load = Load { shape: Shape::USUAL, connections };
        rounds(kafka, scale, report, &format!("ingress, {connections} connections"), load)?;
    }
    Ok(())
}

/// # Errors
/// As [`run`].
pub(super) fn structured(kafka: &Kafka, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    warm_up(kafka, scale, "documents")?;
    for &(structured, kib) in &scale.documents {
        let shape = Shape { structured, data_bytes: kib * 1024 };
        let mode = if structured { "structured" } else { "binary" };
        let what = format!("ingress, {mode} mode, {kib} KiB");
        rounds(kafka, scale, report, &what, Load { shape, connections: USUAL_CONNECTIONS })?;
    }
    Ok(())
}

/// Java compiles what it uses only after a while; no round is to pay for that.
fn warm_up(kafka: &Kafka, scale: &Scale, row: &str) -> anyhow::Result<()> {
    let load = Load { shape: Shape::USUAL, connections: USUAL_CONNECTIONS };
    let ingress = start(kafka, "limit", &Channel::new(&format!("in-warm-up-{row}"), &kafka.bootstrap()));
    measure(kafka, scale, &ingress, load).map(drop)
}

fn rounds(kafka: &Kafka, scale: &Scale, report: &mut Report, what: &str, load: Load) -> anyhow::Result<()> {
    for round in 0..=scale.rounds {
        for program in ["limit", "millrace"] {
            let name: String = what.chars().filter(char::is_ascii_alphanumeric).collect();
            let channel = Channel::new(&format!("in-{name}-{round}-{program}"), &kafka.bootstrap());
            let ingress = start(kafka, program, &channel);
            let (done, used) = measure(kafka, scale, &ingress, load)?;
            eprintln!("{what}, round {round}, {program}: {:.0}/s, noise {:.0} %", done.rate(), used.noise() * 100.0);
            if round > 0 && used.noise() > MAX_NOISE && scale.rounds > 1 {
                report.drop_round();
            } else if round > 0 {
                add(report, what, program, &done, used);
                report.add(what, program, "RSS MiB", ingress.resident_mib());
            }
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(super) fn add(report: &mut Report, what: &str, program: &str, done: &Done, used: Usage) {
    report.add(what, program, "CPU us/event", used.process.as_secs_f64() * 1e6 / done.accepted as f64);
    report.add(what, program, "events/s", done.rate());
    for (unit, share) in [("p50 us", 500), ("p99 us", 990), ("p99.9 us", 999)] {
        report.add(what, program, unit, done.per_mille(share));
    }
}

/// One of the two programs, with the one channel that it serves.
pub(super) struct Started {
    pub(super) ingress: Ingress,
    pub(super) channel: Channel,
    _plane: Plane,
}

impl Started {
    pub(super) fn usage(&self) -> Usage {
        usage(self.ingress.process.pid(), CPU_UNDER_TEST)
    }

    #[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
    fn resident_mib(&self) -> f64 {
        resident_kib(self.ingress.process.pid()) as f64 / 1024.0
    }

    /// Whether the topic holds as many records as were accepted.
    pub(super) fn ensure_stored(&self, kafka: &Kafka, accepted: usize) -> anyhow::Result<()> {
        let stored: i64 = records::end_offsets(&kafka.bootstrap(), &self.channel.topic()).values().sum();
        ensure!(usize::try_from(stored) == Ok(accepted), "{}: {accepted} accepted, {stored} stored", self.channel.name);
        Ok(())
    }
}

pub(super) fn start(kafka: &Kafka, program: &str, channel: &Channel) -> Started {
    kafka.create_topic(&channel.topic(), PARTITIONS);
    let plane = Plane::new(kafka);
    plane.publish(1, std::slice::from_ref(channel));
    let ingress = if program == "limit" {
        let limit = Program::named("millrace-limit").arg("ingress").arg("--bootstrap").arg(kafka.bootstrap());
        Ingress::start(&limit.arg("--topic").arg(channel.topic()).on_cpu(CPU_UNDER_TEST))
    } else {
        let ingress = Ingress::start(&plane.ingress_program().env("MILLRACE_LOG", "info").on_cpu(CPU_UNDER_TEST));
        ingress.wait_until_routed(channel);
        ingress
    };
    Started { ingress, channel: channel.clone(), _plane: plane }
}

fn measure(kafka: &Kafka, scale: &Scale, started: &Started, load: Load) -> anyhow::Result<(Done, Usage)> {
    let (address, path) = (started.ingress.address, started.channel.path());
    let target = (path.as_str(), load.shape);
    let warm = generator::run(address, target, load.connections, WARM_UP, 0)?;
    let before = started.usage();
    let done = generator::run(address, target, load.connections, scale.duration, FIRST_MEASURED_ID)?;
    let used = started.usage().since(before);
    started.ensure_stored(kafka, warm.accepted + done.accepted)?;
    Ok((done, used))
}
