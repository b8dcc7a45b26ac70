//! Rows 4 and 11: memory of an idle process, and the time from exec to ready.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::cpu::resident_kib;
use super::report::Report;
use super::{PARTITIONS, Scale};
use crate::PATIENCE;
use crate::broker::Broker;
use crate::broker::kafka::Kafka;
use crate::contract::{Channel, Subscription, uid};
use crate::plane::{Ingress, Plane, wait_until_assigned};
use crate::raw_http::get;

/// How long a process has had nothing to do when its memory is read.
const IDLE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_micros(200);

/// Resident memory with one channel and one subscription, after a while without events.
#[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
pub(super) fn idle(kafka: &Kafka, scale: &Scale, report: &mut Report) {
    let (plane, channel) = one_channel(kafka, "idle");
    for _ in 0..scale.rounds {
        let ingress = Ingress::start(&plane.ingress_program().env("MILLRACE_LOG", "info"));
        ingress.wait_until_routed(&channel);
        let mut dispatcher = plane.dispatcher_program().env("MILLRACE_LOG", "info").start();
        wait_until_assigned(&mut dispatcher, &uid(&channel.name, "idle"), PATIENCE);
        std::thread::sleep(IDLE);
        for (what, pid) in [("ingress, idle", ingress.process.pid()), ("dispatcher, idle", dispatcher.pid())] {
            report.add(what, "millrace", "RSS MiB", resident_kib(pid) as f64 / 1024.0);
        }
    }
}

/// From exec to the first 200 of the readiness probe, and to the health file.
///
/// # Errors
/// When a process does not get ready.
pub(super) fn start(kafka: &Kafka, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let (plane, _) = one_channel(kafka, "start");
    for _ in 0..scale.starts {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let program = plane.ingress_program().env("INGRESS_PORT", port.port().to_string()).env("MILLRACE_LOG", "info");
        let started = Instant::now();
        let ingress = program.start();
        until(started, || get(port, "/readyz").is_ok_and(|answer| answer.status == 200))?;
        report.add("ingress, exec to ready", "millrace", "ms", started.elapsed().as_secs_f64() * 1e3);
        drop(ingress);

        std::fs::remove_file(plane.health_file()).ok();
        let program = plane.dispatcher_program().env("MILLRACE_LOG", "info");
        let started = Instant::now();
        let dispatcher = program.start();
        until(started, || plane.health_file().exists())?;
        report.add("dispatcher, exec to ready", "millrace", "ms", started.elapsed().as_secs_f64() * 1e3);
        drop(dispatcher);
    }
    Ok(())
}

fn until(started: Instant, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
    while !ready() {
        ensure!(started.elapsed() < PATIENCE, "not ready after {PATIENCE:?}");
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn one_channel(kafka: &Kafka, name: &str) -> (Plane, Channel) {
    // Nobody listens there: there are no events.
    let channel = Channel::new(name, &kafka.bootstrap()).subscribed(Subscription::new(name, "http://127.0.0.1:9/"));
    kafka.create_topic(&channel.topic(), PARTITIONS);
    let plane = Plane::new(kafka);
    plane.publish(1, std::slice::from_ref(&channel));
    (plane, channel)
}
