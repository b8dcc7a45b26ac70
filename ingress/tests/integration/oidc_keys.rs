//! Where the issuer's keys come from: at start, after a rotation, during an outage, and when the feature changes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::harness::*;
use super::issuer::*;
use super::oidc::{bearing, guarded, guarded_files};
use super::process::spawn;

fn everyone() -> serde_json::Value {
    json!([{"tokenMatchers": [{"prefix": {"attributes": {"sub": ""}}}]}])
}

#[tokio::test]
async fn a_new_key_is_accepted_at_its_first_token_and_the_old_one_until_its_tokens_expire() {
    let issuer = Issuer::with_keys(&[&RSA]);
    let (_harness, _broker, running) = guarded(&issuer, everyone()).await;
    let mut client = Client::connect(running.address()).await;
    let old = RSA.sign(&claims());
    assert_eq!(client.ask(bearing(&old)).await.status, 202);
    issuer.rotate(&[&RSA_2]);
    assert_eq!(client.ask(bearing(&RSA_2.sign(&claims()))).await.status, 202);
    // Remembered or not, tokens of the old key are still good.
    assert_eq!(client.ask(bearing(&old)).await.status, 202);
    assert_eq!(client.ask(bearing(&RSA.sign(&claims_with(json!({"jti": "2"}))))).await.status, 202);
}

#[tokio::test]
async fn an_outage_leaves_the_known_keys_in_force() {
    let issuer = Issuer::with_keys(&[&RSA]);
    let (_harness, _broker, running) = guarded(&issuer, everyone()).await;
    let mut client = Client::connect(running.address()).await;
    issuer.answer_with(500);
    issuer.rotate(&[&P256]);
    let asked = issuer.asked();
    let unknown = bearing(&P256.sign(&claims()));
    assert_eq!(client.ask(&unknown).await.status, 401);
    assert!(issuer.asked() > asked, "the issuer was not asked for an unknown key");
    assert_eq!(client.ask(bearing(&RSA.sign(&claims()))).await.status, 202);
    issuer.answer_with(200);
    assert_eq!(until_status(running.address(), &unknown, 202).await.status, 202);
}

#[tokio::test]
async fn many_tokens_with_unknown_keys_cost_few_fetches() {
    let issuer = Issuer::with_keys(&[&RSA]);
    let (_harness, _broker, running) = guarded(&issuer, everyone()).await;
    let (before, begun) = (issuer.asked(), Instant::now());
    let forged = bearing(&P256.sign(&claims()));
    let answers = (0..100).map(|_| ask(running.address(), &forged));
    let mut answers = futures_util::future::join_all(answers).await;
    for _ in 0..3 {
        answers.push(ask(running.address(), &forged).await);
    }
    for answer in answers {
        assert_eq!(answer.status, 401);
        assert!(answer.body.contains("does not publish"), "{answer:?}");
    }
    // Two documents a fetch, one fetch a second, and one that may be under way.
    let allowed = 2 * (2 + begun.elapsed().as_secs());
    let asked = issuer.asked() - before;
    assert!(asked > 0 && u64::try_from(asked).unwrap() <= allowed, "{asked} requests, {allowed} allowed");
    assert_eq!(ask(running.address(), bearing(&RSA.sign(&claims()))).await.status, 202);
}

#[tokio::test]
async fn while_the_issuer_is_away_at_start_guarded_targets_are_500_until_it_is_back() {
    let issuer = Issuer::with_keys(&[&RSA]);
    issuer.answer_with(503);
    let (mut harness, broker) = guarded_files(&issuer.url(), everyone());
    let ingress = json!({"path": "/guarded", "audience": AUDIENCE, "eventPolicies": everyone()});
    let resources = [("free", json!({"path": "/free"})), ("guarded", ingress)];
    harness.contract(&resources.map(|(uid, ingress)| resource(uid, "orders", &broker.bootstrap_servers(), ingress)));
    let running = harness.ready().await;
    let request = bearing(&RSA.sign(&claims()));
    let answer = ask(running.address(), &request).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.body.contains("OIDC is not loaded"), "{answer:?}");
    // Who shows no token learns nothing else.
    assert_eq!(ask(running.address(), event("/guarded")).await.status, 401);
    assert_eq!(ask(running.address(), event("/free")).await.status, 202);
    issuer.answer_with(200);
    until_status(running.address(), &request, 202).await;
}

#[tokio::test]
async fn an_issuer_that_never_answers_delays_the_start_by_no_more_than_allowed() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut harness, _broker) = guarded_files(&format!("http://{}", silent.local_addr().unwrap()), everyone());
    harness.env.insert("WAIT_STARTUP_SECONDS".to_owned(), "1".to_owned());
    let begun = Instant::now();
    let running = harness.ready().await;
    // The issuer is given up after ten seconds; start-up did not wait for that.
    assert!(begun.elapsed() > Duration::from_millis(900) && begun.elapsed() < Duration::from_secs(8));
    assert_eq!(ask(running.address(), bearing(&RSA.sign(&claims()))).await.status, 500);
}

#[tokio::test]
async fn the_cluster_is_asked_with_this_pods_token_and_no_token_is_ever_logged() {
    let issuer = Issuer::with_keys(&[&P256]);
    let (mut harness, _broker) = guarded_files(&issuer.url(), everyone());
    harness.env.remove("MILLRACE_OIDC_DISCOVERY_URL");
    harness.write("config/kubeconfig", &issuer.kubeconfig("token-of-this-pod"));
    harness.env.insert("KUBECONFIG".to_owned(), harness.path("config/kubeconfig").display().to_string());
    harness.env.insert("MILLRACE_LOG".to_owned(), "trace".to_owned());
    let mut process = spawn(&harness);
    let port = process.line("Receiver started").await["port"].as_u64().unwrap();
    let address = ([127, 0, 0, 1], u16::try_from(port).unwrap()).into();
    let (good, forged) = (P256.sign(&claims()), RSA.sign(&claims()));
    assert_eq!(until_status(address, &bearing(&good), 202).await.status, 202);
    assert_eq!(ask(address, bearing(&forged)).await.status, 401);
    let shown = issuer.shown();
    assert!(shown.len() >= 4 && shown.iter().all(|shown| shown == "Bearer token-of-this-pod"), "{shown:?}");
    process.signal("TERM").await;
    process.line("Receiver stopped").await;
    for line in &process.seen {
        let line = line.to_string();
        let parts = [&good, &forged].into_iter().flat_map(|token| token.split('.'));
        for secret in parts.chain(["token-of-this-pod", "shop:sender"]) {
            assert!(!line.contains(secret), "{line}");
        }
    }
    assert!(process.seen.iter().any(|line| line["message"] == "OIDC keys loaded"));
}

#[tokio::test]
async fn the_feature_may_be_switched_on_later_and_its_directory_may_appear_later() {
    let issuer = Issuer::with_keys(&[&P256]);
    let (harness, _broker) = guarded_files(&issuer.url(), everyone());
    std::fs::remove_dir_all(harness.path("features")).unwrap();
    let running = harness.ready().await;
    let request = bearing(&P256.sign(&claims()));
    assert_eq!(ask(running.address(), &request).await.status, 500);
    assert_eq!(issuer.asked(), 0);
    std::fs::create_dir(harness.path("features")).unwrap();
    harness.write("features/authentication-oidc", "disabled");
    harness.write("features/authentication-oidc", "enabled\n");
    until_status(running.address(), &request, 202).await;
    // What is known stays known.
    harness.write("features/authentication-oidc", "disabled");
    assert_eq!(ask(running.address(), &request).await.status, 202);
}
