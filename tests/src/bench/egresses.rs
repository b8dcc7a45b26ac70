//! Row 8: many idle egresses of one topic in one process: memory, threads, descriptors, processor time, and how long it
//! takes from the start until each of them has had its first event.

use std::thread;
use std::time::Instant;

use super::cpu::{resident_kib, threads_and_descriptors, usage};
use super::dispatcher::record;
use super::report::Report;
use super::{CPU_UNDER_TEST, Scale, generator};
use crate::PATIENCE;
use crate::broker::Broker;
use crate::broker::kafka::Kafka;
use crate::broker::records;
use crate::contract::{Channel, Subscription};
use crate::plane::Plane;
use crate::subscriber::Subscriber;
use crate::wait::wait_for;

/// One partition: each egress has it for itself, and one event is one delivery for each.
const PARTITIONS: i32 = 1;

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(super) fn run(kafka: &Kafka, scale: &Scale, report: &mut Report) {
    for &count in &scale.egresses {
        let subscriber = Subscriber::accepting();
        let mut channel = Channel::new(&format!("many-{count}"), &kafka.bootstrap());
        for number in 0..count {
            channel = channel.subscribed(Subscription::new(&format!("s{number}"), subscriber.url("/in")));
        }
        kafka.create_topic(&channel.topic(), PARTITIONS);
        records::produce(&kafka.bootstrap(), &channel.topic(), &[record(0, &generator::body())]);
        let plane = Plane::new(kafka);
        plane.publish(1, std::slice::from_ref(&channel));
        let started = Instant::now();
        let process = plane.dispatcher_program().env("MILLRACE_LOG", "info").on_cpu(CPU_UNDER_TEST).start();
        wait_for("a first event everywhere", PATIENCE, || match subscriber.count_on("/in") {
            found if found >= count => Ok(()),
            found => Err(format!("{found} of {count}")),
        });
        let first = started.elapsed();
        // What starting left to do is not what being idle costs.
        thread::sleep(scale.steady / 2);
        let (began, before) = (Instant::now(), usage(process.pid(), CPU_UNDER_TEST));
        thread::sleep(scale.steady);
        let used = usage(process.pid(), CPU_UNDER_TEST).since(before).process.as_secs_f64();
        let (threads, descriptors) = threads_and_descriptors(process.pid());
        let what = format!("dispatcher, {count} idle egresses");
        let mut add = |unit, value| report.add(&what, "millrace", unit, value);
        add("s to the first event everywhere", first.as_secs_f64());
        add("RSS MiB", resident_kib(process.pid()) as f64 / 1024.0);
        add("% of a core", used / began.elapsed().as_secs_f64() * 100.0);
        add("threads", threads as f64);
        add("descriptors", descriptors as f64);
    }
}
