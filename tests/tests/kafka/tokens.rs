//! Kafka with OAUTHBEARER: tokens of an OAuth server, of a file, and unsigned ones; renewed while connections are open.
//!
//! The broker checks signature, audience, issuer and end of each token, and closes connections whose token has run out.
//! Logs at the most talkative level are searched for tokens and passwords.

use std::time::{Duration, Instant};

use millrace_runtime::testing::ApiServer;
use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::kafka::issuer::{CLIENT, CLIENT_SECRET};
use millrace_tests::broker::kafka::secured::{Protocol, Secured};
use millrace_tests::broker::records;
use millrace_tests::contract::{Channel, Subscription, contract, uid};
use millrace_tests::event::TestEvent;
use millrace_tests::plane::{Ingress, Plane, wait_until_assigned};
use millrace_tests::process::{Line, Process};
use millrace_tests::subscriber::{Answer, Subscriber};
use millrace_tests::wait::wait_until;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::secrets::secured;

/// Both planes with one channel, whose Secret asks for tokens and whose files say where from.
struct Guarded {
    channel: Channel,
    subscriber: Subscriber,
    ingress: Ingress,
    dispatcher: Process,
    _api: ApiServer,
    _plane: Plane,
    _folder: TempDir,
}

impl Guarded {
    fn start(broker: &Secured, protocol: Protocol, name: &str, properties: &str) -> Self {
        let subscriber = Subscriber::scripted(|arrival| match arrival.path.contains("kept") {
            true => Answer::status(400),
            false => Answer::status(202),
        });
        let (api, folder) = (ApiServer::start(), TempDir::new().unwrap());
        let ca = broker.ca();
        let secret = [("protocol", protocol.name()), ("sasl.mechanism", "OAUTHBEARER"), ("ca.crt", &ca)];
        // Without TLS the peer wants user and password, also where they mean nothing.
        api.secret("shop", "kafka", secret.into_iter().chain([("user", "any"), ("password", "any")]));
        let channel = Channel::new(name, &broker.bootstrap(protocol));
        let all = Subscription::new("all", subscriber.url(&format!("/{name}"))).unordered();
        let channel = channel.subscribed(all);
        broker.kafka.create_topic(&channel.topic(), 2);
        let plane = Plane::new(&broker.kafka)
            .with("producer", &format!("delivery.timeout.ms=10000\nmax.block.ms=10000\n{properties}"))
            .with("consumer", properties);
        let mut wanted: Value = serde_json::from_slice(&contract(1, std::slice::from_ref(&channel))).unwrap();
        wanted["resources"][0]["authSecret"] = json!({"namespace": "shop", "name": "kafka", "version": "1"});
        plane.publish_bytes(wanted.to_string().as_bytes());
        let kubeconfig = api.kubeconfig(folder.path());
        let ingress = plane.ingress_program().env("KUBECONFIG", &kubeconfig).env("MILLRACE_LOG", "trace");
        let ingress = Ingress::start(&ingress);
        ingress.wait_until_ready();
        let dispatcher = plane.dispatcher_program().env("KUBECONFIG", &kubeconfig).env("MILLRACE_LOG", "trace").start();
        Self { channel, subscriber, ingress, dispatcher, _api: api, _plane: plane, _folder: folder }
    }

    fn post(&self, id: &str) -> u16 {
        self.ingress.client().post("x", &self.channel.path(), &TestEvent::new(id)).unwrap().status
    }

    fn wait_until_assigned(&mut self) {
        wait_until_assigned(&mut self.dispatcher, &uid(&self.channel.name, "all"), PATIENCE);
    }

    fn wait_for(&self, ids: &[String]) {
        self.subscriber.wait_for_ids(&format!("/{}", self.channel.name), ids, PATIENCE);
    }

    /// Ends both and looks for what must not be in their logs.
    #[track_caller]
    fn finish(mut self) {
        self.ingress.process.stop(PATIENCE);
        self.dispatcher.stop(PATIENCE);
        for (name, log) in [("ingress", self.ingress.process.output()), ("dispatcher", self.dispatcher.output())] {
            assert!(log.contains("kafka"), "{name} logs something");
            // Tokens of JSON begin with `{"`.
            assert!(!log.contains(CLIENT_SECRET) && !log.contains("eyJ"), "a secret is in the log of {name}");
        }
    }
}

fn of_server(broker: &Secured, secret: &str) -> String {
    let oauth = "org.apache.kafka.common.security.oauthbearer";
    format!(
        "sasl.login.callback.handler.class={oauth}.OAuthBearerLoginCallbackHandler\n\
         sasl.oauthbearer.token.endpoint.url={}\nsasl.jaas.config={oauth}.OAuthBearerLoginModule required \
         clientId=\"{CLIENT}\" clientSecret=\"{secret}\";",
        broker.issuer.url()
    )
}

#[test]
fn tokens_of_an_oauth_server_are_believed_and_renewed_while_events_flow() {
    let Some(broker) = secured() else { return };
    broker.issuer.set_lifetime(6);
    let mut guarded = Guarded::start(broker, Protocol::SaslSsl, "oauth-server", &of_server(broker, CLIENT_SECRET));
    guarded.wait_until_assigned();
    let (begun, mut ids) = (Instant::now(), Vec::new());
    // Longer than two tokens last: the broker would have closed every connection whose token was not renewed.
    while begun.elapsed() < Duration::from_secs(14) {
        let id = format!("event-{}", ids.len());
        assert_eq!(guarded.post(&id), 202, "{id} after {:?}", begun.elapsed());
        ids.push(id);
        std::thread::sleep(Duration::from_millis(200));
    }
    guarded.wait_for(&ids);
    assert!(broker.issuer.given() >= 6, "{} tokens for two processes in fourteen seconds", broker.issuer.given());
    guarded.finish();

    let wrong = Guarded::start(broker, Protocol::SaslSsl, "oauth-refused", &of_server(broker, "wrong"));
    assert_eq!(wrong.post("a"), 503, "nothing is stored without a token");
    assert!(broker.issuer.refused() > 0);
    let told = |line: &Line| line["reason"].as_str().is_some_and(|reason| reason.ends_with("answered with status 401"));
    assert_eq!(wrong.ingress.process.count_lines(told), 1, "one line for a problem that lasts");
    wrong.finish();
}

#[test]
fn unsigned_tokens_work_where_a_broker_believes_them() {
    let Some(broker) = secured() else { return };
    let oauth = "org.apache.kafka.common.security.oauthbearer";
    let java =
        format!("sasl.jaas.config={oauth}.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"me\";");
    let librdkafka = "enable.sasl.oauthbearer.unsecure.jwt=true\nsasl.oauthbearer.config=principal=me lifeSeconds=3";
    for (name, properties) in [("unsigned-java", java.as_str()), ("unsigned-librdkafka", librdkafka)] {
        let mut guarded = Guarded::start(broker, Protocol::SaslPlaintext, name, properties);
        guarded.wait_until_assigned();
        assert_eq!(guarded.post("a"), 202, "{name}");
        guarded.wait_for(&["a".to_owned()]);
        guarded.finish();
    }
}

#[test]
fn what_nobody_takes_is_kept_in_a_topic_that_is_created_with_a_token() {
    let Some(broker) = secured() else { return };
    let mut guarded = Guarded::start(broker, Protocol::SaslSsl, "oauth-kept", &of_server(broker, CLIENT_SECRET));
    guarded.wait_until_assigned();
    // Nobody takes it: the dispatcher creates a topic for it, with an admin client.
    assert_eq!(guarded.post("a"), 202);
    let kept = format!("{}.undelivered", guarded.channel.topic());
    let bootstrap = broker.kafka.bootstrap();
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &bootstrap).create().unwrap();
    wait_until("the topic of what nobody takes", PATIENCE, || {
        let metadata = client.fetch_metadata(None, PATIENCE).unwrap();
        metadata.topics().iter().any(|topic| topic.name() == kept && !topic.partitions().is_empty())
    });
    assert_eq!(records::read(&bootstrap, &kept, 1).len(), 1);
    guarded.finish();
}
