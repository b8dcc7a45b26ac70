//! A broker whose acknowledgements get lost (R5), one that stops for a minute, and one that dies and comes back (R4).
//!
//! None of them may share its Kafka with others: the first two have one behind a proxy, one at a time, the last has its own.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::broker::kafka::proxied::Proxied;
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::{Channel, Subscription, uid};
use millrace_tests::event::TestEvent;
use millrace_tests::plane::{Ingress, Plane, wait_until_assigned};
use millrace_tests::process::Process;
use millrace_tests::raw_http::{RawClient, Response};
use millrace_tests::rig::Rig;
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::wait::wait_until;
use millrace_tests::watch::Watch;

/// As long as the proof says.
const AWAY: Duration = Duration::from_secs(60);

/// The only one who may break this broker now.
fn own() -> Option<MutexGuard<'static, Proxied>> {
    static OWN: OnceLock<Option<Mutex<Proxied>>> = OnceLock::new();
    let own = OWN.get_or_init(|| Proxied::start_unless_missing().map(Mutex::new)).as_ref();
    own.map(|own| own.lock().unwrap_or_else(PoisonError::into_inner))
}

fn channel(broker: &Proxied, name: &str) -> Channel {
    let channel = Channel::new(name, &broker.bootstrap());
    broker.kafka.create_topic(&channel.topic(), 4);
    channel
}

/// An event, its answer and how long that took.
fn post(address: SocketAddr, channel: &Channel, id: &str) -> (Response, Duration) {
    let begun = Instant::now();
    let mut client = RawClient::connect_with_timeout(address, AWAY * 2).unwrap();
    let answer = client.post(&channel.host(), &channel.path(), &TestEvent::new(id)).unwrap();
    (answer, begun.elapsed())
}

/// How often each id is in the topic.
fn stored(kafka: &Kafka, channel: &Channel) -> BTreeMap<String, usize> {
    let count: i64 = records::end_offsets(&kafka.bootstrap(), &channel.topic()).values().sum();
    let mut found = BTreeMap::new();
    for record in records::read(&kafka.bootstrap(), &channel.topic(), usize::try_from(count).unwrap()) {
        *found.entry(record.header("ce_id").unwrap().to_owned()).or_default() += 1;
    }
    found
}

/// Posts these events at once, each on a connection of its own.
fn post_all(ingress: &Ingress, channel: &Channel, ids: &[String]) -> Vec<(String, Response, Duration)> {
    let posted = |id: &String| {
        let (answer, took) = post(ingress.address, channel, id);
        (id.clone(), answer, took)
    };
    thread::scope(|scope| {
        let all: Vec<_> = ids.iter().map(|id| scope.spawn(move || posted(id))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// 503 says when to come again; 504 is the other honest answer.
#[track_caller]
fn check_refused(answer: &Response, took: Duration, limit: Duration) {
    assert!(matches!(answer.status, 503 | 504), "{answer:?}");
    assert!(answer.status == 504 || answer.header("retry-after").is_some(), "{answer:?}");
    assert!(took < limit, "an answer after {took:?}, not within {limit:?}");
}

/// R5: I2, I6. What is never acknowledged is never a 202; what is acknowledged late is stored once.
#[test]
fn a_lost_acknowledgement_is_no_202_and_no_second_record() {
    let Some(broker) = own() else { return };
    let (impatient, patient) = (channel(&broker, "impatient"), channel(&broker, "patient"));
    let start = |channel: &Channel, seconds: u64| {
        let limits = format!(
            "enable.idempotence=true\nrequest.timeout.ms=1000\nmax.block.ms={0}000\ndelivery.timeout.ms={0}000",
            seconds
        );
        let plane = Plane::new(&broker.kafka).with("producer", &limits);
        plane.publish(1, std::slice::from_ref(channel));
        let ingress = plane.start_ready_ingress();
        (plane, ingress)
    };
    let (_plane, first) = start(&impatient, 4);
    let (_other, second) = start(&patient, 60);
    let ids = |prefix: &str| (0..40).map(|number| format!("{prefix}-{number}")).collect::<Vec<_>>();
    for (ingress, channel) in [(&first, &impatient), (&second, &patient)] {
        assert_eq!(post(ingress.address, channel, "warm").0.status, 202);
    }
    broker.proxy.hold_answers();
    let (lost, late) = thread::scope(|scope| {
        let late = scope.spawn(|| post_all(&second, &patient, &ids("late")));
        let lost = post_all(&first, &impatient, &ids("lost"));
        // Stored, and nobody knows.
        wait_until("records without acknowledgement", PATIENCE, || stored(&broker.kafka, &patient).len() > 1);
        broker.proxy.pass();
        (lost, late.join().unwrap())
    });
    assert!(broker.proxy.held() > 0, "answers of the broker must have been lost");
    for (id, answer, took) in &lost {
        assert_ne!(answer.status, 202, "{id} was never acknowledged");
        check_refused(answer, *took, Duration::from_secs(14));
    }
    for (id, answer, _) in &late {
        assert_eq!(answer.status, 202, "{id}: {}", answer.text());
    }
    wait_until("service after the fault", PATIENCE, || post(first.address, &impatient, "after").0.status == 202);
    let (unknown, known) = (stored(&broker.kafka, &impatient), stored(&broker.kafka, &patient));
    let honest = lost.iter().filter(|(id, _, _)| unknown.contains_key(id)).count();
    eprintln!("{honest} of {} events that were refused are stored all the same", lost.len());
    assert!(honest > 0, "some must have been stored without anybody knowing");
    assert_eq!(known.len(), 41);
    let twice: Vec<_> = unknown.iter().chain(&known).filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:?}");
}

/// R5, the other way: a dispatcher whose broker takes everything and says nothing. I1, I4, I7.
#[test]
fn a_dispatcher_that_hears_nothing_of_its_broker_goes_on_where_it_was() {
    let Some(broker) = own() else { return };
    let subscriber = Subscriber::scripted(|_| Answer::status(200).after(Duration::from_millis(20)));
    let channel = channel(&broker, "mute");
    let channel = channel.subscribed(Subscription::new("all", subscriber.url("/in")).unordered());
    let plane = Plane::new(&broker.kafka).with("consumer", "session.timeout.ms=3000\nheartbeat.interval.ms=500");
    plane.publish(1, std::slice::from_ref(&channel));
    let rig = Rig { kafka: &broker.kafka, plane, channel };
    let mut dispatcher = rig.dispatcher();
    let mut ids = rig.produce("before", 300, 16);
    subscriber.wait_for_arrivals("/in", 50, PATIENCE);
    let held = broker.proxy.held();
    broker.proxy.hold_answers();
    ids.extend(rig.produce("during", 50, 16));
    rig.watching_commits(&subscriber, "/in", || {
        // Longer than the session: the broker gives the partitions away.
        wait_until("the group to be empty", PATIENCE, || broker.kafka.members(&rig.group()) == 0);
        assert!(dispatcher.has_ended().is_none(), "{}", dispatcher.output());
        broker.proxy.pass();
        ids.extend(rig.produce("after", 50, 16));
        subscriber.wait_for_ids("/in", &ids, PATIENCE);
    });
    assert!(broker.proxy.held() > held, "answers of the broker must have been lost");
    rig.wait_for_no_lag_within(PATIENCE);
    let arrived = subscriber.count_on("/in");
    eprintln!("{} of {} events came again", arrived - ids.len(), ids.len());
    assert!(arrived <= ids.len() + 350, "only what could not be committed may come again");
}

/// What senders saw that never stop sending.
#[derive(Default)]
struct Senders {
    stop: AtomicBool,
    next: AtomicUsize,
    seen: Mutex<Vec<(String, u16, Duration)>>,
}

impl Senders {
    fn run(&self, address: SocketAddr, channel: &Channel) {
        while !self.stop.load(Ordering::Relaxed) {
            let id = format!("e-{}", self.next.fetch_add(1, Ordering::Relaxed));
            let (answer, took) = post(address, channel, &id);
            if answer.status != 202 {
                // A delivery time-out and room for a busy machine.
                check_refused(&answer, took, Duration::from_secs(30));
            }
            self.seen.lock().unwrap().push((id, answer.status, took));
            thread::sleep(Duration::from_millis(if answer.status == 202 { 20 } else { 200 }));
        }
    }

    fn accepted(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(_, status, _)| *status == 202).map(|(id, ..)| id.clone()).collect()
    }

    fn refused(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|(_, status, _)| *status != 202).count()
    }
}

/// One outage, with senders at work: refusals while it lasts, everything as before soon after.
#[track_caller]
fn outage(what: &str, planes: (&Ingress, &mut Process), senders: &Senders, fail: impl FnOnce(), heal: impl FnOnce()) {
    let (ingress, dispatcher) = planes;
    let (before, accepted) = (senders.refused(), senders.accepted().len());
    assert!(accepted > 0, "{what}: events must have been accepted before");
    let watches = [ingress.process.pid(), dispatcher.pid()].map(Watch::start);
    let begun = Instant::now();
    fail();
    wait_until("refusals", AWAY, || senders.refused() > before);
    thread::sleep(AWAY.saturating_sub(begun.elapsed()));
    assert!(dispatcher.has_ended().is_none(), "{}", dispatcher.output());
    for watch in &watches {
        watch.check_memory(32);
    }
    let refused = senders.refused() - before;
    heal();
    let (healed, accepted) = (Instant::now(), senders.accepted().len());
    wait_until("events to be accepted again", PATIENCE, || senders.accepted().len() > accepted);
    eprintln!("{what}: {refused} refusals in {:?}, accepted again after {:?}", begun.elapsed(), healed.elapsed());
}

/// R4: frozen for a minute, then dead for a minute; ingress and dispatcher at once. I1, I4, I5, I6, I7.
#[test]
fn a_broker_that_is_frozen_and_then_dead_for_a_minute_costs_neither_events_nor_processes() {
    let Some(mut kafka) = Kafka::start_unless_missing(&["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]) else { return };
    let subscriber = Subscriber::accepting();
    let channel = Channel::new("minute", &kafka.bootstrap());
    let channel = channel.subscribed(Subscription::new("all", subscriber.url("/in")).unordered());
    kafka.create_topic(&channel.topic(), 4);
    let plane = Plane::new(&kafka).with("producer", "delivery.timeout.ms=15000\nmax.block.ms=10000");
    plane.publish(1, std::slice::from_ref(&channel));
    let ingress = plane.start_ready_ingress();
    let mut dispatcher = plane.start_dispatcher();
    wait_until_assigned(&mut dispatcher, &uid("minute", "all"), PATIENCE);
    let senders = Senders::default();
    let (address, group, topic) = (ingress.address, channel.group("all"), channel.topic());
    thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| senders.run(address, &channel))).collect();
        let scenario = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until("events to be accepted", PATIENCE, || senders.accepted().len() > 20);
            outage("frozen", (&ingress, &mut dispatcher), &senders, || kafka.freeze(), || kafka.thaw());
            wait_until("events after it", PATIENCE, || {
                let (accepted, arrived) = (senders.accepted().len(), subscriber.count_on("/in"));
                arrived >= accepted
            });
            let dead = std::cell::RefCell::new(&mut kafka);
            let (kill, start) = (|| dead.borrow().kill(), || dead.borrow_mut().start_again());
            outage("dead", (&ingress, &mut dispatcher), &senders, kill, start);
        }));
        senders.stop.store(true, Ordering::Relaxed);
        all.into_iter().for_each(|one| one.join().unwrap());
        scenario.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let accepted = senders.accepted();
    subscriber.wait_for_ids("/in", &accepted, PATIENCE);
    let bootstrap = kafka.bootstrap();
    wait_until("no lag", PATIENCE, || {
        let (ends, committed) =
            (records::end_offsets(&bootstrap, &topic), records::committed(&bootstrap, &group, &topic));
        ends.iter().all(|(partition, end)| *end == 0 || committed.get(partition) == Some(end))
    });
    let mut arrived: HashMap<String, usize> = HashMap::new();
    for arrival in subscriber.arrivals_on("/in") {
        *arrived.entry(arrival.id).or_default() += 1;
    }
    let sent = senders.next.load(Ordering::Relaxed);
    let number = |id: &str| id.strip_prefix("e-").and_then(|number| number.parse::<usize>().ok());
    assert!(arrived.keys().all(|id| number(id).is_some_and(|number| number < sent)), "nothing else is delivered");
    let unknown = arrived.len() - accepted.len();
    eprintln!("{} accepted, {} refused of which {unknown} are stored all the same", accepted.len(), senders.refused());
}
