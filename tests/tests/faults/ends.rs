//! Ingresses that are killed under load (R2), and processes that are told to end at their busiest (R3).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::{Channel, Subscription};
use millrace_tests::event::TestEvent;
use millrace_tests::load::{Load, accepted};
use millrace_tests::plane::Plane;
use millrace_tests::random::Random;
use millrace_tests::raw_http::{RawClient, get};
use millrace_tests::rig::Rig;
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::wait::wait_until;

const KILLS: u64 = 8;

/// R2: I1, I2 for what was accepted; what got no answer is stored once or not at all.
#[test]
fn an_ingress_killed_again_and_again_under_load_has_stored_all_that_it_accepted() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut random = Random::of_this_run();
    let channel = Channel::new("ingress-kills", &kafka.bootstrap());
    kafka.create_topic(&channel.topic(), 4);
    let plane = Plane::new(kafka).with("producer", "enable.idempotence=true");
    plane.publish(1, std::slice::from_ref(&channel));
    let mut outcomes = Vec::new();
    for round in 0..KILLS {
        let mut ingress = plane.start_ready_ingress();
        let load = Load::start(ingress.address, &channel, &format!("r{round}"), 16, 100_000);
        wait_until("some events accepted", PATIENCE, || load.done() > 100);
        thread::sleep(Duration::from_millis(random.below(200)));
        ingress.process.kill();
        outcomes.extend(load.stop());
    }
    let accepted = accepted(&outcomes);
    let count: i64 = records::end_offsets(&kafka.bootstrap(), &channel.topic()).values().sum();
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    for record in records::read(&kafka.bootstrap(), &channel.topic(), usize::try_from(count).unwrap()) {
        *stored.entry(record.header("ce_id").unwrap().to_owned()).or_default() += 1;
    }
    let lost: Vec<_> = accepted.iter().filter(|id| !stored.contains_key(*id)).collect();
    assert!(lost.is_empty(), "accepted and not stored: {lost:?}");
    let twice: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "sent once and stored twice: {twice:?}");
    let known: BTreeMap<_, _> = outcomes.iter().map(|(id, status)| (id.as_str(), *status)).collect();
    assert!(stored.keys().all(|id| known.contains_key(id.as_str())), "nothing else is stored");
    let unanswered: Vec<_> = outcomes.iter().filter(|(_, status)| status.is_none()).collect();
    let unknown = unanswered.iter().filter(|(id, _)| stored.contains_key(id)).count();
    eprintln!("{} accepted; {unknown} stored without an answer, {KILLS} kills", accepted.len());
    assert!(unknown > 0, "some kill must fall between the record and its answer");
    assert!(known.values().all(|status| matches!(status, Some(202) | None)), "no other answer: {known:?}");
}

/// R3, ingress: every accepted request is answered, the last answers say that the connection ends, no probe says ready.
#[test]
fn an_ingress_told_to_end_at_full_load_answers_all_that_it_read_and_says_goodbye() {
    let Some(kafka) = Kafka::shared() else { return };
    let channel = Channel::new("ingress-end", &kafka.bootstrap());
    kafka.create_topic(&channel.topic(), 4);
    let plane = Plane::new(kafka);
    plane.publish(1, std::slice::from_ref(&channel));
    let mut ingress = plane.start_ready_ingress();
    let mut idle = ingress.client();
    assert_eq!(idle.post(&channel.host(), &channel.path(), &TestEvent::new("idle")).unwrap().status, 202);
    let (told, sent) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let address = ingress.address;
    let accepted = thread::scope(|scope| {
        // One connection each, kept until it ends.
        let senders: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let (mut client, mut accepted) = (RawClient::connect(address).unwrap(), Vec::new());
                    loop {
                        let id = format!("e-{}", sent.fetch_add(1, Ordering::Relaxed));
                        let Ok(answer) = client.post(&channel.host(), &channel.path(), &TestEvent::new(id.as_str()))
                        else {
                            return accepted;
                        };
                        assert_eq!(answer.status, 202, "{}", answer.text());
                        accepted.push(id);
                        if answer.header("connection") == Some("close") {
                            told.fetch_add(1, Ordering::Relaxed);
                            assert!(client.is_closed_within(PATIENCE).unwrap());
                            return accepted;
                        }
                    }
                })
            })
            .collect();
        wait_until("full load", PATIENCE, || sent.load(Ordering::Relaxed) > 500);
        ingress.process.terminate();
        let begun = Instant::now();
        assert!(idle.is_closed_within(Duration::from_secs(5)).unwrap(), "an idle connection is not kept");
        wait_until("no more readiness", Duration::from_secs(2), || {
            get(address, "/readyz").map_or(true, |answer| answer.status != 200)
        });
        let status = ingress.process.wait_for_exit(Duration::from_secs(10));
        assert_eq!(status.code(), Some(0), "in time, after {:?}", begun.elapsed());
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect::<Vec<_>>()
    });
    let told = told.load(Ordering::Relaxed);
    eprintln!("{} accepted, {told} of 16 connections were told", accepted.len());
    assert!(told > 0, "requests must have been under way");
    let count = usize::try_from(records::end_offsets(&kafka.bootstrap(), &channel.topic()).values().sum::<i64>());
    let stored = records::read(&kafka.bootstrap(), &channel.topic(), count.unwrap());
    let stored: std::collections::BTreeSet<_> = stored.iter().filter_map(|record| record.header("ce_id")).collect();
    assert!(accepted.iter().all(|id| stored.contains(id.as_str())), "accepted is stored");
}

/// R3, dispatcher: not ready at once, finishes what is under way, commits it, and repeats nothing.
#[test]
fn a_dispatcher_told_to_end_is_unready_at_once_and_finishes_what_is_under_way() {
    let Some(kafka) = Kafka::shared() else { return };
    let released = Arc::new(AtomicBool::new(false));
    let subscriber = Subscriber::scripted({
        let released = Arc::clone(&released);
        move |_| Answer::status(200).once(&released)
    });
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered();
    let rig = Rig::new(kafka, "dispatcher-end", 4, "millrace.in.flight.max=40", &[subscription]);
    let ids = rig.produce("e", 100, 16);
    let mut first = rig.dispatcher();
    // A partition leaves some of the 40 places to others.
    subscriber.wait_for_arrivals("/in", 30, PATIENCE);
    assert!(rig.plane.health_file().exists());
    first.terminate();
    wait_until("no more readiness", Duration::from_secs(5), || !rig.plane.health_file().exists());
    assert!(first.has_ended().is_none(), "deliveries are under way");
    let under_way = subscriber.count_on("/in");
    released.store(true, Ordering::Relaxed);
    assert_eq!(first.wait_for_exit(Duration::from_secs(10)).code(), Some(0));
    assert_eq!(subscriber.count_on("/in"), under_way, "nothing was started after the signal");
    rig.check_commits(&subscriber, "/in");
    let _second = rig.dispatcher();
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    rig.wait_for_no_lag();
    assert_eq!(subscriber.count_on("/in"), ids.len(), "nothing is repeated");
}
