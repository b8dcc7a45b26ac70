//! One slow subscriber among many (R10).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::contract::Subscription;
use millrace_tests::plane::{admin_page, metric};
use millrace_tests::rig::Rig;
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::watch::Watch;

const EGRESSES: usize = 50;
const EVENTS: usize = 100;
const SLOW: Duration = Duration::from_secs(10);

fn path(number: usize) -> String {
    format!("/s-{number}")
}

/// Times from the first write to each arrival, at all but the slow one; sorted.
fn times(subscriber: &Subscriber, prefix: &str, from: Instant) -> Vec<Duration> {
    let arrivals = subscriber.arrivals().into_iter();
    let of_others = arrivals.filter(|arrival| arrival.path != path(0) && arrival.id.starts_with(prefix));
    let mut times: Vec<_> = of_others.map(|arrival| arrival.at - from).collect();
    times.sort_unstable();
    times
}

fn share(times: &[Duration], percent: usize) -> f64 {
    times.get(times.len() * percent / 100).map_or(f64::NAN, Duration::as_secs_f64)
}

/// R10: I1, I4, I5, I7.
#[test]
fn one_subscriber_of_fifty_that_takes_ten_seconds_holds_up_none_of_the_others() {
    let Some(kafka) = Kafka::shared() else { return };
    let slow = Arc::new(AtomicBool::new(false));
    let subscriber = Subscriber::scripted({
        let slow = Arc::clone(&slow);
        move |arrival| match arrival.path == path(0) && slow.load(Ordering::Relaxed) {
            true => Answer::status(200).after(SLOW),
            false => Answer::status(200),
        }
    });
    let subscriptions: Vec<_> = (0..EGRESSES)
        .map(|number| {
            let subscription = Subscription::new(&format!("s-{number}"), subscriber.url(&path(number)));
            // Both kinds among the others; without order the slow one takes the most of what is shared.
            if number % 2 == 0 { subscription.unordered() } else { subscription }
        })
        .collect();
    let rig = Rig::new(kafka, "slow", 4, "", &subscriptions);
    let mut dispatcher = rig.dispatcher();
    let round = |prefix: &str| {
        let from = Instant::now();
        let ids = rig.produce(prefix, EVENTS, 16);
        for number in 1..EGRESSES {
            subscriber.wait_for_ids(&path(number), &ids, PATIENCE);
        }
        (ids, times(&subscriber, prefix, from))
    };
    let (warm, _) = round("warm");
    let (calm, calm_times) = round("calm");
    subscriber.wait_for_ids(&path(0), &calm, PATIENCE);
    // Connections to the others are there by now.
    let watch = Watch::start(dispatcher.pid());
    slow.store(true, Ordering::Relaxed);
    let (beside, beside_times) = rig.watching_commits(&subscriber, &path(0), || round("beside"));
    let waiting = subscriber.arrivals_on(&path(0)).iter().filter(|arrival| arrival.answered.is_none()).count();
    assert!(waiting > 0, "the others must be done while the slow one is busy");
    let page = admin_page(&mut dispatcher, "/metrics");
    let in_flight = metric(&page, "kn_eventing_dispatch_in_flight_requests_1", &["subscriber"]);
    assert!(in_flight > 0, "the metric shows what waits: {in_flight}");
    for percent in [50, 99] {
        let (calm, beside) = (share(&calm_times, percent), share(&beside_times, percent));
        eprintln!("p{percent} of 49 others: {calm:.3} s, beside a slow one {beside:.3} s, ratio {:.2}", beside / calm);
    }
    subscriber.wait_for_ids(&path(0), &beside, SLOW * 6);
    rig.wait_for_no_lag_within(SLOW * 3);
    let mut counts = HashMap::new();
    for arrival in subscriber.arrivals() {
        *counts.entry((arrival.path, arrival.id)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), EGRESSES * (warm.len() + calm.len() + beside.len()));
    assert!(counts.values().all(|count| *count == 1), "nothing is sent twice");
    watch.check_memory(32);
}
