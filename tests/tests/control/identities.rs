//! Tokens and policies where no Knative is: accounts of Subscriptions, audiences, EventPolicies, and who gets in.

use millrace_tests::PATIENCE;
use millrace_tests::broker::kafka::Kafka;
use millrace_tests::event::TestEvent;
use millrace_tests::kubernetes::install::{CHANNEL, Extras, Install, SUBSCRIPTION, condition, set_features};
use millrace_tests::raw_http::request;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::{wait_for, wait_until};
use serde_json::{Value, json};

const OIDC: &[(&str, &str)] = &[("authentication-oidc", "enabled")];
const POLICY: [&str; 2] = ["eventing.knative.dev/v1alpha1", "EventPolicy"];

/// The status with which an event is answered that comes with this token.
fn post(install: &Install, path: &str, id: &str, token: Option<&str>) -> u16 {
    let (mut headers, body) = TestEvent::new(id).binary();
    headers.extend(token.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
    let answer = install.ingress.client().exchange(&request("POST", "x", path, &headers, &body)).unwrap();
    answer.status
}

fn account(install: &Install, namespace: &str, name: &str) {
    let metadata = json!({"namespace": namespace, "name": name});
    install.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}));
}

fn audience(namespace: &str, channel: &str) -> String {
    format!("messaging.knative.dev/kafkachannel/{namespace}/{channel}")
}

/// Knative's definition of policies, as far as the server has to know it.
fn define_policies(install: &Install) {
    install.admin.apply(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: eventpolicies.eventing.knative.dev}
spec:
  group: eventing.knative.dev
  scope: Namespaced
  names: {kind: EventPolicy, plural: eventpolicies, singular: eventpolicy}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
",
    );
    wait_for("policies to be served", PATIENCE, || {
        install.admin.try_text("/apis/eventing.knative.dev/v1alpha1/eventpolicies").map(|_| ())
    });
}

/// A policy as Knative's controller leaves it.
fn policy(install: &Install, namespace: &str, name: &str, to: &Value, from: &[String], ready: &str) {
    let metadata = json!({"namespace": namespace, "name": name});
    install.apply(&json!({"apiVersion": POLICY[0], "kind": POLICY[1], "metadata": metadata, "spec": {"to": to}}));
    let status = json!({"from": from, "conditions": [{"type": "Ready", "status": ready}]});
    let _ = install.admin.patch_status([POLICY[0], POLICY[1], namespace, name], &status);
}

#[test]
fn a_subscription_gets_an_account_whose_token_opens_the_next_channel() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::with(kafka, &Extras { features: OIDC, ..Extras::default() }) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    for name in ["first", "second"] {
        install.apply_channel(&namespace, name, &json!({}));
    }
    let second = json!({"uri": format!("http://{}/{namespace}/second", install.ingress.address),
        "audience": audience(&namespace, "second")});
    install.apply_subscription(&namespace, "on", "first", &json!({"subscriber": second}));
    let subscriber = Subscriber::accepting();
    let end = json!({"subscriber": {"uri": subscriber.url("/in")}});
    install.apply_subscription(&namespace, "end", "second", &end);
    let on = install.wait_until_ready(SUBSCRIPTION, &namespace, "on");
    install.wait_until_ready(SUBSCRIPTION, &namespace, "end");

    let name = "on-oidc-messaging.knative.dev-subscription";
    assert_eq!(on["status"]["auth"], json!({"serviceAccountName": name}));
    assert_eq!(condition(&on, "OIDCIdentityCreated")["reason"], Value::Null);
    let made = install.admin.get("v1", "ServiceAccount", &namespace, name).unwrap();
    let owner = &made["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["uid"], &owner["controller"]), (&on["metadata"]["uid"], &json!(true)));
    assert_eq!(made["metadata"]["labels"], json!({"oidc": "enabled"}));
    let first = install.wait_until_ready(CHANNEL, &namespace, "first");
    assert_eq!(first["status"]["address"]["audience"], audience(&namespace, "first"));
    assert_eq!(first["status"]["subscribers"][0]["auth"], json!({"serviceAccountName": name}));

    let _dispatcher = install.start_dispatcher();
    account(&install, &namespace, "sender");
    let token = install.cluster.token_for(&namespace, "sender", &audience(&namespace, "first"));
    let path = format!("/{namespace}/first");
    // The ingress learns the issuer's keys after its first look at features.
    wait_until("the token to be taken", PATIENCE, || post(&install, &path, "a", Some(&token)) == 202);
    assert_eq!(post(&install, &path, "no-token", None), 401);
    let elsewhere = install.cluster.token_for(&namespace, "sender", &audience(&namespace, "second"));
    assert_eq!(post(&install, &path, "other-audience", Some(&elsewhere)), 401);
    subscriber.wait_for_ids("/in", &["a".to_owned()], PATIENCE);

    // The feature goes: so do the account and every trace of it.
    install.plane.set_features(&[("authentication-oidc", "disabled")]);
    set_features(&install.admin, &[("authentication-oidc", "disabled")]);
    wait_until("the account to be gone", PATIENCE, || {
        install.admin.get("v1", "ServiceAccount", &namespace, name).is_none()
    });
    wait_for("the status without it", PATIENCE, || {
        let status = install.admin.get(SUBSCRIPTION[0], SUBSCRIPTION[1], &namespace, "on").unwrap()["status"].clone();
        let reason = condition(&json!({"status": status}), "OIDCIdentityCreated")["reason"].clone();
        let is_clean = status["auth"].is_null() && reason == "authentication-oidc feature disabled";
        if is_clean { Ok(()) } else { Err(status.to_string()) }
    });
    let contract = install.contract().to_string();
    assert!(!contract.contains("oidcServiceAccountName") && !contract.contains("eventPolicies"), "{contract}");
    // Whoever names an audience asks for a token, whatever the features say.
    let second = json!({"uri": format!("http://{}/{namespace}/second", install.ingress.address)});
    install.apply_subscription(&namespace, "on", "first", &json!({"subscriber": second}));
    wait_for("the contract without the audience", PATIENCE, || {
        let contract = install.contract().to_string();
        if contract.contains("udience") { Err(contract) } else { Ok(()) }
    });
    wait_until("events without a token to be taken", PATIENCE, || post(&install, &path, "b", None) == 202);
}

#[test]
fn an_account_of_somebody_else_is_left_alone_and_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::with(kafka, &Extras { features: OIDC, ..Extras::default() }) else { return };
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    let name = "billing-oidc-messaging.knative.dev-subscription";
    account(&install, &namespace, name);
    install.apply_channel(&namespace, "orders", &json!({}));
    let spec = json!({"subscriber": {"uri": "http://127.0.0.1:9/"}});
    install.apply_subscription(&namespace, "billing", "orders", &spec);
    let told = install.wait_for_condition(SUBSCRIPTION, &namespace, "billing", "OIDCIdentityCreated", "False");
    let found = condition(&told, "OIDCIdentityCreated");
    assert_eq!(found["reason"], "Unable to resolve service account for OIDC authentication");
    assert!(found["message"].as_str().unwrap().contains("already exists"), "{found}");
    assert_eq!(install.contract()["resources"][0]["egresses"], Value::Null);
    let kept = install.admin.get("v1", "ServiceAccount", &namespace, name).unwrap();
    assert_eq!(kept["metadata"]["ownerReferences"], Value::Null);
    install.admin.delete(["v1", "ServiceAccount", &namespace, name]);
    install.wait_until_ready(SUBSCRIPTION, &namespace, "billing");
}

#[test]
fn policies_decide_who_gets_in_and_are_told_by_their_channels() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::with(kafka, &Extras { features: OIDC, ..Extras::default() }) else { return };
    define_policies(&install);
    let _control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    install.apply_channel(&namespace, "orders", &json!({}));
    let channel = install.wait_until_ready(CHANNEL, &namespace, "orders");
    assert_eq!(condition(&channel, "EventPoliciesReady")["reason"], "DefaultAuthorizationMode");
    for name in ["shop", "thief"] {
        account(&install, &namespace, name);
    }
    let token = |name: &str| install.cluster.token_for(&namespace, name, &audience(&namespace, "orders"));
    let (shop, thief) = (token("shop"), token("thief"));
    let path = format!("/{namespace}/orders");
    let answer = |token: &str| post(&install, &path, "a", Some(token));
    // By default everybody in the namespace.
    wait_until("the first token to be taken", PATIENCE, || answer(&thief) == 202);

    let to = json!([{"ref": {"apiVersion": CHANNEL[0], "kind": CHANNEL[1], "name": "orders"}}]);
    let from = [format!("system:serviceaccount:{namespace}:shop")];
    policy(&install, &namespace, "only-shop", &to, &from, "True");
    wait_until("the policy to be in force", PATIENCE, || answer(&thief) == 403);
    assert_eq!(answer(&shop), 202);
    let applied = json!([{"apiVersion": POLICY[0], "name": "only-shop"}]);
    let channel = wait_for("the policy in the status", PATIENCE, || {
        let channel = install.channel(&namespace, "orders");
        let policies = &channel["status"]["policies"];
        if *policies == applied { Ok(channel) } else { Err(channel["status"].to_string()) }
    });
    let ready = condition(&channel, "EventPoliciesReady");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("True"), &Value::Null));
    let matchers = install.contract()["resources"][0]["ingress"]["eventPolicies"].clone();
    assert_eq!(matchers, json!([{"tokenMatchers": [{"exact": {"attributes": {"sub": from[0]}}}]}]));

    // A policy that Knative has not resolved is told, and those that it has stay in force.
    policy(&install, &namespace, "unready", &json!([]), &[], "False");
    let channel = install.wait_for_condition(CHANNEL, &namespace, "orders", "EventPoliciesReady", "False");
    let unready = condition(&channel, "EventPoliciesReady");
    assert_eq!((&unready["reason"], &unready["severity"]), (&json!("EventPoliciesNotReady"), &json!("Info")));
    assert_eq!(condition(&channel, "Ready")["status"], "True");
    assert_eq!((answer(&thief), answer(&shop)), (403, 202));
    for name in ["only-shop", "unready"] {
        install.admin.delete([POLICY[0], POLICY[1], &namespace, name]);
    }
    wait_until("the default to be back", PATIENCE, || answer(&thief) == 202);
}
