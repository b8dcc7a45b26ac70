//! Subscribers that break off, hang, lie, refuse by every status, or fail in patterns (R11 to R14), in one dispatcher.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::broker::records::{self, NewRecord};
use millrace_tests::contract::{Channel, Subscription, uid};
use millrace_tests::plane::{Plane, wait_until_assigned};
use millrace_tests::process::Process;
use millrace_tests::random::Random;
use millrace_tests::rig::event_record;
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::watch::{Taken, Watch};
use millrace_tests::wire::{Step, WireSubscriber};

fn start(broker: &EmbeddedBroker, channel: &Channel, partitions: i32) -> (Plane, Process) {
    broker.create_topic(&channel.topic(), partitions);
    let plane = Plane::new(broker);
    plane.publish(1, std::slice::from_ref(channel));
    let mut dispatcher = plane.start_dispatcher();
    for subscription in &channel.subscriptions {
        wait_until_assigned(&mut dispatcher, &uid(&channel.name, &subscription.name), PATIENCE);
    }
    (plane, dispatcher)
}

fn produce(broker: &EmbeddedBroker, channel: &Channel, ids: &[String]) {
    let records: Vec<NewRecord> = ids.iter().map(|id| event_record(id, None)).collect();
    records::produce(&broker.bootstrap(), &channel.topic(), &records);
}

fn ok(headers: &str, body: &str) -> Step {
    Step::Write(format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}").into_bytes())
}

/// What each kind of trouble does on a connection. All of them are worth another attempt.
fn troubles() -> Vec<(&'static str, Vec<Step>)> {
    let large = format!("x-large: {}\r\n", "x".repeat(64 * 1024));
    vec![
        ("reset-in-request", vec![Step::ReadSome, Step::Reset]),
        ("reset-in-answer", vec![Step::ReadSome, Step::Write(b"HTTP/1.1 200 OK\r\ncontent-".to_vec()), Step::Reset]),
        ("closed", vec![Step::Read]),
        ("half-closed", vec![Step::Read, Step::HalfClose, Step::Hang]),
        ("interim-flood", vec![Step::Read, Step::WriteForever(b"HTTP/1.1 100 Continue\r\n\r\n")]),
        ("long-length", vec![Step::Read, ok("content-length: 10\r\n", "half")]),
        ("two-lengths", vec![Step::Read, ok("content-length: 0\r\ncontent-length: 5\r\n", "hello")]),
        ("large-head", vec![Step::Read, ok(&large, "")]),
        ("endless-head", vec![Step::Read, Step::WriteForever(b"x-a: b\r\n")]),
        ("no-http", vec![Step::Read, Step::Write(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), Step::Hang]),
        ("hung", vec![Step::Read, Step::Hang]),
        ("hung-in-body", vec![Step::Read, ok("content-length: 10\r\n", "half"), Step::Hang]),
    ]
}

/// R11, R12: I1, I5; three attempts each, no connection used again, and then the dead letter sink without a status.
#[test]
fn every_way_to_break_off_is_retried_as_often_as_said_and_ends_at_the_sink() {
    const EVENTS: usize = 3;
    let (broker, sink) = (EmbeddedBroker::start(), Subscriber::accepting());
    let servers: Vec<_> = troubles().into_iter().map(|(name, steps)| (name, WireSubscriber::start(steps))).collect();
    // Nobody listens where a listener has just gone, and reserved names have no address.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = servers.iter().map(|(name, server)| (*name, server.url("/in")));
    let nobody = [("refused", format!("http://{free}/in")), ("no-address", "http://nobody.invalid/in".to_owned())];
    let urls: Vec<_> = urls.chain(nobody).collect();
    let subscribed = |channel: Channel, (name, url): &(&str, String)| {
        let subscription = Subscription::new(name, url.as_str()).unordered().retrying(2, 20).timeout_ms(1000);
        channel.subscribed(subscription.dead_letter(sink.url(&format!("/{name}"))))
    };
    let channel = urls.iter().fold(Channel::new("broken", &broker.bootstrap()), subscribed);
    let (_plane, mut dispatcher) = start(&broker, &channel, 1);
    let watch = Watch::start(dispatcher.pid());
    let round = |prefix: &str| {
        let ids: Vec<_> = (0..EVENTS).map(|number| format!("{prefix}-{number}")).collect();
        produce(&broker, &channel, &ids);
        for (name, _) in &urls {
            sink.wait_for_ids(&format!("/{name}"), &ids, PATIENCE);
        }
        Taken::now(dispatcher.pid()).descriptors
    };
    let after_first = round("a");
    let after_second = round("b");
    for (name, _) in &urls {
        let path = format!("/{name}");
        records::wait_for_no_lag(&broker.bootstrap(), &channel.group(name), &channel.topic());
        for letter in sink.arrivals_on(&path) {
            assert_eq!(letter.header("ce-knativeerrorcode"), None, "{name}: there was no answer");
            assert!(letter.header("ce-knativeerrordest").is_some(), "{name}");
        }
        assert_eq!(sink.count_on(&path), EVENTS * 2, "{name}: once each");
    }
    for (name, server) in &servers {
        assert_eq!((server.requests(), server.connections()), (EVENTS * 6, EVENTS * 6), "{name}");
    }
    watch.check_memory(32);
    assert!(dispatcher.has_ended().is_none() && !dispatcher.output().contains("panicked"), "{}", dispatcher.output());
    // I5: only connections to the sink are kept, a few for each subscription, as many as dead letters came at a time. Of
    // the broken ones a round makes nine for each.
    eprintln!("{after_first} descriptors, {after_second} after as many broken connections again");
    millrace_tests::wait::wait_until("descriptors as before", PATIENCE, || {
        Taken::now(dispatcher.pid()).descriptors <= after_first + 2 * urls.len()
    });
}

/// R13: every status from 200 to 599, its attempts and its end against the specification's list; redirects lead nowhere.
#[test]
fn every_status_has_the_attempts_and_the_end_that_the_specification_gives_it() {
    let broker = EmbeddedBroker::start();
    let subscriber = Subscriber::scripted(|arrival| match arrival.path.as_str() {
        "/in" => {
            let status = arrival.id.strip_prefix("s-").and_then(|status| status.parse().ok()).unwrap();
            Answer::respond(status, &[("location", "/trap")], "")
        }
        _ => Answer::status(202),
    });
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered().retrying(2, 10);
    let channel = Channel::new("statuses", &broker.bootstrap());
    let channel = channel.subscribed(subscription.dead_letter(subscriber.url("/sink")));
    let (_plane, _dispatcher) = start(&broker, &channel, 4);
    let ids: Vec<_> = (200..600).map(|status| format!("s-{status}")).collect();
    produce(&broker, &channel, &ids);
    let failing: Vec<_> = ids.iter().filter(|id| !id.starts_with("s-2")).cloned().collect();
    subscriber.wait_for_ids("/sink", &failing, PATIENCE * 2);
    records::wait_for_no_lag(&broker.bootstrap(), &channel.group("all"), &channel.topic());
    let mut attempts: BTreeMap<String, usize> = BTreeMap::new();
    for arrival in subscriber.arrivals_on("/in") {
        *attempts.entry(arrival.id).or_default() += 1;
    }
    let expected = (200..600_u16).map(|status| {
        let retried = matches!(status, 404 | 408 | 409 | 429) || status >= 500;
        (format!("s-{status}"), if retried { 3 } else { 1 })
    });
    assert_eq!(attempts, expected.collect());
    assert_eq!(subscriber.count_on("/trap"), 0, "no redirect is followed");
    assert_eq!(subscriber.count_on("/sink"), failing.len(), "once each");
    for letter in subscriber.arrivals_on("/sink") {
        assert_eq!(letter.header("ce-knativeerrorcode"), letter.id.strip_prefix("s-"));
    }
}

/// Whether the request with this number, from 1, is turned away.
type Pattern = Box<dyn FnMut(usize) -> bool + Send>;

/// The patterns of Knative's test receiver: the first N, all but Fibonacci's numbers, and at random.
fn patterns(seed: &mut Random) -> Vec<(&'static str, Pattern)> {
    let is_fibonacci = |number: usize| {
        let (mut low, mut high) = (1, 1);
        while high < number {
            (low, high) = (high, low + high);
        }
        high == number
    };
    let mut random = Random::new(seed.number());
    let first: Pattern = Box::new(|number| number <= 7);
    let fibonacci: Pattern = Box::new(move |number| !is_fibonacci(number));
    let at_random: Pattern = Box::new(move |_| random.percent(60));
    vec![("first", first), ("fibonacci", fibonacci), ("random", at_random)]
}

/// R14: ordered, so that requests have numbers; the end of every event is what the pattern predicts.
#[test]
fn patterns_of_failures_end_as_the_pattern_predicts() {
    const RETRIES: u32 = 4;
    let mut random = Random::of_this_run();
    let broker = EmbeddedBroker::start();
    let ids: Vec<_> = (0..60).map(|number| format!("e-{number}")).collect();
    // What will happen, from a pattern of the same seed.
    let mut expected = BTreeMap::new();
    for (name, mut turned_away) in patterns(&mut random.clone()) {
        let mut number = 0;
        let mut ends = Vec::new();
        for _ in &ids {
            let mut failures = 0;
            while failures <= RETRIES {
                number += 1;
                if !turned_away(number) {
                    break;
                }
                failures += 1;
            }
            ends.push(failures);
        }
        expected.insert(format!("/{name}"), ends);
    }
    let counted: Vec<_> =
        patterns(&mut random).into_iter().map(|(name, pattern)| (format!("/{name}"), 0, pattern)).collect();
    let counted = Mutex::new(counted);
    let subscriber = Subscriber::scripted(move |arrival| {
        let mut all = counted.lock().unwrap();
        let Some((_, number, pattern)) = all.iter_mut().find(|(path, ..)| *path == arrival.path) else {
            return Answer::status(202);
        };
        *number += 1;
        Answer::status(if pattern(*number) { 503 } else { 202 })
    });
    let subscribed = |channel: Channel, path: &String| {
        let name = path.trim_start_matches('/');
        let subscription = Subscription::new(name, subscriber.url(path)).retrying(RETRIES, 5);
        channel.subscribed(subscription.dead_letter(subscriber.url(&format!("/sink{path}"))))
    };
    let channel = expected.keys().fold(Channel::new("patterns", &broker.bootstrap()), subscribed);
    let (_plane, _dispatcher) = start(&broker, &channel, 1);
    produce(&broker, &channel, &ids);
    let (mut retried, mut given_up) = (0, 0);
    for (path, ends) in &expected {
        let last = ids.last().unwrap().clone();
        let name = path.trim_start_matches('/');
        subscriber.wait_for_ids(path, &[last], Duration::from_secs(60));
        millrace_tests::wait::wait_until(&format!("no lag of {name}"), PATIENCE, || {
            let committed = records::committed(&broker.bootstrap(), &channel.group(name), &channel.topic());
            committed.values().sum::<i64>() == 60
        });
        let (arrivals, letters) = (subscriber.arrivals_on(path), subscriber.arrivals_on(&format!("/sink{path}")));
        for (id, failures) in ids.iter().zip(ends) {
            let attempts = arrivals.iter().filter(|arrival| arrival.id == *id).count();
            let kept = letters.iter().filter(|letter| letter.id == *id).count();
            let failures = usize::try_from(*failures).unwrap();
            let all = usize::try_from(RETRIES).unwrap() + 1;
            assert_eq!((attempts, kept), ((failures + 1).min(all), usize::from(failures == all)), "{path} {id}");
            retried += usize::from(failures > 0 && failures < all);
            given_up += usize::from(failures == all);
        }
    }
    assert!(retried > 10 && given_up > 3, "{retried} saved by a retry, {given_up} given up");
}
