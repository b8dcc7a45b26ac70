//! Row 1: 1 KiB binary events, kept connections, acks=all, 10 partitions.

use std::time::Duration;

use anyhow::ensure;

use super::cpu::{Usage, usage};
use super::generator::{self, Done};
use super::report::Report;
use super::{CPU_UNDER_TEST, PARTITIONS, Scale};
use crate::broker::kafka::Kafka;
use crate::broker::{Broker, records};
use crate::contract::Channel;
use crate::plane::{Ingress, Plane};
use crate::process::Program;

const WARM_UP: Duration = Duration::from_millis(500);
const BROKER_WARM_UP_CONNECTIONS: usize = 64;
/// Ids of the warm-up and of the round do not meet.
const FIRST_MEASURED_ID: usize = 100_000_000;
/// The share of others' time on the processor above which a round does not count.
pub(super) const MAX_NOISE: f64 = 0.1;

/// # Errors
/// When a request is not accepted, or the topic does not hold what was accepted.
pub(super) fn run(kafka: &Kafka, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    // Java compiles what it uses only after a while; no round is to pay for that.
    let channel = Channel::new("in-warm-up", &kafka.bootstrap());
    measure(kafka, scale, "limit", &channel, BROKER_WARM_UP_CONNECTIONS)?;
    for &connections in &scale.connections {
        let what = format!("ingress, {connections} connections");
        for round in 0..=scale.rounds {
            for program in ["limit", "millrace"] {
                let channel = Channel::new(&format!("in-{connections}-{round}-{program}"), &kafka.bootstrap());
                let (done, used) = measure(kafka, scale, program, &channel, connections)?;
                eprintln!(
                    "{what}, round {round}, {program}: {:.0}/s, noise {:.0} %",
                    done.rate(),
                    used.noise() * 100.0
                );
                if round > 0 && used.noise() > MAX_NOISE && scale.rounds > 1 {
                    report.drop_round();
                } else if round > 0 {
                    add(report, &what, program, &done, used);
                }
            }
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn add(report: &mut Report, what: &str, program: &str, done: &Done, used: Usage) {
    report.add(what, program, "CPU us/event", used.process.as_secs_f64() * 1e6 / done.accepted as f64);
    report.add(what, program, "events/s", done.rate());
    report.add(what, program, "p50 us", done.percentile(50));
    report.add(what, program, "p99 us", done.percentile(99));
}

fn measure(
    kafka: &Kafka,
    scale: &Scale,
    program: &str,
    channel: &Channel,
    connections: usize,
) -> anyhow::Result<(Done, Usage)> {
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
    let warm = generator::run(ingress.address, &channel.path(), connections, WARM_UP, 0)?;
    let before = usage(ingress.process.pid(), CPU_UNDER_TEST);
    let done = generator::run(ingress.address, &channel.path(), connections, scale.duration, FIRST_MEASURED_ID)?;
    let used = usage(ingress.process.pid(), CPU_UNDER_TEST).since(before);
    let stored: i64 = records::end_offsets(&kafka.bootstrap(), &channel.topic()).values().sum();
    let accepted = warm.accepted + done.accepted;
    ensure!(usize::try_from(stored) == Ok(accepted), "{program}: {accepted} accepted, {stored} stored");
    Ok((done, used))
}
