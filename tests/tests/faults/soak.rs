//! Everything at once for a while (R28): mixed subscribers, and processes that are killed or told to end at random.
//!
//! `cargo xtask soak SECONDS` runs it for long; among the other tests it is short. One ingress and one dispatcher are never
//! touched: their memory is what a long run looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::broker::records;
use millrace_tests::contract::{Channel, Subscription};
use millrace_tests::event::TestEvent;
use millrace_tests::plane::{Ingress, Plane};
use millrace_tests::process::Process;
use millrace_tests::random::Random;
use millrace_tests::raw_http::RawClient;
use millrace_tests::rig::check_order;
use millrace_tests::subscriber::{Answer, Arrival, Subscriber};
use millrace_tests::wait::wait_until;
use millrace_tests::watch::Taken;

const SENDERS: usize = 4;
/// Between two events of one sender: what is delivered is kept in memory until the end.
const PAUSE: Duration = Duration::from_millis(100);

/// How long, and how long between two kills.
fn scale() -> (Duration, Duration) {
    let seconds = std::env::var("MILLRACE_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    match seconds {
        Some(seconds) => (Duration::from_secs(seconds), Duration::from_secs(30).min(Duration::from_secs(seconds / 6))),
        None => (Duration::from_secs(24), Duration::from_secs(3)),
    }
}

/// What each kind of subscriber does, by path; the same for the same attempt at the same event.
fn answer(arrival: &Arrival) -> Answer {
    let mut random = Random::new(seed_of(&arrival.id) + u64::from(arrival.attempt));
    match arrival.path.as_str() {
        "/slow" => Answer::status(200).after(Duration::from_millis(random.below(200))),
        "/flaky" if random.percent(15) => match random.below(3) {
            0 => Answer::status(503),
            1 => Answer::respond(429, &[("retry-after", "1")], ""),
            _ => Answer::close(),
        },
        "/refusing" if is_refused(&arrival.id) => Answer::status(400),
        _ => Answer::status(200),
    }
}

struct Players<'a> {
    plane: &'a Plane,
    ingresses: Mutex<Vec<SocketAddr>>,
    stop: AtomicBool,
    next: AtomicUsize,
    /// By id: 202, or no or another answer.
    sent: Mutex<BTreeMap<String, bool>>,
}

impl Players<'_> {
    fn send(&self, channel: &Channel, seed: u64) {
        let mut random = Random::new(seed);
        while !self.stop.load(Ordering::Relaxed) {
            let id = format!("e-{}", self.next.fetch_add(1, Ordering::Relaxed));
            let address = *random.choose(&self.ingresses.lock().unwrap());
            let event = TestEvent::new(id.as_str()).with("partitionkey", format!("k{}", random.below(16)));
            let answer =
                RawClient::connect(address).and_then(|mut it| it.post(&channel.host(), &channel.path(), &event));
            let accepted = answer.is_ok_and(|answer| answer.status == 202);
            self.sent.lock().unwrap().insert(id, accepted);
            thread::sleep(PAUSE);
        }
    }

    /// Ends one of the two that may be ended, and starts another in its place.
    fn replace(&self, random: &mut Random, ingress: &mut Ingress, dispatcher: &mut Process) -> &'static str {
        let end = |process: &mut Process, gently: bool| {
            if gently {
                assert_eq!(process.stop(Duration::from_secs(20)).code(), Some(0), "{}", process.output());
            } else {
                process.kill();
            }
        };
        let gently = random.percent(40);
        if random.percent(50) {
            end(dispatcher, gently);
            *dispatcher = self.plane.start_dispatcher();
            return if gently { "dispatcher ended" } else { "dispatcher killed" };
        }
        end(&mut ingress.process, gently);
        *ingress = self.plane.start_ready_ingress();
        self.ingresses.lock().unwrap()[1] = ingress.address;
        if gently { "ingress ended" } else { "ingress killed" }
    }
}

/// R28: I1 to I7.
#[test]
fn soak() {
    let Some(kafka) = Kafka::shared() else { return };
    let (duration, pace) = scale();
    let mut random = Random::of_this_run();
    let subscriber = Subscriber::scripted(answer);
    let sub =
        |name: &str| Subscription::new(name, subscriber.url(&format!("/{name}"))).retrying(6, 100).timeout_ms(5000);
    let subscriptions = [
        sub("ordered"),
        sub("slow").unordered(),
        sub("flaky").dead_letter(subscriber.url("/sink-flaky")),
        sub("refusing").unordered().dead_letter(subscriber.url("/sink-refusing")),
    ];
    let channel = subscriptions.iter().cloned().fold(Channel::new("soak", &kafka.bootstrap()), Channel::subscribed);
    kafka.create_topic(&channel.topic(), 6);
    let plane = Plane::new(kafka).with("consumer", "session.timeout.ms=2000\nheartbeat.interval.ms=400");
    plane.publish(1, std::slice::from_ref(&channel));
    let (steady_ingress, mut ingress) = (plane.start_ready_ingress(), plane.start_ready_ingress());
    let (steady_dispatcher, mut dispatcher) = (plane.start_dispatcher(), plane.start_dispatcher());
    let players = Players {
        plane: &plane,
        ingresses: Mutex::new(vec![steady_ingress.address, ingress.address]),
        stop: AtomicBool::default(),
        next: AtomicUsize::default(),
        sent: Mutex::default(),
    };
    let steady = [steady_ingress.process.pid(), steady_dispatcher.pid()];
    let mut happened: BTreeMap<&str, usize> = BTreeMap::new();
    let mut memory = Vec::new();
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (seed, players, channel) = (random.number(), &players, &channel);
            scope.spawn(move || players.send(channel, seed ^ u64::try_from(sender).unwrap()));
        }
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let begun = Instant::now();
            while begun.elapsed() < duration {
                thread::sleep(pace / 2 + pace * u32::try_from(random.below(100)).unwrap() / 100);
                *happened.entry(players.replace(&mut random, &mut ingress, &mut dispatcher)).or_default() += 1;
                memory.push(steady.map(|pid| Taken::now(pid).resident_kib));
            }
        }));
        players.stop.store(true, Ordering::Relaxed);
        played.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let sent = players.sent.lock().unwrap().clone();
    let accepted: Vec<_> = sent.iter().filter(|(_, accepted)| **accepted).map(|(id, _)| id.clone()).collect();
    eprintln!(
        "{} sent, {} accepted; {happened:?}; memory in KiB {:?} to {:?}",
        sent.len(),
        accepted.len(),
        memory.first(),
        memory.last()
    );
    check(kafka, &subscriber, &channel, &sent, &accepted);
    assert!(happened.values().sum::<usize>() >= 3 && accepted.len() > 50, "the run must have been one");
    // The first quarter is for pools and caches.
    let (early, late) = (memory.get(memory.len() / 4).copied().unwrap(), memory.last().copied().unwrap());
    for (early, late) in early.into_iter().zip(late) {
        assert!(late <= early + 24 * 1024, "memory grew from {early} to {late} KiB");
    }
}

/// What must hold when everything is quiet again.
#[track_caller]
fn check(
    kafka: &Kafka,
    subscriber: &Subscriber,
    channel: &Channel,
    sent: &BTreeMap<String, bool>,
    accepted: &[String],
) {
    let ends = records::end_offsets(&kafka.bootstrap(), &channel.topic());
    for subscription in &channel.subscriptions {
        let path = format!("/{}", subscription.name);
        let arrived = |path: &str| -> BTreeSet<String> {
            let arrivals = subscriber.arrivals_on(path).into_iter();
            arrivals.filter(|arrival| arrival.answered.is_some()).map(|arrival| arrival.id).collect()
        };
        // I7, and with it the moment from when on nothing more comes.
        wait_until(&format!("no lag of {}", subscription.name), PATIENCE * 2, || {
            let committed =
                records::committed(&kafka.bootstrap(), &channel.group(&subscription.name), &channel.topic());
            ends.iter().all(|(partition, end)| *end == 0 || committed.get(partition) == Some(end))
        });
        let (at_subscriber, at_sink) = (arrived(&path), arrived(&format!("/sink-{}", subscription.name)));
        let lost: Vec<_> = accepted.iter().filter(|id| !at_subscriber.contains(*id)).collect();
        assert!(lost.is_empty(), "I1: {path} never saw {lost:?}");
        let phantoms: Vec<_> = at_subscriber.union(&at_sink).filter(|id| !sent.contains_key(*id)).collect();
        assert!(phantoms.is_empty(), "I2: {path} saw {phantoms:?}");
        let due: Vec<_> = accepted.iter().filter(|id| path == "/refusing" && is_refused(id)).collect();
        let gone: Vec<_> = due.into_iter().filter(|id| !at_sink.contains(*id)).collect();
        assert!(gone.is_empty(), "I1: refused and not at the sink: {gone:?}");
    }
    check_order(&subscriber.arrivals_on("/ordered"));
}

fn seed_of(id: &str) -> u64 {
    id.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

/// Whether the refusing subscriber never takes this event.
fn is_refused(id: &str) -> bool {
    Random::new(seed_of(id)).percent(50)
}
