//! Row 12: one of two dispatchers is killed at 1,000 events a second: what comes twice, and how long events wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::dispatcher::record;
use super::report::Report;
use super::responder::Responder;
use super::{PARTITIONS, Scale, generator};
use crate::PATIENCE;
use crate::broker::Broker;
use crate::broker::kafka::Kafka;
use crate::contract::{Channel, Subscription, uid};
use crate::plane::{Plane, wait_until_assigned};
use crate::wait::wait_for;

const EACH: Duration = Duration::from_millis(1);
/// The subscriber's time, so that something is in flight.
const ANSWER_TIME: Duration = Duration::from_millis(20);
/// That of the harness' consumer properties.
const SESSION: Duration = Duration::from_secs(6);
/// Events under way at this rate when nothing is wrong, and more; what is behind by more waits for somebody.
const UNDER_WAY: usize = 300;
/// No run sends more.
const MOST: usize = 100_000;

/// # Errors
/// When an event does not arrive.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(super) fn run(kafka: &Kafka, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    for round in 0..scale.rounds {
        let responder = Responder::slow(MOST, ANSWER_TIME);
        let subscription = Subscription::new("bench", responder.url()).unordered();
        let channel = Channel::new(&format!("failover-{round}"), &kafka.bootstrap()).subscribed(subscription);
        kafka.create_topic(&channel.topic(), PARTITIONS);
        let plane = Plane::new(kafka);
        plane.publish(1, std::slice::from_ref(&channel));
        let mut first = plane.dispatcher_program().env("MILLRACE_LOG", "info").start();
        let mut second = plane.dispatcher_program().env("MILLRACE_LOG", "info").start();
        for process in [&mut first, &mut second] {
            wait_until_assigned(process, &uid(&channel.name, "bench"), PATIENCE);
        }
        let group = channel.group("bench");
        wait_for("both members", PATIENCE, || match kafka.group(&group) {
            (2, state) if state == "Stable" => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let load = Load::start(&kafka.bootstrap(), &channel.topic())?;
        thread::sleep(scale.steady);
        first.kill();
        let (killed, mut behind) = (Instant::now(), Duration::ZERO);
        while killed.elapsed() < SESSION + Duration::from_secs(6) {
            if load.sent.load(Ordering::Relaxed) > responder.counts().0 + UNDER_WAY {
                behind = killed.elapsed();
            }
            thread::sleep(Duration::from_millis(5));
        }
        let sent = load.stop()?;
        wait_for("every event", PATIENCE, || match responder.counts() {
            (unique, _) if unique >= sent => Ok(()),
            counts => Err(format!("{counts:?} of {sent}")),
        });
        let (unique, total) = responder.counts();
        ensure!(unique == sent, "{unique} of {sent} events arrived");
        let what = "dispatcher, one of two killed at 1,000 events/s";
        report.add(what, "millrace", "events sent twice", (total - unique) as f64);
        report.add(what, "millrace", "s until nothing waits", behind.as_secs_f64());
    }
    Ok(())
}

/// Writes an event each millisecond until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    thread: thread::JoinHandle<anyhow::Result<()>>,
}

impl Load {
    fn start(bootstrap: &str, topic: &str) -> anyhow::Result<Self> {
        let producer: ThreadedProducer<DefaultProducerContext> =
            ClientConfig::new().set("bootstrap.servers", bootstrap).set("acks", "all").create()?;
        let (stop, sent, topic) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), topic.to_owned());
        let thread = thread::spawn({
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            move || {
                let (body, mut next) = (generator::body(), Instant::now());
                while !stop.load(Ordering::Relaxed) && sent.load(Ordering::Relaxed) < MOST {
                    let id = sent.load(Ordering::Relaxed);
                    send(&producer, &topic, id, &body)?;
                    sent.store(id + 1, Ordering::Relaxed);
                    next += EACH;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                Ok(producer.flush(PATIENCE)?)
            }
        });
        Ok(Self { stop, sent, thread })
    }

    fn stop(self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        Ok(self.sent.load(Ordering::Relaxed))
    }
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    id: usize,
    body: &[u8],
) -> anyhow::Result<()> {
    let record = record(id, body);
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (name, value)| headers.insert(Header { key: name, value: Some(value) }));
    let mut next: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).headers(headers);
    next.key = record.key.as_deref();
    next.payload = record.value.as_deref();
    producer.send(next).map_err(|(error, _)| error.into())
}
