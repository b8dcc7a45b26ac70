//! Too few descriptors, a file system that takes nothing, a full disk (R27).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::broker::kafka::{Kafka, on_disk};
use millrace_tests::contract::{Channel, Subscription, uid};
use millrace_tests::event::TestEvent;
use millrace_tests::plane::{Ingress, Plane, wait_until_assigned};
use millrace_tests::process::Process;
use millrace_tests::raw_http::RawClient;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::wait_until;
use millrace_tests::watch::Taken;

const DESCRIPTORS: usize = 64;
const MANY: usize = 4096;

fn accepts(client: &mut RawClient, channel: &Channel, id: &str) -> bool {
    let answer = client.post(&channel.host(), &channel.path(), &TestEvent::new(id));
    answer.is_ok_and(|answer| answer.status == 202)
}

/// R27, EMFILE: connections beyond what the system gives wait or are refused; those that are there work on, and all is
/// well when some go.
#[test]
fn an_ingress_out_of_descriptors_serves_whom_it_has_and_everybody_again_afterwards() {
    let broker = EmbeddedBroker::start();
    let channel = Channel::new("scarce", &broker.bootstrap());
    broker.create_topic(&channel.topic(), 1);
    let plane = Plane::new(&broker);
    plane.publish(1, std::slice::from_ref(&channel));
    let mut ingress = Ingress::start(&plane.ingress_program().with_descriptors(DESCRIPTORS, DESCRIPTORS));
    ingress.wait_until_ready();
    let mut kept = ingress.client();
    assert!(accepts(&mut kept, &channel, "before"));
    // The system accepts for the process until its own queue is full; nobody answers on most of these.
    let crowd: Vec<_> = (0..DESCRIPTORS * 2).filter_map(|_| RawClient::connect(ingress.address).ok()).collect();
    wait_until("all descriptors in use", PATIENCE, || Taken::now(ingress.process.pid()).descriptors >= DESCRIPTORS - 1);
    for number in 0..20 {
        assert!(accepts(&mut kept, &channel, &format!("during-{number}")), "who is connected is served");
    }
    let busy = millrace_tests::bench::cpu::usage(ingress.process.pid(), 0);
    std::thread::sleep(Duration::from_secs(1));
    let spent = millrace_tests::bench::cpu::usage(ingress.process.pid(), 0).since(busy).process;
    eprintln!("{spent:?} of processor time in a second without descriptors");
    assert!(spent < Duration::from_millis(700), "it must not spin: {spent:?} in a second");
    drop(crowd);
    wait_until("new connections to be served", PATIENCE, || {
        let client = RawClient::connect_with_timeout(ingress.address, Duration::from_secs(2));
        client.is_ok_and(|mut client| accepts(&mut client, &channel, "after"))
    });
    assert!(ingress.process.has_ended().is_none());
    let output = ingress.process.output();
    assert!(!output.contains("panicked"), "{output}");
    let lines = ingress.process.lines().len();
    assert!(lines < 1000, "{lines} lines: it must not fill the log");
}

/// What an operator does to a running process.
fn limit(process: &Process, descriptors: usize) {
    let limit = format!("--nofile={descriptors}:{MANY}");
    let done = Command::new("prlimit").args(["--pid", &process.pid().to_string(), &limit]).status().unwrap();
    assert!(done.success());
}

/// R27, EMFILE: the process takes what it may have; when that is not enough, what runs runs on, and the rest comes when
/// there is room.
#[test]
fn a_dispatcher_out_of_descriptors_delivers_on_and_starts_the_rest_when_there_is_room() {
    let (broker, subscriber) = (EmbeddedBroker::start(), Subscriber::accepting());
    let channel = Channel::new("crowded", &broker.bootstrap());
    broker.create_topic(&channel.topic(), 1);
    let path = |number: usize| format!("/s-{number}");
    let sub = |number: usize| {
        let subscription = Subscription::new(&format!("s-{number}"), subscriber.url(&path(number)));
        subscription.unordered().retrying(100, 100)
    };
    let publish = |plane: &Plane, generation: u64, count: usize| {
        plane.publish(generation, &[(0..count).map(sub).fold(channel.clone(), Channel::subscribed)]);
    };
    let plane = Plane::new(&broker);
    publish(&plane, 1, 8);
    let ingress = plane.start_ready_ingress();
    let mut dispatcher = plane.dispatcher_program().with_descriptors(DESCRIPTORS, MANY).start();
    for number in 0..8 {
        wait_until_assigned(&mut dispatcher, &uid("crowded", &format!("s-{number}")), PATIENCE);
    }
    let used = Taken::now(dispatcher.pid()).descriptors;
    assert!(used > DESCRIPTORS, "{used}: the first limit is none");
    let post = |id: &str| assert!(accepts(&mut ingress.client(), &channel, id));
    let arrived = |ids: &[&str], count: usize| {
        let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
        (0..count).for_each(|number| subscriber.wait_for_ids(&path(number), &ids, PATIENCE * 2));
    };
    post("before");
    arrived(&["before"], 8);
    // The contract is a file too: a few are left to read it.
    limit(&dispatcher, used + 8);
    publish(&plane, 2, 16);
    dispatcher.wait_for_log("the shortage", PATIENCE, |line| line.to_string().contains("Too many open files"));
    post("during");
    arrived(&["during"], 8);
    limit(&dispatcher, MANY);
    for number in 8..16 {
        wait_until_assigned(&mut dispatcher, &uid("crowded", &format!("s-{number}")), PATIENCE * 2);
    }
    post("after");
    arrived(&["before", "during", "after"], 16);
    let output = dispatcher.output();
    assert!(dispatcher.has_ended().is_none() && !output.contains("panicked"), "{output}");
}

/// R27: neither process needs a place to write to but the health file, and a dispatcher that cannot write that says so.
#[test]
fn without_a_place_to_write_events_flow_and_a_missing_health_file_is_explained() {
    let (broker, subscriber) = (EmbeddedBroker::start(), Subscriber::accepting());
    let channel = Channel::new("read-only", &broker.bootstrap());
    broker.create_topic(&channel.topic(), 1);
    let channel = channel.subscribed(Subscription::new("all", subscriber.url("/in")));
    let plane = Plane::new(&broker);
    plane.publish(1, std::slice::from_ref(&channel));
    // Nobody can write there, not even root.
    let ingress = Ingress::start(&plane.ingress_program().env("TMPDIR", "/proc/1"));
    ingress.wait_until_ready();
    let program =
        plane.dispatcher_program().env("TMPDIR", "/proc/1").env("MILLRACE_HEALTH_FILE", "/proc/millrace/healthy");
    let mut dispatcher = program.start();
    wait_until_assigned(&mut dispatcher, &uid("read-only", "all"), PATIENCE);
    assert!(accepts(&mut ingress.client(), &channel, "a"));
    subscriber.wait_for_ids("/in", &["a".to_owned()], PATIENCE);
    dispatcher.wait_for_log("why there is no health file", PATIENCE, |line| {
        matches!(line["level"].as_str(), Some("WARN" | "ERROR")) && line.to_string().contains("/proc/millrace/healthy")
    });
    assert_eq!(dispatcher.stop(PATIENCE).code(), Some(0));
}

/// A small file system in memory; gone with this value.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount(path: std::path::PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(&path).output();
        let done = mounted.is_ok_and(|output| output.status.success());
        if !done {
            eprintln!("SKIPPED: mounting a small file system needs root");
        }
        done.then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).output().ok();
    }
}

/// R27, a full disk: a dispatcher whose health file finds no room says so, delivers, and is ready once there is room.
#[test]
fn a_full_disk_costs_no_event() {
    let (broker, subscriber) = (EmbeddedBroker::start(), Subscriber::accepting());
    let channel = Channel::new("full", &broker.bootstrap());
    broker.create_topic(&channel.topic(), 1);
    let channel = channel.subscribed(Subscription::new("all", subscriber.url("/in")));
    let plane = Plane::new(&broker);
    plane.publish(1, std::slice::from_ref(&channel));
    let Some(disk) = SmallDisk::mount(plane.path("disk"), "64k") else { return };
    // Until not even a name fits.
    let filled =
        (0..1000).take_while(|number| std::fs::write(disk.0.join(format!("f{number}")), [0; 4096]).is_ok()).count();
    assert!(filled > 5 && filled < 1000, "{filled} files fit");
    let program = plane.dispatcher_program().env("TMPDIR", &disk.0).env("MILLRACE_HEALTH_FILE", disk.0.join("healthy"));
    let mut dispatcher = program.start();
    let ingress = Ingress::start(&plane.ingress_program().env("TMPDIR", &disk.0));
    ingress.wait_until_ready();
    wait_until_assigned(&mut dispatcher, &uid("full", "all"), PATIENCE);
    assert!(accepts(&mut ingress.client(), &channel, "a"));
    subscriber.wait_for_ids("/in", &["a".to_owned()], PATIENCE);
    assert!(dispatcher.has_ended().is_none(), "{}", dispatcher.output());
}

/// Writes zeros until nothing fits any more.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
}

/// R27, the broker's disk: I1, I6, I7.
#[test]
fn a_broker_whose_disk_is_full_costs_no_event_that_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), "96m") else { return };
    let Some(mut kafka) = on_disk::start_unless_missing(&disk.0.join("records")) else { return };
    let subscriber = Subscriber::accepting();
    let channel = Channel::new("small-disk", &kafka.bootstrap());
    kafka.create_topic(&channel.topic(), 1);
    let channel = channel.subscribed(Subscription::new("all", subscriber.url("/in")).unordered());
    let plane = Plane::new(&kafka).with("producer", "delivery.timeout.ms=5000\nmax.block.ms=3000");
    plane.publish(1, std::slice::from_ref(&channel));
    let ingress = plane.start_ready_ingress();
    let mut dispatcher = plane.start_dispatcher();
    wait_until_assigned(&mut dispatcher, &uid("small-disk", "all"), PATIENCE);
    let (mut accepted, mut number) = (Vec::new(), 0);
    let mut post = || {
        number += 1;
        let event = TestEvent::new(format!("e-{number}")).with_data("text/plain", vec![b'x'; 64 * 1024]);
        let answer = ingress.client().post(&channel.host(), &channel.path(), &event).unwrap();
        match answer.status {
            202 => accepted.push(event.id),
            503 | 504 => {}
            other => panic!("{other}: {}", answer.text()),
        }
        answer.status
    };
    for _ in 0..20 {
        assert_eq!(post(), 202);
    }
    fill(&disk.0.join("ballast"));
    wait_until("refusals", PATIENCE, || post() != 202);
    // Kafka gives up when its only disk fails; where it does not, somebody restarts it.
    if wait_for_end(&kafka).is_none() {
        kafka.kill();
    }
    std::fs::remove_file(disk.0.join("ballast")).unwrap();
    kafka.start_again();
    wait_until("events to be accepted again", PATIENCE, || post() == 202);
    eprintln!("{} of {number} events accepted", accepted.len());
    subscriber.wait_for_ids("/in", &accepted, PATIENCE);
    assert!(dispatcher.has_ended().is_none(), "{}", dispatcher.output());
}

fn wait_for_end(kafka: &Kafka) -> Option<()> {
    (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        kafka.pid().is_none().then_some(())
    })
}
