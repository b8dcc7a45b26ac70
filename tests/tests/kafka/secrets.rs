//! Kafka with authentication: every format of Secret, passwords that change, topics that may not be used.
//!
//! Ingress and dispatcher are processes with a kubeconfig of a stand-in API server. What they write to their logs at the
//! most talkative level is searched for the secrets. Scenarios R6 and R26 of the proof.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use millrace_runtime::testing::ApiServer;
use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::kafka::secured::{KeyForm, PASSWORD, Protocol, Secured, USER};
use millrace_tests::contract::{Channel, Subscription, contract, uid};
use millrace_tests::event::TestEvent;
use millrace_tests::plane::{Ingress, Plane, admin_page, wait_until_assigned};
use millrace_tests::process::Process;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::tls::Identity;
use millrace_tests::wait::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

/// One broker for all tests here, and for those of tokens.
pub(crate) fn secured() -> Option<&'static Secured> {
    static SECURED: OnceLock<Option<Secured>> = OnceLock::new();
    SECURED.get_or_init(Secured::start_unless_missing).as_ref()
}

/// Both planes with one channel whose credentials are in Secrets.
struct Guarded {
    api: ApiServer,
    plane: Plane,
    channels: Vec<Channel>,
    generation: u64,
    ingress: Ingress,
    dispatcher: Process,
    _folder: TempDir,
}

/// The contract's `authSecret`.
fn one_secret(version: u64) -> Value {
    json!({"authSecret": {"namespace": "shop", "name": "kafka", "version": version.to_string()}})
}

impl Guarded {
    /// Starts with the Secrets that `api` has, which `auth` names.
    fn start(broker: &Secured, api: ApiServer, channels: Vec<Channel>, auth: &Value) -> Self {
        // Who waits for a topic that is not there must not outlast the test's patience.
        let plane = Plane::new(&broker.kafka).with("producer", "delivery.timeout.ms=10000\nmax.block.ms=10000");
        let folder = TempDir::new().unwrap();
        publish(&plane, 1, &channels, auth);
        let kubeconfig = api.kubeconfig(folder.path());
        let logs = "trace";
        let ingress = plane.ingress_program().env("KUBECONFIG", &kubeconfig).env("MILLRACE_LOG", logs);
        let ingress = Ingress::start(&ingress);
        ingress.wait_until_ready();
        let dispatcher = plane.dispatcher_program().env("KUBECONFIG", &kubeconfig).env("MILLRACE_LOG", logs).start();
        Self { api, plane, channels, generation: 1, ingress, dispatcher, _folder: folder }
    }

    fn publish(&mut self, auth: &Value) {
        self.generation += 1;
        publish(&self.plane, self.generation, &self.channels, auth);
    }

    fn wait_until_assigned(&mut self) {
        for channel in &self.channels {
            for subscription in &channel.subscriptions {
                wait_until_assigned(&mut self.dispatcher, &uid(&channel.name, &subscription.name), PATIENCE);
            }
        }
    }

    fn post(&self, channel: &Channel, id: &str) -> u16 {
        self.ingress.client().post("x", &channel.path(), &TestEvent::new(id)).unwrap().status
    }

    /// Ends both and looks for what must not be in their logs.
    #[track_caller]
    fn finish(mut self, secrets: &[&str]) {
        self.ingress.process.stop(PATIENCE);
        self.dispatcher.stop(PATIENCE);
        for (name, log) in [("ingress", self.ingress.process.output()), ("dispatcher", self.dispatcher.output())] {
            assert!(log.contains("kafka"), "{name} logs something");
            for secret in secrets {
                // As it is, and as JSON has it.
                let quoted = serde_json::to_string(secret).unwrap();
                let found = log.contains(secret) || log.contains(quoted.trim_matches('"'));
                assert!(!found, "a secret is in the log of {name}");
            }
        }
    }
}

fn publish(plane: &Plane, generation: u64, channels: &[Channel], auth: &Value) {
    let mut contract: Value = serde_json::from_slice(&contract(generation, channels)).unwrap();
    for resource in contract["resources"].as_array_mut().unwrap() {
        let members = auth.as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.clone()));
        resource.as_object_mut().unwrap().extend(members);
    }
    plane.publish_bytes(contract.to_string().as_bytes());
}

fn channel(broker: &Secured, protocol: Protocol, name: &str, subscriber: &Subscriber) -> Channel {
    let channel = Channel::new(name, &broker.bootstrap(protocol));
    let channel = channel.subscribed(Subscription::new("all", subscriber.url(&format!("/{name}"))).unordered());
    broker.kafka.create_topic(&channel.topic(), 2);
    channel
}

/// An event goes all the way with this Secret.
#[track_caller]
fn check(name: &str, protocol: Protocol, secret: &[(&'static str, &str)], hidden: &[&str]) {
    let Some(broker) = secured() else { return };
    let (api, subscriber) = (ApiServer::start(), Subscriber::accepting());
    let entries = [("protocol", protocol.name())].into_iter().chain(secret.iter().copied());
    api.secret("shop", "kafka", entries);
    check_with(broker, api, &subscriber, name, protocol, &one_secret(1), hidden);
}

#[track_caller]
fn check_with(
    broker: &Secured,
    api: ApiServer,
    subscriber: &Subscriber,
    name: &str,
    protocol: Protocol,
    auth: &Value,
    hidden: &[&str],
) {
    let channel = channel(broker, protocol, name, subscriber);
    let mut guarded = Guarded::start(broker, api, vec![channel.clone()], auth);
    guarded.wait_until_assigned();
    assert_eq!(guarded.post(&channel, "a"), 202);
    subscriber.wait_for_ids(&format!("/{name}"), &["a".to_owned()], PATIENCE);
    guarded.finish(hidden);
}

#[test]
fn each_password_mechanism_works_with_and_without_tls() {
    let Some(broker) = secured() else { return };
    let ca = broker.ca();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let user = [("sasl.mechanism", mechanism), ("user", USER), ("password", PASSWORD)];
        let name = mechanism.to_lowercase();
        check(&format!("{name}-plaintext"), Protocol::SaslPlaintext, &user, &[PASSWORD]);
        let with_ca = [&user[..], &[("ca.crt", ca.as_str())]].concat();
        check(&format!("{name}-tls"), Protocol::SaslSsl, &with_ca, &[PASSWORD]);
    }
}

#[test]
fn client_keys_may_be_written_in_each_of_the_three_ways() {
    let Some(broker) = secured() else { return };
    let ca = broker.ca();
    for (name, form) in [("pkcs1", KeyForm::Pkcs1), ("pkcs8", KeyForm::Pkcs8), ("sec1", KeyForm::Sec1)] {
        let (certificate, key) = broker.client(form);
        let secret = [("ca.crt", ca.as_str()), ("user.crt", &certificate), ("user.key", &key)];
        let line = key.lines().nth(1).unwrap().to_owned();
        check(name, Protocol::Ssl, &secret, &[&key, &line]);
    }
}

#[test]
fn credentials_are_gathered_from_several_secrets() {
    let Some(broker) = secured() else { return };
    let (api, subscriber) = (ApiServer::start(), Subscriber::accepting());
    api.secret("shop", "who", [("login", USER), ("how", "SCRAM-SHA-512")]);
    api.secret("shop", "word", [("word", PASSWORD)]);
    let reference = |name: &str, fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields.iter().map(|(key, field)| json!({"secretKey": key, "field": field})).collect();
        json!({"reference": {"namespace": "shop", "name": name, "version": "1"}, "keyFieldReferences": fields})
    };
    let auth = json!({"multiAuthSecret": {"protocol": "SASL_PLAINTEXT", "references": [
        reference("who", &[("login", "USER"), ("how", "SASL_MECHANISM")]), reference("word", &[("word", "PASSWORD")]),
    ]}});
    check_with(broker, api, &subscriber, "several", Protocol::SaslPlaintext, &auth, &[PASSWORD]);
}

/// R26.
#[test]
fn a_rotated_password_loses_no_event_and_is_never_logged() {
    const NEXT: &str = "second-s3cret-word";
    let Some(broker) = secured() else { return };
    let subscriber = Subscriber::accepting();
    let secret = |api: &ApiServer, password: &str| {
        let entries = [("protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "SCRAM-SHA-512"), ("user", "rotating")];
        api.secret("shop", "kafka", entries.into_iter().chain([("password", password)]));
    };
    broker.change_password("rotating", "first-rotating-word");
    let api = ApiServer::start();
    secret(&api, "first-rotating-word");
    let channel = channel(broker, Protocol::SaslPlaintext, "rotated", &subscriber);
    let mut guarded = Guarded::start(broker, api, vec![channel.clone()], &one_secret(1));
    guarded.wait_until_assigned();
    let mut accepted = Vec::new();
    let mut send = |guarded: &Guarded, count: usize| {
        for _ in 0..count {
            let id = format!("event-{}", accepted.len());
            assert_eq!(guarded.post(&channel, &id), 202, "{id}");
            accepted.push(id);
        }
    };
    send(&guarded, 20);
    broker.change_password("rotating", NEXT);
    send(&guarded, 20);
    secret(&guarded.api, NEXT);
    guarded.publish(&one_secret(2));
    let rotated = Instant::now();
    while guarded.dispatcher.count_lines(|line| line["message"] == "Egress started") < 2 {
        send(&guarded, 1);
        assert!(rotated.elapsed() < PATIENCE, "the consumer never started again");
    }
    guarded.wait_until_assigned();
    send(&guarded, 20);
    subscriber.wait_for_ids("/rotated", &accepted, PATIENCE);
    assert_eq!(guarded.api.count("GET", "/api/v1/namespaces/shop/secrets/kafka"), 4, "two planes, two versions");
    guarded.finish(&["first-rotating-word", NEXT]);
}

/// R26, the other credentials: a client certificate and the authorities that the broker is checked with.
#[test]
fn a_rotated_client_certificate_loses_no_event_and_no_key_is_logged() {
    let Some(broker) = secured() else { return };
    let subscriber = Subscriber::accepting();
    let (first, second) =
        (broker.client_named("first-client", KeyForm::Pkcs8), broker.client_named("next-client", KeyForm::Sec1));
    let other = Identity::new("another authority").authority;
    let secret = |api: &ApiServer, (certificate, key): &(String, String), ca: &str| {
        let entries =
            [("protocol", "SSL"), ("ca.crt", ca), ("user.crt", certificate.as_str()), ("user.key", key.as_str())];
        api.secret("shop", "kafka", entries);
    };
    let api = ApiServer::start();
    secret(&api, &first, &broker.ca());
    let channel = channel(broker, Protocol::Ssl, "recertified", &subscriber);
    let mut guarded = Guarded::start(broker, api, vec![channel.clone()], &one_secret(1));
    guarded.wait_until_assigned();
    let mut accepted = Vec::new();
    let mut send = |guarded: &Guarded, count: usize| {
        for _ in 0..count {
            let id = format!("event-{}", accepted.len());
            assert_eq!(guarded.post(&channel, &id), 202, "{id}");
            accepted.push(id);
        }
    };
    send(&guarded, 20);
    secret(&guarded.api, &second, &format!("{other}{}", broker.ca()));
    guarded.publish(&one_secret(2));
    let rotated = Instant::now();
    while guarded.dispatcher.count_lines(|line| line["message"] == "Egress started") < 2 {
        send(&guarded, 1);
        assert!(rotated.elapsed() < PATIENCE, "the consumer never started again");
    }
    guarded.wait_until_assigned();
    // Who still comes as the first one is refused from now on; the ingress changes over when it likes.
    broker.allow_only("next-client", &channel.topic());
    wait_until("an ingress that comes as the next one", PATIENCE, || guarded.post(&channel, "extra") == 202);
    send(&guarded, 20);
    subscriber.wait_for_ids("/recertified", &accepted, PATIENCE);
    let line = |key: &str| key.lines().nth(1).unwrap().to_owned();
    guarded.finish(&[&first.1, &second.1, &line(&first.1), &line(&second.1)]);
}

/// R6, both planes.
#[test]
fn a_missing_and_an_unauthorised_topic_slow_none_of_fifty_others() {
    let Some(broker) = secured() else { return };
    let (api, subscriber) = (ApiServer::start(), Subscriber::accepting());
    let entries = [("protocol", "SASL_PLAINTEXT"), ("user", USER), ("password", PASSWORD)];
    api.secret("shop", "kafka", entries);
    let healthy: Vec<_> = (0..50)
        .map(|number| channel(broker, Protocol::SaslPlaintext, &format!("healthy-{number}"), &subscriber))
        .collect();
    let missing = Channel::new("missing", &broker.bootstrap(Protocol::SaslPlaintext));
    let missing = missing.subscribed(Subscription::new("all", subscriber.url("/missing")).unordered());
    let denied = channel(broker, Protocol::SaslPlaintext, "denied", &subscriber);
    broker.deny(&denied.topic());
    let channels = healthy.iter().cloned().chain([missing.clone(), denied.clone()]).collect();
    let mut guarded = Guarded::start(broker, api, channels, &one_secret(1));
    for channel in &healthy {
        wait_until_assigned(&mut guarded.dispatcher, &uid(&channel.name, "all"), PATIENCE);
    }
    let rounds = |name: &str, count: usize| {
        let mut times = Vec::new();
        for round in 0..count {
            for channel in &healthy {
                let begun = Instant::now();
                assert_eq!(guarded.post(channel, &format!("{name}-{round}")), 202, "{name}");
                times.push(begun.elapsed());
            }
        }
        times.sort_unstable();
        times
    };
    rounds("warm", 1);
    let calm = rounds("calm", 6);
    let beside = std::thread::scope(|scope| {
        let bad: Vec<_> =
            [&missing, &denied].into_iter().map(|channel| scope.spawn(|| guarded.post(channel, "x"))).collect();
        let beside = rounds("beside", 6);
        for status in bad {
            assert_eq!(status.join().unwrap(), 503);
        }
        beside
    });
    // Half of what the two in trouble wait: who waited behind one of them would be later.
    assert!(beside.last().is_some_and(|slowest| *slowest < Duration::from_secs(5)), "{:?}", beside.last());
    for percent in [50, 99] {
        let at = |times: &[Duration]| times[times.len() * percent / 100].as_secs_f64();
        eprintln!("p{percent} of 50 others beside trouble: {:.2} of the time without", at(&beside) / at(&calm));
    }
    let expected: Vec<_> =
        ["calm", "beside"].iter().flat_map(|name| (0..6).map(move |it| format!("{name}-{it}"))).collect();
    for channel in &healthy {
        subscriber.wait_for_ids(&format!("/{}", channel.name), &expected, PATIENCE);
    }
    assert_eq!(subscriber.count_on("/missing") + subscriber.count_on("/denied"), 0);
    let page = admin_page(&mut guarded.dispatcher, "/debug/egresses");
    for name in ["missing", "denied"] {
        assert!(page.contains(&uid(name, "all")), "{name} is on the page: {page}");
    }
    assert_eq!(guarded.api.count("GET", "/api/v1/namespaces/shop/secrets/kafka"), 2, "one read a plane");
    guarded.finish(&[PASSWORD]);
}
