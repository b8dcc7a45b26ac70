//! Bad settings and brokers that are away: clear errors, and recovery without a restart.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use millrace_tests::PATIENCE;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::broker::{Broker, records};
use millrace_tests::contract::{Channel, Subscription, uid};
use millrace_tests::event::TestEvent;
use millrace_tests::plane::{Ingress, Plane, wait_until_assigned};
use millrace_tests::process::Program;
use millrace_tests::raw_http::RawClient;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::wait_until;

/// Starting must fail soon, with status 1 and all of these words.
#[track_caller]
fn check_refused(program: &Program, words: &[&str]) {
    let started = Instant::now();
    let (status, output) = program.run_to_end(PATIENCE);
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(started.elapsed() < Duration::from_secs(10), "it took {:?} to say so", started.elapsed());
    for word in words {
        assert!(output.contains(word), "{word:?} is not in:\n{output}");
    }
    assert!(!output.contains("panicked"), "{output}");
}

#[test]
fn missing_variables_are_all_named_at_once() {
    let plane = Plane::new(&EmbeddedBroker::start());
    let ingress = plane.ingress_program().without("INGRESS_PORT").without("PRODUCER_CONFIG_FILE_PATH");
    let ingress = ingress.env("MILLRACE_LOG_FORMAT", "xml");
    check_refused(&ingress, &["INGRESS_PORT", "PRODUCER_CONFIG_FILE_PATH", "MILLRACE_LOG_FORMAT"]);
    let dispatcher =
        plane.dispatcher_program().without("CONSUMER_CONFIG_FILE_PATH").env("WAIT_STARTUP_SECONDS", "soon");
    check_refused(&dispatcher, &["CONSUMER_CONFIG_FILE_PATH", "WAIT_STARTUP_SECONDS"]);
}

#[test]
fn a_bad_value_in_a_properties_file_is_named_with_its_key() {
    let broker = EmbeddedBroker::start();
    let plane = Plane::new(&broker).with("producer", "linger.ms=soon\nmax.request.size=-5");
    check_refused(&plane.ingress_program(), &["linger.ms", "soon", "max.request.size"]);
    let plane =
        Plane::new(&broker).with("consumer", "auto.commit.interval.ms=never").with("webclient", "maxPoolSize=0");
    check_refused(&plane.dispatcher_program(), &["auto.commit.interval.ms", "maxPoolSize"]);
}

#[test]
fn an_unknown_properties_key_is_only_warned_about() {
    let broker = EmbeddedBroker::start();
    let plane = Plane::new(&broker).with("producer", "no.such.key=1");
    plane.publish(1, &[]);
    let mut ingress = plane.start_ready_ingress();
    ingress.process.wait_for_log("a warning that names the key", PATIENCE, |line| {
        line["level"] == "WARN" && line.to_string().contains("no.such.key")
    });
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let plane = Plane::new(&EmbeddedBroker::start());
    check_refused(&plane.ingress_program().env("INGRESS_PORT", port.as_str()), &[&port]);
}

#[test]
fn an_ingress_without_contract_is_alive_but_not_ready() {
    let plane = Plane::new(&EmbeddedBroker::start());
    plane.contract.swap(&[]);
    let ingress = plane.start_ingress();
    let status = |path| millrace_tests::raw_http::get(ingress.address, path).unwrap().status;
    assert_eq!(status("/healthz"), 200);
    assert_ne!(status("/readyz"), 200, "there is no contract yet");
    plane.publish(1, &[]);
    ingress.wait_until_ready();
}

#[test]
fn an_ingress_whose_broker_is_away_answers_503_and_recovers_by_itself() {
    let broker = EmbeddedBroker::start();
    let channel = Channel::new("away", &broker.bootstrap());
    broker.create_topic(&channel.topic(), 1);
    let quick = "max.block.ms=1000\nrequest.timeout.ms=500\ndelivery.timeout.ms=1500";
    let plane = Plane::new(&broker).with("producer", quick);
    plane.publish(1, std::slice::from_ref(&channel));
    broker.down();
    let ingress = plane.start_ready_ingress();
    check_unavailable(&ingress, &channel, "before the first connection");
    broker.up();
    check_recovered(&ingress, &channel, "first");
    broker.down();
    check_unavailable(&ingress, &channel, "after a connection");
    broker.up();
    check_recovered(&ingress, &channel, "second");
    // An event that was answered 503 may be stored as well: its record's time may not have been over.
    let count = records::end_offsets(&broker.bootstrap(), &channel.topic()).values().sum::<i64>();
    let stored = records::read(&broker.bootstrap(), &channel.topic(), usize::try_from(count).unwrap());
    for id in ["first", "second"] {
        assert!(stored.iter().any(|record| record.header("ce_id") == Some(id)), "{id} of {count}");
    }
}

#[test]
fn with_the_shipped_properties_a_broker_that_stays_away_is_told_at_once_and_nothing_accepted_is_lost() {
    let broker = EmbeddedBroker::start();
    let channel = Channel::new("gone", &broker.bootstrap());
    broker.create_topic(&channel.topic(), 1);
    let plane = Plane::new(&broker);
    plane.publish(1, std::slice::from_ref(&channel));
    broker.down();
    let mut ingress = plane.start_ready_ingress();
    // An event from before the report would wait, and nobody would ask for brokers until the next one comes.
    ingress.process.wait_for_log("the report", PATIENCE, |line| line.to_string().contains("AllBrokersDown"));
    let mut client = ingress.client();
    std::thread::scope(|threads| {
        let first = threads.spawn(|| client.post(&channel.host(), &channel.path(), &TestEvent::new("first")));
        ingress.process.wait_for_log("the beginning of refusals", PATIENCE, |line| {
            line["level"] == "WARN" && line.to_string().contains("No Kafka broker can be reached")
        });
        check_unavailable(&ingress, &channel, "once it is known");
        broker.up();
        assert_eq!(first.join().unwrap().unwrap().status, 202);
    });
    check_recovered(&ingress, &channel, "second");
}

#[track_caller]
fn check_unavailable(ingress: &Ingress, channel: &Channel, when: &str) {
    let started = Instant::now();
    let answer = ingress.client().post(&channel.host(), &channel.path(), &TestEvent::new("lost")).unwrap();
    assert_eq!(answer.status, 503, "{when}: {}", answer.text());
    assert!(answer.header("retry-after").is_some(), "{when}: {answer:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{when}: answered after {:?}", started.elapsed());
}

#[track_caller]
fn check_recovered(ingress: &Ingress, channel: &Channel, id: &str) {
    wait_until("events to be accepted again", PATIENCE, || {
        let answer = ingress.client().post(&channel.host(), &channel.path(), &TestEvent::new(id));
        answer.is_ok_and(|answer| answer.status == 202)
    });
}

#[test]
fn a_dispatcher_whose_broker_is_away_starts_and_delivers_once_it_is_back() {
    let broker = EmbeddedBroker::start();
    let subscriber = Subscriber::accepting();
    let channel =
        Channel::new("later", &broker.bootstrap()).subscribed(Subscription::new("all", subscriber.url("/in")));
    broker.create_topic(&channel.topic(), 1);
    let plane = Plane::new(&broker);
    plane.publish(1, std::slice::from_ref(&channel));
    broker.down();
    let mut dispatcher = plane.start_dispatcher();
    wait_until("the health file", PATIENCE, || plane.health_file().exists());
    broker.up();
    wait_until_assigned(&mut dispatcher, &uid("later", "all"), PATIENCE);
    let ingress = plane.start_ready_ingress();
    let answer = ingress.client().post(&channel.host(), &channel.path(), &TestEvent::new("a")).unwrap();
    assert_eq!(answer.status, 202);
    subscriber.wait_for_arrivals("/in", 1, PATIENCE);
}

#[test]
fn requests_that_are_not_events_for_a_channel_get_their_status() {
    let broker = EmbeddedBroker::start();
    let channel = Channel::new("strict", &broker.bootstrap());
    broker.create_topic(&channel.topic(), 1);
    let plane = Plane::new(&broker);
    plane.publish(1, std::slice::from_ref(&channel));
    let ingress = plane.start_ready_ingress();
    let status = |bytes: &str| {
        let mut client = RawClient::connect(ingress.address).unwrap();
        client.exchange(bytes.as_bytes()).map(|answer| answer.status).map_err(|error| format!("{bytes:?}: {error}"))
    };
    let event = "ce-specversion: 1.0\r\nce-id: a\r\nce-source: s\r\nce-type: t\r\ncontent-length: 0\r\n\r\n";
    let cases = [
        (format!("POST /shop/strict HTTP/1.1\r\nhost: x\r\n{event}"), 202),
        (format!("POST /shop/strict/?q HTTP/1.1\r\nhost: x\r\n{event}"), 202),
        (format!("POST /any HTTP/1.1\r\nhost: {}\r\n{event}", channel.host()), 202),
        (format!("POST /shop/strict// HTTP/1.1\r\nhost: x\r\n{event}"), 404),
        (format!("POST /SHOP/strict HTTP/1.1\r\nhost: x\r\n{event}"), 404),
        ("GET /shop/strict HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 405),
        ("POST /shop/strict HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".to_owned(), 400),
        (format!("POST /shop/strict HTTP/1.1\r\nhost: x\r\n{}", event.replace("ce-id: a", "ce-other: a")), 400),
        ("POST /shop/strict HTTP/1.1\r\nhost: x\r\ncontent-length: abc\r\n\r\n".to_owned(), 400),
        ("GET /shop/strict HTTP/1.1\r\nhost: x\r\nk-network-probe: probe\r\nk-network-hash: h\r\n\r\n".to_owned(), 200),
        ("GET /nobody HTTP/1.1\r\nhost: x\r\nk-network-probe: probe\r\n\r\n".to_owned(), 404),
    ];
    for (bytes, expected) in &cases {
        assert_eq!(status(bytes), Ok(*expected), "{bytes:?}");
    }
    let stored = records::end_offsets(&broker.bootstrap(), &channel.topic());
    assert_eq!(stored.values().sum::<i64>(), 3, "only the accepted events are stored");
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let broker = EmbeddedBroker::start();
    let channel = Channel::new("small", &broker.bootstrap());
    broker.create_topic(&channel.topic(), 1);
    let plane = Plane::new(&broker).with("producer", "max.request.size=10000");
    plane.publish(1, std::slice::from_ref(&channel));
    let ingress = plane.start_ready_ingress();
    let mut client = ingress.client();
    let head =
        "POST /shop/small HTTP/1.1\r\nhost: x\r\nce-specversion: 1.0\r\nce-id: a\r\nce-source: s\r\nce-type: t\r\n";
    client.send(format!("{head}content-length: 104857600\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(client.response().unwrap().status, 413);
}
