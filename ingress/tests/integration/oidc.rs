//! Targets with an audience: which tokens pass, which do not, and whose events a policy lets in.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use millrace_ingress::app::Running;
use serde_json::{Value, json};

use super::harness::*;
use super::issuer::*;

/// Policies that let every bearer of a token send.
fn everyone() -> Value {
    json!([{"tokenMatchers": [{"prefix": {"attributes": {"sub": ""}}}]}])
}

/// A guarded target at `/guarded` with these policies, and an ingress that has the issuer's keys.
pub(crate) async fn guarded(issuer: &Issuer, policies: Value) -> (Harness, Broker, Running) {
    let (harness, broker) = guarded_files(&issuer.url(), policies);
    let running = harness.ready().await;
    (harness, broker, running)
}

pub(crate) fn guarded_files(issuer: &str, policies: Value) -> (Harness, Broker) {
    let broker = Broker::with_topic("orders");
    let mut harness = Harness::new();
    harness.write("features/authentication-oidc", "Enabled\n");
    harness.env.insert("MILLRACE_OIDC_DISCOVERY_URL".to_owned(), issuer.to_owned());
    let ingress = json!({"path": "/guarded", "audience": AUDIENCE, "eventPolicies": policies});
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), ingress)]);
    (harness, broker)
}

pub(crate) fn bearing(token: &str) -> String {
    request("/guarded", &[("Authorization", &format!("Bearer {token}"))], "hello")
}

#[track_caller]
fn check_refused(answer: &Answer, status: u16, reason: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    assert!(answer.body.contains(reason), "{what}: {answer:?}");
    assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{what}");
}

/// A token of any header, signed by nobody.
fn unsigned(header: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(&claims()))
}

/// The last letter of a base64 text may hold bits that do not count, so the first one of the signature is changed.
fn corrupted(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{other}{}", signature.split_at(1).1)
}

#[tokio::test]
async fn tokens_that_must_not_pass_are_401_with_the_reason_and_cost_no_fetch() {
    let issuer = Issuer::with_keys(&[&RSA, &P256]);
    let (harness, broker) = guarded_files(&issuer.url(), everyone());
    // The token's own bound is meant, not that of all headers.
    harness.write("config/httpserver.properties", "host=127.0.0.1\nmaxHeaderSize=65536\n");
    let running = harness.ready().await;
    // Where tokens of attackers point: nobody may come.
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", trap.local_addr().unwrap());
    trap.set_nonblocking(true).unwrap();
    let sign = |changes: Value| RSA.sign(&claims_with(changes));
    let rsa = |header: Header| RSA_2.sign_with(&Header { kid: Some("rsa".to_owned()), ..header }, &claims());
    let public = RSA.jwk()["n"].as_str().unwrap().to_owned();
    let hmac = Header { kid: Some("rsa".to_owned()), ..Header::new(Algorithm::HS256) };
    let hmac = jsonwebtoken::encode(&hmac, &claims(), &EncodingKey::from_secret(public.as_bytes())).unwrap();
    let own: jsonwebtoken::jwk::Jwk = serde_json::from_value(RSA_2.jwk()).unwrap();
    let null = RSA.sign(&json!({"iss": ISSUER, "aud": AUDIENCE, "exp": now() + 60, "sub": null}));
    let cases = [
        ("alg none", unsigned(&json!({"alg": "none"}), "AAAA"), "algorithm"),
        ("alg none without a signature", unsigned(&json!({"alg": "none"}), ""), "not a signed JWT"),
        ("no signature", unsigned(&json!({"alg": "RS256", "kid": "rsa"}), ""), "not a signed JWT"),
        ("HS256 with the public key", hmac, "algorithm"),
        ("expired", sign(json!({"exp": now() - 61, "iat": now() - 99, "nbf": now() - 99})), "expired"),
        ("expired long ago", sign(json!({"exp": 1, "iat": 0, "nbf": 0})), "expired"),
        ("not yet", sign(json!({"nbf": now() + 90})), "not valid yet"),
        ("wrong audience", sign(json!({"aud": "other"})), "audience"),
        ("wrong audiences", sign(json!({"aud": ["other", "orders-audienc"]})), "audience"),
        ("no audience", sign(json!({"aud": null})), "audience"),
        ("audience of a wrong type", sign(json!({"aud": {AUDIENCE: AUDIENCE}})), "not a signed JWT"),
        ("wrong issuer", sign(json!({"iss": "https://other.example"})), "issuer"),
        ("no issuer", sign(json!({"iss": null})), "not a signed JWT"),
        ("no expiry", sign(json!({"exp": null})), "never expires"),
        ("expiry of a wrong type", sign(json!({"exp": "tomorrow"})), "not a signed JWT"),
        ("expires before it begins", sign(json!({"exp": now(), "nbf": now() + 30})), "contradict"),
        ("a null claim", null, "without a value"),
        ("corrupted signature", corrupted(&sign(json!({}))), "signature"),
        ("another's signature", rsa(Header::new(Algorithm::RS256)), "signature"),
        ("key of another kind", P256.sign_with(&Header { kid: Some("rsa".into()), ..P256.header() }, &claims()), "key"),
        ("own key", rsa(Header { jwk: Some(own), ..Header::new(Algorithm::RS256) }), "signature"),
        ("own key's address", rsa(Header { jku: Some(url.clone()), ..Header::new(Algorithm::RS256) }), "signature"),
        ("own certificate", rsa(Header { x5u: Some(url.clone()), ..Header::new(Algorithm::RS256) }), "signature"),
        ("critical extension", unsigned(&json!({"alg": "RS256", "kid": "rsa", "crit": ["b64"]}), "AAAA"), "extension"),
        ("huge", RSA.sign(&claims_with(json!({"x": "y".repeat(4900)}))) + &"A".repeat(10_000), "longer than"),
        ("nonsense", "nonsense".to_owned(), "not a signed JWT"),
        ("empty parts", "..".to_owned(), "not a signed JWT"),
        ("encrypted", "a.b.c.d.e".to_owned(), "not a signed JWT"),
    ];
    let before = issuer.asked();
    let mut client = Client::connect(running.address()).await;
    for (what, token, reason) in cases {
        // On one connection all the time: a refused body does not stall it.
        check_refused(&client.ask(bearing(&token)).await, 401, reason, what);
    }
    assert!(issuer.asked() <= before + 4, "fetched {} times for forged tokens", issuer.asked() - before);
    assert_eq!(trap.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "a token led us somewhere");
    assert_eq!(client.ask(bearing(&RSA.sign(&claims()))).await.status, 202);
    assert_eq!(broker.read("orders", 1).len(), 1);
}

#[tokio::test]
async fn a_token_counts_only_alone_and_as_a_bearer_token() {
    let issuer = Issuer::with_keys(&[&P256]);
    let (_harness, _broker, running) = guarded(&issuer, everyone()).await;
    let token = P256.sign(&claims());
    let mut client = Client::connect(running.address()).await;
    let scheme = |scheme: &str| request("/guarded", &[("Authorization", &format!("{scheme}{token}"))], "hello");
    for refused in ["", "Basic ", "Tokenx ", "Bearer", "Bearer\t", "Digest "] {
        check_refused(&client.ask(scheme(refused)).await, 401, "bearer token", refused);
    }
    let two = ["Bearer x.y.z", &format!("Bearer {token}")];
    let two = request("/guarded", &[("Authorization", two[1]), ("authorization", two[0])], "hello");
    check_refused(&client.ask(two).await, 401, "more than one", "two headers");
    check_refused(&client.ask(event("/guarded")).await, 401, "bearer token", "no header");
    for accepted in ["Bearer ", "bearer ", "BEARER ", "Bearer  "] {
        assert_eq!(client.ask(scheme(accepted)).await.status, 202, "{accepted:?}");
    }
}

#[tokio::test]
async fn every_public_key_algorithm_passes() {
    let issuer = Issuer::with_keys(&[&RSA, &P256, &P384, &ED]);
    let (_harness, _broker, running) = guarded(&issuer, everyone()).await;
    let mut client = Client::connect(running.address()).await;
    for signer in [&*P256, &P384, &ED] {
        assert_eq!(client.ask(bearing(&signer.sign(&claims()))).await.status, 202, "{:?}", signer.algorithm);
    }
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let header = Header { kid: Some("rsa".to_owned()), ..Header::new(algorithm.parse().unwrap()) };
        assert_eq!(client.ask(bearing(&RSA.sign_with(&header, &claims()))).await.status, 202, "{algorithm}");
    }
}

#[tokio::test]
async fn good_tokens_pass_with_one_audience_of_many_without_kid_and_within_the_skew() {
    let issuer = Issuer::with_keys(&[&RSA, &P256]);
    let (_harness, _broker, running) = guarded(&issuer, everyone()).await;
    let mut client = Client::connect(running.address()).await;
    let cases = [
        ("one audience", P256.sign(&claims_with(json!({"aud": AUDIENCE})))),
        ("one of many audiences", P256.sign(&claims_with(json!({"aud": ["a", AUDIENCE, "b"]})))),
        ("no kid", P256.sign_with(&Header::new(Algorithm::ES256), &claims())),
        ("no kid, RSA", RSA.sign_with(&Header::new(Algorithm::RS256), &claims())),
        ("expired just now", P256.sign(&claims_with(json!({"exp": now() - 40, "iat": 0, "nbf": 0})))),
        ("valid in a moment", P256.sign(&claims_with(json!({"nbf": now() + 40})))),
        ("no nbf or iat", P256.sign(&claims_with(json!({"nbf": null, "iat": null})))),
    ];
    for (what, token) in cases {
        // Twice: the second time it is remembered.
        for _ in 0..2 {
            let answer = client.ask(bearing(&token)).await;
            assert_eq!(answer.status, 202, "{what}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn knatives_four_cases_hold() {
    let issuer = Issuer::with_keys(&[&RSA]);
    let (_harness, _broker, running) = guarded(&issuer, everyone()).await;
    let valid = RSA.sign(&claims());
    let cases = [
        ("wrong audience", RSA.sign(&claims_with(json!({"aud": ["invalid-audience"]}))), 401),
        ("corrupted signature", corrupted(&valid), 401),
        ("expired", RSA.sign(&claims_with(json!({"exp": now() - 120, "iat": 0, "nbf": 0}))), 401),
        ("valid", valid, 202),
    ];
    for (what, token, status) in cases {
        assert_eq!(ask(running.address(), bearing(&token)).await.status, status, "{what}");
    }
}

#[tokio::test]
async fn a_remembered_token_is_not_good_for_another_audience() {
    let issuer = Issuer::with_keys(&[&P256]);
    let (mut harness, broker) = guarded_files(&issuer.url(), everyone());
    let target = |uid: &str, audience: &str| {
        let ingress = json!({"path": format!("/{uid}"), "audience": audience, "eventPolicies": everyone()});
        resource(uid, "orders", &broker.bootstrap_servers(), ingress)
    };
    harness.contract(&[target("guarded", AUDIENCE), target("other", "other")]);
    let running = harness.ready().await;
    let token = P256.sign(&claims());
    assert_eq!(ask(running.address(), bearing(&token)).await.status, 202);
    let answer = ask(running.address(), bearing(&token).replace("/guarded", "/other")).await;
    check_refused(&answer, 401, "audience", "another target");
}

#[tokio::test]
async fn policies_decide_by_claims_before_the_body_and_by_filters_after_it() {
    let issuer = Issuer::with_keys(&[&P256]);
    let sender = |name: &str| json!({"exact": {"attributes": {"sub": format!("system:serviceaccount:shop:{name}")}}});
    let policies = json!([
        {"tokenMatchers": [sender("nobody"), sender("orders")], "filters": [{"prefix": {"attributes": {"type": "order."}}}]},
        {"tokenMatchers": [{"prefix": {"attributes": {"kubernetes.io.namespace": "bil"}}}],
         "filters": [{"suffix": {"attributes": {"subject": "x"}}}]},
    ]);
    let (_harness, _broker, running) = guarded(&issuer, policies).await;
    let mut client = Client::connect(running.address()).await;
    let token = |name: &str, namespace: &str| {
        P256.sign(&claims_with(json!({
            "sub": format!("system:serviceaccount:shop:{name}"), "kubernetes.io": {"namespace": namespace},
        })))
    };
    let send = |token: &str, headers: &[(&str, &str)]| {
        let authorization = format!("Bearer {token}");
        let headers: Vec<_> = headers.iter().copied().chain([("Authorization", authorization.as_str())]).collect();
        request("/guarded", &headers, "hello")
    };
    let orders = token("orders", "shop");
    assert_eq!(client.ask(send(&orders, &[("ce-type", "order.created")])).await.status, 202);
    let answer = client.ask(send(&orders, &[("ce-type", "bill.created")])).await;
    check_refused(&answer, 403, "this event", "an event that no filter passes");
    let billing = token("anybody", "billing");
    assert_eq!(client.ask(send(&billing, &[("ce-subject", "axx")])).await.status, 202);
    let answer = client.ask(send(&billing, &[])).await;
    check_refused(&answer, 403, "this event", "a filter on an absent subject");
    let answer = client.ask(send(&orders, &[("ce-specversion", "7")])).await;
    check_refused(&answer, 400, "specversion", "no event");
    // Nothing of the body is sent: the answer comes all the same.
    let head = bearing(&token("other", "shop")).replace("Content-Length: 5\r\n\r\nhello", "Content-Length: 5\r\n\r\n");
    let answer = Client::connect(running.address()).await.ask(head).await;
    check_refused(&answer, 403, "names the sender", "a sender that no policy names");
}

#[tokio::test]
async fn one_event_that_no_policy_admits_keeps_all_of_its_batch_out() {
    let issuer = Issuer::with_keys(&[&P256]);
    let policies = json!([{
        "tokenMatchers": [{"prefix": {"attributes": {"sub": ""}}}],
        "filters": [{"exact": {"attributes": {"type": "order"}}}],
    }]);
    let (_harness, broker, running) = guarded(&issuer, policies).await;
    let event = |id: &str, ty: &str| json!({"specversion": "1.0", "id": id, "source": "/s", "type": ty});
    let send = async |events: Value, token: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("content-type", "application/cloudevents-batch+json"), ("Authorization", &authorization)];
        ask(running.address(), request("/guarded", &headers, &events.to_string())).await
    };
    let token = P256.sign(&claims());
    let answer = send(json!([event("1", "order"), event("2", "bill")]), &token).await;
    check_refused(&answer, 403, "1 of 2 events may not be sent; none was stored", "one of two");
    assert!(answer.body.contains(r#""results":[{"index":1,"status":403"#), "{answer:?}");
    assert_eq!(send(json!([event("3", "order"), 7]), &token).await.status, 400);
    check_refused(&send(json!([event("4", "order")]), "x").await, 401, "JWT", "no token");
    assert_eq!(send(json!([event("5", "order"), event("6", "order")]), &token).await.status, 202);
    let ids: Vec<_> =
        broker.read("orders", 2).iter().map(|record| record.header("ce_id").unwrap().to_owned()).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 2);
    assert!(ids.iter().all(|id| ["5", "6"].contains(&id.as_str())), "{ids:?}");
}

#[tokio::test]
async fn without_a_policy_nobody_may_send_and_without_an_audience_everybody() {
    let issuer = Issuer::with_keys(&[&P256]);
    let (mut harness, broker) = guarded_files(&issuer.url(), json!([]));
    let free = json!({"path": "/free", "eventPolicies": [{"tokenMatchers": []}]});
    let closed = json!({"path": "/guarded", "audience": AUDIENCE});
    let unnamed = json!({"path": "/unnamed", "audience": AUDIENCE, "eventPolicies": [{"filters": []}]});
    let resources = [("free", free), ("closed", closed), ("unnamed", unnamed)];
    harness.contract(&resources.map(|(uid, ingress)| resource(uid, "orders", &broker.bootstrap_servers(), ingress)));
    let running = harness.ready().await;
    let request = bearing(&P256.sign(&claims()));
    check_refused(&ask(running.address(), &request).await, 403, "names the sender", "no policies");
    let unnamed = request.replace("/guarded", "/unnamed");
    check_refused(&ask(running.address(), unnamed).await, 403, "names the sender", "a policy without matchers");
    assert_eq!(ask(running.address(), event("/free")).await.status, 202);
}

#[tokio::test]
async fn a_policy_that_is_not_understood_refuses_its_target_only() {
    let issuer = Issuer::with_keys(&[&P256]);
    let (mut harness, broker) = guarded_files(&issuer.url(), everyone());
    let bad = json!([{"tokenMatchers": [], "filters": [{"cesql": {"expression": "((("}}]}]);
    let bad = json!({"path": "/bad", "eventPolicies": bad});
    let resources = [("good", json!({"path": "/good"})), ("bad", bad)];
    harness.contract(&resources.map(|(uid, ingress)| resource(uid, "orders", &broker.bootstrap_servers(), ingress)));
    let running = harness.ready().await;
    assert_eq!(ask(running.address(), event("/good")).await.status, 202);
    assert_eq!(ask(running.address(), event("/bad")).await.status, 404);
    assert!(admin(&running, "/debug/routes").await.contains("a filter of its event policies cannot be used"));
}
