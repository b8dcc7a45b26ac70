//! Subscribers whose certificates and authorities change under load (R25, the dispatcher's part).
//!
//! The ingress' part, with twenty certificates under load as well, is in `ingress/tests/integration/tls.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::contract::{Subscription, trusting};
use millrace_tests::process::is_message;
use millrace_tests::rig::Rig;
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::tls::{Front, Identity};
use millrace_tests::wait::wait_until;

const ROTATIONS: usize = 20;

/// R25: I1; no rebalance, and neither the ends of old connections nor the certificates after them cost an event.
#[test]
fn twenty_new_authorities_of_a_subscriber_under_load_cost_no_rebalance_and_no_event() {
    let Some(kafka) = Kafka::shared() else { return };
    let subscriber = Subscriber::scripted(|_| Answer::status(200).after(Duration::from_millis(2)));
    let identities: Vec<_> = (0..=ROTATIONS).map(|number| Identity::new(&format!("authority-{number}"))).collect();
    let front = Front::start(subscriber.address(), &identities[0]);
    let url = format!("https://{}/in", front.address());
    // A connection that ends with a request under way costs that attempt, and the retry finds the next certificate.
    let subscription = Subscription::new("all", url).unordered().retrying(5, 50);
    let rig = Rig::new(kafka, "rotated-bundles", 4, "", &[subscription]);
    let mut generation = 2;
    let mut publish = |trusted: &[&Identity]| {
        let bundles: Vec<_> = trusted.iter().map(|identity| identity.authority.clone()).collect();
        rig.plane.publish_bytes(&trusting(generation, std::slice::from_ref(&rig.channel), &bundles));
        generation += 1;
    };
    publish(&[&identities[0]]);
    let dispatcher = rig.dispatcher();
    let over = AtomicBool::new(false);
    let ids = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut ids = Vec::new();
            while !over.load(Ordering::Relaxed) {
                ids.extend(rig.produce(&format!("e{}", ids.len()), 20, 8));
                thread::sleep(Duration::from_millis(20));
            }
            ids
        });
        let rotated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for pair in identities.windows(2) {
                // As an operator does it: trust both, show the new one, trust it alone.
                let changes = || dispatcher.count_lines(|line| is_message(line, "Egress changed"));
                let before = changes();
                publish(&[&pair[0], &pair[1]]);
                wait_until("the bundle of both", PATIENCE, || changes() > before);
                // Attempts that began with the old bundle end before the certificate changes.
                let arrived = subscriber.count_on("/in");
                wait_until("deliveries with both", PATIENCE, || subscriber.count_on("/in") > arrived + 40);
                let handshakes = front.handshakes().0;
                front.show(&pair[1]);
                wait_until("deliveries with the new certificate", PATIENCE, || front.handshakes().0 > handshakes);
                publish(&[&pair[1]]);
                wait_until("the bundle of the new one", PATIENCE, || changes() > before + 1);
            }
        }));
        over.store(true, Ordering::Relaxed);
        let ids = load.join().unwrap();
        rotated.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ids
    });
    subscriber.wait_for_ids("/in", &ids, PATIENCE);
    rig.wait_for_no_lag();
    let count = |message: &str| dispatcher.count_lines(|line| is_message(line, message));
    assert_eq!((count("Partitions assigned"), count("Partitions revoked")), (1, 0), "no rebalance");
    let (handshakes, failures) = front.handshakes();
    let arrived = subscriber.count_on("/in");
    eprintln!("{} events, {arrived} arrivals, {handshakes} handshakes, {failures} failed", ids.len());
    assert!(handshakes > ROTATIONS, "every certificate was used");
    // An attempt that began with the bundle before may still meet the next certificate; it is retried.
    assert!(failures <= ROTATIONS / 2, "{failures}: the bundle is in force before the certificate is shown");
}
