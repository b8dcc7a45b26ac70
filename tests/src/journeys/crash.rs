//! Processes that are killed or told to end while events are under way.
//!
//! Invariants of the fault tests: what was accepted is delivered, nothing is delivered that was not sent, and a clean stop
//! delivers nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::Whole;
use crate::PATIENCE;
use crate::broker::{Broker, records};
use crate::contract::{Subscription, uid};
use crate::load::{Load, accepted};
use crate::plane::wait_until_assigned;
use crate::subscriber::{Answer, Subscriber};
use crate::wait::wait_until;

const EVENTS: usize = 400;
const ANSWERED_BEFORE: usize = 50;
/// A killed member is missed after its session timeout only.
const REJOIN: Duration = Duration::from_secs(60);

/// kill -9 of a dispatcher with deliveries under way loses nothing, and repeats at most what was under way.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_killed_dispatcher(broker: &dyn Broker, name: &str) {
    let (answered, killed) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let subscriber = Subscriber::scripted({
        let killed = Arc::clone(&killed);
        // After the first answers all others are held back, so that the kill always finds deliveries under way.
        move |_| {
            let first = answered.fetch_add(1, Ordering::Relaxed) < ANSWERED_BEFORE;
            if first || killed.load(Ordering::Relaxed) { Answer::status(200) } else { Answer::hang() }
        }
    });
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered();
    let mut whole = Whole::start(broker, name, 4, subscription);
    let load = Load::start(whole.ingress.address, &whole.channel, "e", 4, EVENTS);
    wait_until("deliveries under way", PATIENCE, || subscriber.count_on("/in") > ANSWERED_BEFORE + 20);
    whole.dispatcher.kill();
    killed.store(true, Ordering::Relaxed);
    let unanswered = subscriber.arrivals_on("/in").iter().filter(|arrival| arrival.answered.is_none()).count();
    assert!(unanswered > 0, "the kill must find deliveries under way");
    let before = subscriber.count_on("/in");
    let outcomes = load.finish();
    let ids = accepted(&outcomes);
    let refused = outcomes.iter().find(|(_, status)| *status != Some(202));
    assert_eq!(ids.len(), EVENTS, "the ingress does not care: {refused:?}");

    let mut second = whole.plane.start_dispatcher();
    wait_until_assigned(&mut second, &uid(name, "all"), REJOIN);
    subscriber.wait_for_ids("/in", &ids, REJOIN);
    records::wait_for_no_lag(&broker.bootstrap(), &whole.channel.group("all"), &whole.channel.topic());
    let counts = counts(&subscriber);
    check_no_phantom(&counts, &ids);
    let repeated = counts.values().filter(|count| **count > 1).count();
    assert!(repeated >= unanswered, "{unanswered} deliveries were cut, but only {repeated} came again");
    assert!(repeated <= before, "{repeated} events came again, but only {before} had arrived before the kill");
}

/// SIGTERM of the ingress and then of the dispatcher at full load: exit 0, all that was accepted arrives exactly once.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_terminated(broker: &dyn Broker, name: &str) {
    let subscriber = Subscriber::scripted(|_| Answer::status(200).after(Duration::from_millis(5)));
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered();
    let mut whole = Whole::start(broker, name, 4, subscription);
    let load = Load::start(whole.ingress.address, &whole.channel, "e", 8, 50_000);
    wait_until("some events under way", PATIENCE, || load.done() > 200 && subscriber.count_on("/in") > 50);
    whole.ingress.process.terminate();
    let status = whole.ingress.process.wait_for_exit(Duration::from_secs(15));
    assert_eq!(status.code(), Some(0), "the ingress ends cleanly");
    let outcomes = load.stop();
    let ids = accepted(&outcomes);
    let refused: Vec<_> = outcomes.iter().filter(|(_, status)| status.is_some_and(|status| status != 202)).collect();
    assert!(refused.is_empty(), "an answered request was accepted: {refused:?}");

    let status = whole.dispatcher.stop(Duration::from_secs(15));
    assert_eq!(status.code(), Some(0), "the dispatcher ends cleanly");
    assert!(!whole.plane.health_file().exists(), "the health file goes with the process");
    let mut second = whole.plane.start_dispatcher();
    wait_until_assigned(&mut second, &uid(name, "all"), PATIENCE);
    subscriber.wait_for_ids("/in", &ids, REJOIN);
    records::wait_for_no_lag(&broker.bootstrap(), &whole.channel.group("all"), &whole.channel.topic());
    let counts = counts(&subscriber);
    let sent: Vec<String> = outcomes.iter().map(|(id, _)| id.clone()).collect();
    check_no_phantom(&counts, &sent);
    let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "a clean stop repeats nothing: {repeated:?}");
}

fn counts(subscriber: &Subscriber) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for arrival in subscriber.arrivals_on("/in") {
        *counts.entry(arrival.id).or_default() += 1;
    }
    counts
}

#[track_caller]
fn check_no_phantom(counts: &BTreeMap<String, usize>, sent: &[String]) {
    let sent: BTreeSet<&String> = sent.iter().collect();
    let phantoms: Vec<_> = counts.keys().filter(|id| !sent.contains(id)).collect();
    assert!(phantoms.is_empty(), "delivered but never sent: {phantoms:?}");
}
