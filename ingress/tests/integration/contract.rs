//! Files that change while events come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::broker::PARTITIONS;
use super::harness::*;

#[tokio::test]
async fn the_first_contract_makes_the_process_ready_whatever_is_in_it() {
    let mut harness = Harness::new();
    harness.contract(&[]);
    let running = harness.ready().await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 404);
    assert!(admin(&running, "/metrics").await.contains("millrace_build_info{"));
}

#[tokio::test]
async fn a_broken_first_contract_keeps_the_process_from_being_ready() {
    let mut harness = Harness::new();
    harness.write("contract/data", "{");
    let running = harness.start().await;
    until("a counted failure", async || {
        admin(&running, "/metrics").await.contains("millrace_ingress_contract_failures_total 1\n").then_some(())
    })
    .await;
    let probe = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(ask(running.address(), probe).await.status, 503);
    harness.contract(&[]);
    until_status(running.address(), probe, 200).await;
}

#[tokio::test]
async fn a_broken_or_empty_contract_leaves_the_last_good_one_in_force() {
    let (mut harness, broker, running) = one_target().await;
    for bad in ["", "{", r#"{"generation":"x"}"#] {
        harness.write("contract/data", bad);
    }
    // A later good one shows that the bad ones were seen, or at least did not stop the watching.
    harness.contract(&[
        resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"})),
        resource("uid-2", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/second"})),
    ]);
    until_status(running.address(), &event("/ns/second"), 202).await;
    assert_eq!(ask(running.address(), event("/ns/name")).await.status, 202);
}

#[tokio::test]
async fn the_second_of_two_targets_with_one_path_takes_over_when_the_first_goes() {
    let broker = Broker::new();
    for topic in ["first", "second"] {
        broker.0.create_topic(topic, PARTITIONS, 1).unwrap();
    }
    let servers = broker.bootstrap_servers();
    let target = |uid: &str, topic: &str| resource(uid, topic, &servers, json!({"path": "/same"}));
    let mut harness = Harness::new();
    harness.contract(&[target("uid-1", "first"), target("uid-2", "second")]);
    let running = harness.ready().await;
    assert_eq!(ask(running.address(), event("/same")).await.status, 202);
    let routes: serde_json::Value = serde_json::from_str(&admin(&running, "/debug/routes").await).unwrap();
    assert_eq!(routes["targets"][1]["state"], "refused");
    assert!(routes["targets"][1]["reason"].as_str().unwrap().contains("/same"), "{routes}");
    harness.contract(&[target("uid-2", "second")]);
    until("the second target", async || {
        let routes: serde_json::Value = serde_json::from_str(&admin(&running, "/debug/routes").await).unwrap();
        (routes["generation"] == 2).then_some(())
    })
    .await;
    assert_eq!(ask(running.address(), event("/same")).await.status, 202);
    assert_eq!((broker.read("first", 1).len(), broker.read("second", 1).len()), (1, 1));
}

#[tokio::test]
async fn a_removed_target_soon_answers_404_to_events_and_probes() {
    let (mut harness, _broker, running) = one_target().await;
    harness.contract(&[]);
    until_status(running.address(), &event("/ns/name"), 404).await;
    let probe = "GET /ns/name HTTP/1.1\r\nHost: x\r\nK-Network-Probe: probe\r\n\r\n";
    assert_eq!(ask(running.address(), probe).await.status, 404);
}

/// Sends on several connections while `change` runs, and returns how many events were accepted.
async fn under_load(running: &millrace_ingress::app::Running, change: impl AsyncFnOnce()) -> usize {
    let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (address, stop, accepted) = (running.address(), Arc::clone(&stop), Arc::clone(&accepted));
        tasks.spawn(async move {
            let mut client = Client::connect(address).await;
            while !stop.load(Ordering::Relaxed) {
                let answer = client.ask(event("/ns/name")).await;
                assert_eq!(answer.status, 202, "{answer:?}");
                accepted.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    change().await;
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    accepted.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_a_target_under_load_fails_no_request() {
    let (mut harness, broker, running) = one_target().await;
    let servers = broker.bootstrap_servers();
    let accepted = under_load(&running, async || {
        for number in 0..6 {
            let mode = if number % 2 == 0 { "STRUCTURED" } else { "BINARY" };
            let path = format!("/generation/{number}");
            harness.contract(&[
                resource("uid-1", "orders", &servers, json!({"path": "/ns/name", "contentMode": mode})),
                resource("uid-2", "orders", &servers, json!({"path": path})),
            ]);
            until_status(running.address(), &event(&path), 202).await;
        }
    })
    .await;
    assert!(accepted > 0);
    assert!(broker.read("orders", accepted).len() >= accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_producer_properties_count_at_once_and_fail_no_request() {
    let (harness, broker, running) = one_target().await;
    let large = request("/ns/name", &[], &"x".repeat(3000));
    let accepted = under_load(&running, async || {
        assert_eq!(ask(running.address(), &large).await.status, 202);
        harness.write("config/producer.properties", "enable.idempotence=false\nmax.request.size=2000\n");
        until_status(running.address(), &large, 413).await;
        harness.write("config/producer.properties", "acks=nonsense\n");
        harness.write("config/producer.properties", "enable.idempotence=false\nmax.request.size=4000\n");
        until_status(running.address(), &large, 202).await;
    })
    .await;
    assert!(accepted > 0);
    assert!(broker.read("orders", accepted).len() >= accepted);
}

/// Contract files refused so far.
async fn failures(running: &millrace_ingress::app::Running) -> u64 {
    let metrics = admin(running, "/metrics").await;
    let counted = metrics.lines().find_map(|line| line.strip_prefix("millrace_ingress_contract_failures_total "));
    counted.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_written_into_the_contract_file_fails_no_request() {
    let (mut harness, broker, running) = one_target().await;
    let servers = broker.bootstrap_servers();
    let good = json!({"generation": "99", "resources": [
        resource("uid-1", "orders", &servers, json!({"path": "/ns/name"})),
        resource("uid-2", "orders", &servers, json!({"path": "/ns/other"})),
    ]});
    let good = good.to_string();
    let mut bad: Vec<Vec<u8>> = [1, good.len() / 3, good.len() / 2, good.len() - 1]
        .into_iter()
        .map(|length| good.as_bytes()[..length].to_vec())
        .collect();
    bad.push(b"\0\0\0\0".to_vec());
    bad.push(b"\xff\xfe{}".to_vec());
    bad.push(br#"{"generation":"-1"}"#.to_vec());
    bad.push(br#"{"generation":"7","resources":{}}"#.to_vec());
    bad.push([b"{\"resources\":".to_vec(), b"[".repeat(200_000)].concat());
    bad.push(vec![b'{'; 50 * 1024 * 1024]);
    let accepted = under_load(&running, async || {
        for (number, content) in bad.into_iter().enumerate() {
            let before = failures(&running).await;
            let (path, temporary) = (harness.path("contract/data"), harness.path("contract/data.new"));
            std::fs::write(&temporary, &content).unwrap();
            std::fs::rename(&temporary, &path).unwrap();
            let start = String::from_utf8_lossy(&content[..content.len().min(40)]).into_owned();
            let what = format!("counted failure for {start:?}");
            until(&what, async || (failures(&running).await > before).then_some(())).await;
            // A good one in between, because the same complaint twice is one complaint. The first contract was number 1.
            harness.contract(&[resource("uid-1", "orders", &servers, json!({"path": "/ns/name"}))]);
            let in_force = format!("millrace_ingress_contract_generation {}\n", number + 2);
            until(&in_force, async || admin(&running, "/metrics").await.contains(&in_force).then_some(())).await;
        }
        std::fs::remove_file(harness.path("contract/data")).unwrap();
        // One bad entry among good ones hurts only itself, and one that is there twice is there once.
        harness.contract(&[
            resource("uid-1", "orders", &servers, json!({"path": "/ns/name"})),
            resource("uid-1", "orders", &servers, json!({"path": "/ns/name"})),
            resource("uid-3", "orders", &servers, json!({"path": "/"})),
            resource("uid-4", "orders", &servers, json!({"path": "/ns/fourth"})),
        ]);
        until_status(running.address(), &event("/ns/fourth"), 202).await;
        // A generation that goes backwards is another one all the same.
        harness.write("contract/data", &good.replace("\"99\"", "\"1\""));
        until_status(running.address(), &event("/ns/other"), 202).await;
    })
    .await;
    assert!(accepted > 0);
    assert!(broker.read("orders", accepted).len() >= accepted);
}

#[tokio::test]
async fn changed_http_properties_count_for_new_connections() {
    let (harness, _broker, running) = one_target().await;
    let long = event(&long_path(3000));
    assert_eq!(ask(running.address(), &long).await.status, 404);
    harness.write("config/httpserver.properties", "host=127.0.0.1\nmaxInitialLineLength=2000\n");
    until_status(running.address(), &long, 414).await;
}
