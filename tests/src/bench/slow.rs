//! Row 7: a subscriber that takes 100 ms, for each order; events a second and memory.
//!
//! There is no limit program: what is possible follows from the subscriber. Unordered and by key that is records in
//! flight / 0.1 s, ordered it is partitions / 0.1 s.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::cpu::resident_kib;
use super::dispatcher::fill;
use super::report::Report;
use super::responder::Responder;
use super::{CPU_UNDER_TEST, Scale};
use crate::broker::Broker;
use crate::broker::kafka::Kafka;
use crate::contract::{Channel, Subscription};
use crate::plane::Plane;
use crate::wait::wait_for;

const ANSWER_TIME: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(60);
/// Of the bound and of connections: enough for 20 times the peer's rate.
const IN_FLIGHT: usize = 1200;

/// # Errors
/// When nothing is delivered.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(super) fn run(kafka: &Kafka, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    for (order, ordered, by, backlog) in [
        ("unordered", false, "partition", scale.backlog),
        ("ordered", true, "partition", scale.backlog / 20),
        ("ordered by key", true, "key", scale.backlog),
    ] {
        let channel = Channel::new(&format!("slow-{}", order.replace(' ', "-")), &kafka.bootstrap());
        fill(kafka, &channel, backlog);
        let responder = Responder::slow(backlog, ANSWER_TIME);
        let mut subscription = Subscription::new("bench", responder.url());
        subscription.ordered = ordered;
        let consumer = format!("millrace.in.flight.max={IN_FLIGHT}\nmillrace.ordered.by={by}");
        let plane =
            Plane::new(kafka).with("webclient", &format!("maxPoolSize={IN_FLIGHT}")).with("consumer", &consumer);
        plane.publish(1, &[channel.subscribed(subscription)]);
        let process = plane.dispatcher_program().env("MILLRACE_LOG", "info").on_cpu(CPU_UNDER_TEST).start();
        wait_for("the first deliveries", LIMIT, || match responder.counts() {
            (unique, _) if unique > backlog / 100 => Ok(()),
            counts => Err(format!("{counts:?}")),
        });
        let (began, (first, _)) = (Instant::now(), responder.counts());
        let most = LIMIT.min(scale.steady);
        while began.elapsed() < most && responder.counts().0 < backlog * 9 / 10 {
            thread::sleep(Duration::from_millis(5));
        }
        let (elapsed, (last, total)) = (began.elapsed(), responder.counts());
        ensure!(total == last, "{order}: {last} ids in {total} requests");
        let what = format!("dispatcher, subscriber of 100 ms, {order}");
        report.add(&what, "millrace", "events/s", (last - first) as f64 / elapsed.as_secs_f64());
        report.add(&what, "millrace", "RSS MiB", resident_kib(process.pid()) as f64 / 1024.0);
    }
    Ok(())
}
