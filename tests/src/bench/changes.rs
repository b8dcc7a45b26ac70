//! Rows 4 and 10: a contract of many resources: memory, the time until the first one is in force, and what happens while one
//! of them changes again and again: from the renaming to the effect, and to the requests of the others.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::cpu::resident_kib;
use super::report::Report;
use super::{CPU_UNDER_TEST, PARTITIONS, Scale};
use crate::PATIENCE;
use crate::broker::Broker;
use crate::broker::kafka::Kafka;
use crate::contract::Channel;
use crate::load::Load;
use crate::plane::{Ingress, Plane};

/// From one change to the next.
const EVERY: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_micros(200);
const CONNECTIONS: usize = 2;

/// # Errors
/// When a change has no effect, or a request fails.
#[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
pub(super) fn run(kafka: &Kafka, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let what = format!("ingress, {} resources", scale.resources);
    let mut channels: Vec<_> =
        (0..scale.resources).map(|number| Channel::new(&format!("many-{number}"), &kafka.bootstrap())).collect();
    let busy = channels.first().cloned().unwrap_or_else(|| Channel::new("many", &kafka.bootstrap()));
    kafka.create_topic(&busy.topic(), PARTITIONS);
    let plane = Plane::new(kafka);
    plane.publish(1, &channels);
    let started = Instant::now();
    let ingress = Ingress::start(&plane.ingress_program().env("MILLRACE_LOG", "info").on_cpu(CPU_UNDER_TEST));
    routed(&ingress, &busy)?;
    report.add(&what, "millrace", "ms from exec to routed", started.elapsed().as_secs_f64() * 1e3);
    thread::sleep(scale.steady / 5);
    report.add(&what, "millrace", "RSS MiB", resident_kib(ingress.process.pid()) as f64 / 1024.0);

    let load = Load::start(ingress.address, &busy, "e", CONNECTIONS, usize::MAX);
    for change in 0..scale.changes {
        let began = Instant::now();
        // The last one; under a name of its own each time, so that the effect shows.
        let changed = Channel::new(&format!("changed-{change}"), &kafka.bootstrap());
        if let Some(last) = channels.last_mut() {
            last.clone_from(&changed);
        }
        let renamed = plane.publish(change + 2, &channels);
        routed(&ingress, &changed)?;
        report.add(&what, "millrace", "ms from rename to effect", renamed.elapsed().as_secs_f64() * 1e3);
        thread::sleep(EVERY.saturating_sub(began.elapsed()));
    }
    report.add(&what, "millrace", "RSS MiB after changes", resident_kib(ingress.process.pid()) as f64 / 1024.0);
    let outcomes = load.stop();
    let failed = outcomes.iter().filter(|(_, status)| *status != Some(202)).count();
    ensure!(failed == 0, "{failed} of {} requests failed", outcomes.len());
    report.add(&what, "millrace", "failed requests", failed as f64);
    report.add(&what, "millrace", "requests", outcomes.len() as f64);
    Ok(())
}

fn routed(ingress: &Ingress, channel: &Channel) -> anyhow::Result<()> {
    let began = Instant::now();
    while !ingress.is_routed(channel) {
        ensure!(began.elapsed() < PATIENCE, "{} is not routed", channel.name);
        thread::sleep(PAUSE);
    }
    Ok(())
}
