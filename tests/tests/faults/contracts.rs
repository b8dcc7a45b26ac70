//! A contract file that is rewritten many times a second with everything but a good contract (R17), while events flow.

use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::contract::{Channel, Subscription, contract};
use millrace_tests::folder::replace;
use millrace_tests::journeys::Whole;
use millrace_tests::load::{Load, accepted};
use millrace_tests::process::is_message;
use millrace_tests::random::Random;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::watch::Watch;
use serde_json::Value;

const STORM: Duration = Duration::from_secs(10);
const KINDS: u64 = 9;

/// One version of the file that must change nothing for the channel of `good`.
fn version(random: &mut Random, kind: u64, good: &[u8]) -> Option<Vec<u8>> {
    let cut = usize::try_from(random.below(u64::try_from(good.len()).unwrap())).unwrap();
    let mut value: Value = serde_json::from_slice(good).unwrap();
    let resources = value["resources"].as_array_mut().unwrap();
    let mut other = resources[0].clone();
    match kind {
        0 => return None,
        1 => return Some(good[..cut].to_vec()),
        2 => return Some((0..cut + 1).map(|_| random.number().to_le_bytes()[0]).collect()),
        3 => return Some(Vec::new()),
        4 => return Some(vec![b'['; 200_000]),
        5 => return Some([good, &vec![b'x'; 4 << 20]].concat()),
        // Bad entries beside the good one: the same uid again, no topic, a path that is taken.
        6 => other["ingress"]["path"] = "/elsewhere".into(),
        7 => other["topics"] = Value::Array(Vec::new()),
        _ => other["uid"] = "another".into(),
    }
    if kind != 6 {
        other["uid"] = format!("other-{cut}").into();
    }
    other.as_object_mut().unwrap().remove("egresses");
    resources.push(other);
    value["generation"] = random.below(50).to_string().into();
    Some(value.to_string().into_bytes())
}

/// R17: I1, I2, I5, I7.
#[test]
fn a_storm_of_bad_contracts_fails_no_request_moves_no_partition_and_ends_with_the_next_good_one() {
    let mut random = Random::of_this_run();
    let (broker, subscriber) = (EmbeddedBroker::start(), Subscriber::accepting());
    let subscription = Subscription::new("all", subscriber.url("/in")).unordered();
    let whole = Whole::start(&broker, "stormy", 2, subscription);
    let watches = [whole.ingress.process.pid(), whole.dispatcher.pid()].map(Watch::start);
    let good = contract(50, std::slice::from_ref(&whole.channel));
    let load = Load::start(whole.ingress.address, &whole.channel, "e", 2, 20_000);
    let (begun, mut written) = (Instant::now(), [0_usize; 9]);
    while begun.elapsed() < STORM {
        let kind = random.below(KINDS);
        written[usize::try_from(kind).unwrap()] += 1;
        match version(&mut random, kind, &good) {
            None => {
                whole.plane.contract.swap(&[]);
            }
            Some(bytes) if random.percent(70) => {
                whole.plane.publish_bytes(&bytes);
            }
            // Through the symlink, as nobody should.
            Some(bytes) => {
                whole.plane.publish_bytes(&good);
                let target = std::fs::canonicalize(whole.plane.contract.file("data")).unwrap();
                replace(&target, &bytes);
            }
        }
        std::thread::sleep(Duration::from_millis(random.below(40)));
    }
    let next = Channel::new("next", &broker.bootstrap());
    whole.plane.publish(100, &[whole.channel.clone(), next.clone()]);
    whole.ingress.wait_until_routed(&next);
    let outcomes = load.stop();
    eprintln!("{written:?} versions of each kind, {} events", outcomes.len());
    assert!(written.iter().all(|count| *count > 0) && outcomes.len() > 100);
    let failed: Vec<_> = outcomes.iter().filter(|(_, status)| *status != Some(202)).collect();
    assert!(failed.is_empty(), "{} requests failed, such as {:?}", failed.len(), failed.first());
    subscriber.wait_for_ids("/in", &accepted(&outcomes), PATIENCE);
    assert_eq!(subscriber.count_on("/in"), outcomes.len(), "once each");
    let count = |message: &str| whole.dispatcher.count_lines(|line| is_message(line, message));
    assert_eq!((count("Partitions assigned"), count("Partitions revoked")), (1, 0), "no rebalance");
    watches.iter().for_each(|watch| watch.check_memory(64));
}
