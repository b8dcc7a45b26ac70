//! Attempts that wait for room.

use millrace_config::contract::wire;
use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::*;
use crate::reconcile::reconcile;
use crate::testing::settings;
use crate::topics::admin::AdminTopics;

/// An outcome that asks for nothing but these probes.
fn probes(number: usize) -> Outcome {
    let mut outcome = reconcile(Vec::new(), &settings(), &Observed::default());
    assert_eq!(outcome.contract, wire::Contract::default());
    let probe = |number| ProbeRequest { uid: format!("u{number}"), path: format!("/ns/c{number}") };
    outcome.probes = (0..number).map(probe).collect();
    outcome
}

/// An ingress that knows every channel.
async fn ingress() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    let answers = tasks.clone();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            answers.spawn(async move {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok() {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    stream.write_all(answer).await.ok();
                }
            });
        }
    });
    Url::parse(&format!("http://{address}/")).unwrap()
}

#[tokio::test]
async fn probes_that_wait_for_room_are_made_without_another_look_at_the_objects() {
    let mut jobs = Jobs::new(AdminTopics, Prober::new(ingress().await).unwrap(), Pace::default());
    let mut observed = Observed::default();
    let all = PROBES_AT_ONCE * 3;
    jobs.start(&probes(all));
    assert_eq!((jobs.running.len(), jobs.waiting.probes.len()), (PROBES_AT_ONCE, all - PROBES_AT_ONCE));
    while observed.probes.len() < all {
        timeout(GROUP_LIMIT, jobs.finished(&mut observed)).await.expect("probes go on");
        assert!(jobs.running.len() <= PROBES_AT_ONCE);
    }
    assert!(observed.probes.values().all(|answer| *answer == Probe::Ready), "{:?}", observed.probes);
}

#[tokio::test]
async fn probes_that_nobody_asks_for_any_more_do_not_wait_for_room() {
    let mut jobs = Jobs::new(AdminTopics, Prober::new(ingress().await).unwrap(), Pace::default());
    let mut observed = Observed::default();
    jobs.start(&probes(PROBES_AT_ONCE * 2));
    jobs.start(&probes(0));
    while !jobs.running.is_empty() {
        timeout(GROUP_LIMIT, jobs.finished(&mut observed)).await.expect("probes end");
    }
    assert_eq!(observed.probes.len(), PROBES_AT_ONCE);
}

#[tokio::test]
async fn only_answers_that_fail_in_a_row_count_against_an_ingress() {
    let mut jobs = Jobs::new(AdminTopics, Prober::new(ingress().await).unwrap(), Pace::default());
    let mut observed = Observed::default();
    let away = || Probe::Unreachable("no answer in time".to_owned());
    let ready = [Probe::Ready, Probe::Ready, Probe::Ready, Probe::Ready];
    let mut tries = Vec::new();
    for answer in ready.into_iter().chain([away(), away(), Probe::Ready, away()]) {
        jobs.note(Fact::Farewell("u".to_owned(), answer), &mut observed);
        tries.push(observed.gone["u"].1);
    }
    assert_eq!(tries, [0, 0, 0, 0, 1, 2, 0, 1]);
}
