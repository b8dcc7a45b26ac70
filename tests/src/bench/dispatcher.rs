//! Row 5: one unordered egress, an instant subscriber, a backlog of 1 KiB events in 10 partitions.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::cpu::{Usage, usage};
use super::ingress::MAX_NOISE;
use super::report::Report;
use super::responder::Responder;
use super::{CPU_UNDER_TEST, PARTITIONS, Scale, generator};
use crate::broker::Broker;
use crate::broker::kafka::Kafka;
use crate::broker::records::{self, NewRecord};
use crate::contract::{Channel, Subscription};
use crate::plane::Plane;
use crate::process::{Process, Program};
use crate::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(120);
/// Records of one call to the producer; bounds its queue.
const CHUNK: usize = 10_000;

struct Measured {
    events: usize,
    elapsed: Duration,
    used: Usage,
}

/// # Errors
/// When the subscriber did not get every id.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(super) fn run(kafka: &Kafka, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let what = format!("dispatcher, backlog of {}", scale.backlog);
    for round in 0..=scale.rounds {
        let channel = Channel::new(&format!("out-{round}"), &kafka.bootstrap());
        fill(kafka, &channel, scale.backlog);
        for program in ["limit", "millrace"] {
            let measured = measure(kafka, scale, program, &channel)?;
            let rate = measured.events as f64 / measured.elapsed.as_secs_f64();
            eprintln!("{what}, round {round}, {program}: {rate:.0}/s, noise {:.0} %", measured.used.noise() * 100.0);
            if round > 0 && measured.used.noise() > MAX_NOISE && scale.rounds > 1 {
                report.drop_round();
            } else if round > 0 {
                report.add(
                    &what,
                    program,
                    "CPU us/event",
                    measured.used.process.as_secs_f64() * 1e6 / measured.events as f64,
                );
                report.add(&what, program, "events/s", rate);
            }
        }
    }
    Ok(())
}

pub(super) fn fill(kafka: &Kafka, channel: &Channel, count: usize) {
    kafka.create_topic(&channel.topic(), PARTITIONS);
    let body = generator::body();
    for start in (0..count).step_by(CHUNK) {
        let chunk: Vec<NewRecord> = (start..count.min(start + CHUNK)).map(|id| record(id, &body)).collect();
        records::produce(&kafka.bootstrap(), &channel.topic(), &chunk);
    }
}

pub(super) fn record(id: usize, body: &[u8]) -> NewRecord {
    let mut headers = vec![("ce_id".to_owned(), format!("{id:012}").into_bytes())];
    headers
        .extend(generator::attributes().iter().map(|(name, value)| (format!("ce_{name}"), value.as_bytes().to_vec())));
    headers.push(("content-type".to_owned(), b"application/json".to_vec()));
    // Different keys spread the records over all partitions.
    NewRecord { key: Some(id.to_string().into_bytes()), headers, value: Some(body.to_vec()) }
}

/// Measures between a tenth and nine tenths of the backlog: start-up and the last commits are not the path of an event.
fn measure(kafka: &Kafka, scale: &Scale, program: &str, channel: &Channel) -> anyhow::Result<Measured> {
    let responder = Responder::start(scale.backlog);
    let plane = Plane::new(kafka);
    let process = start(kafka, &plane, program, channel, &responder.url());
    let reach = |share: usize| {
        let goal = scale.backlog * share / 10;
        wait_for(&format!("{goal} deliveries by {program}"), LIMIT, || match responder.counts() {
            (_, total) if total >= goal => Ok((Instant::now(), total, usage(process.pid(), CPU_UNDER_TEST))),
            counts => Err(format!("{counts:?}")),
        })
    };
    let (began, first, before) = reach(1);
    let (ended, last, after) = reach(9);
    wait_for("the last delivery", LIMIT, || match responder.counts() {
        (unique, _) if unique == scale.backlog => Ok(()),
        counts => Err(format!("{counts:?}")),
    });
    let (unique, total) = responder.counts();
    ensure!(unique == scale.backlog && total == unique, "{program}: {unique} ids in {total} requests");
    Ok(Measured { events: last - first, elapsed: ended - began, used: after.since(before) })
}

fn start(kafka: &Kafka, plane: &Plane, program: &str, channel: &Channel, url: &str) -> Process {
    if program == "limit" {
        let limit = Program::named("millrace-limit").arg("dispatcher").arg("--bootstrap").arg(kafka.bootstrap());
        let limit = limit.arg("--topic").arg(channel.topic()).arg("--group").arg(format!("limit-{}", channel.name));
        return limit.arg("--url").arg(url).on_cpu(CPU_UNDER_TEST).start();
    }
    let subscription = Subscription::new("bench", url).unordered();
    plane.publish(1, &[channel.clone().subscribed(subscription)]);
    plane.dispatcher_program().env("MILLRACE_LOG", "info").on_cpu(CPU_UNDER_TEST).start()
}
