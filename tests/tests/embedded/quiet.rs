//! Processes that say nothing, and what others left behind: neither may change what a process does.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::contract::{Channel, Subscription};
use millrace_tests::plane::Plane;
use millrace_tests::raw_http::RawClient;
use millrace_tests::subscriber::Subscriber;
use millrace_tests::wait::wait_until;

const EVENT: &str = "ce-specversion: 1.0\r\nce-id: a\r\nce-source: s\r\nce-type: t\r\ncontent-length: 0\r\n\r\n";

#[test]
fn processes_that_log_errors_only_work_and_leave_as_others_do() {
    let broker = EmbeddedBroker::start();
    let subscriber = Subscriber::accepting();
    let channel =
        Channel::new("quiet", &broker.bootstrap()).subscribed(Subscription::new("all", subscriber.url("/in")));
    broker.create_topic(&channel.topic(), 1);
    let plane = Plane::new(&broker);
    plane.publish(1, std::slice::from_ref(&channel));
    let port = free_port();
    let ingress = plane.ingress_program().env("INGRESS_PORT", port.to_string()).env("MILLRACE_LOG", "error");
    let mut ingress = ingress.start();
    let mut dispatcher = plane.dispatcher_program().env("MILLRACE_LOG", "error").start();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let request = format!("POST {} HTTP/1.1\r\nhost: x\r\n{EVENT}", channel.path());
    wait_until("an event to be stored", PATIENCE, || {
        let answer = RawClient::connect(address).and_then(|mut client| client.exchange(request.as_bytes()));
        answer.is_ok_and(|answer| answer.status == 202)
    });
    subscriber.wait_for_arrivals("/in", 1, PATIENCE);
    for process in [&mut ingress, &mut dispatcher] {
        assert_eq!(process.has_ended(), None, "{}", process.output());
        assert!(process.stop(PATIENCE).success());
    }
}

#[test]
fn a_health_file_of_an_earlier_life_does_not_make_a_dispatcher_ready() {
    let broker = EmbeddedBroker::start();
    let plane = Plane::new(&broker);
    // Nothing to put in force, so it cannot get ready.
    plane.publish_bytes(b"{");
    std::fs::write(plane.health_file(), b"").unwrap();
    let mut dispatcher = plane.start_dispatcher();
    assert!(!plane.health_file().exists());
    plane.publish(1, &[]);
    wait_until("the health file", PATIENCE, || plane.health_file().exists());
    assert!(dispatcher.stop(PATIENCE).success());
}

/// Nothing listens there a moment later, unless another process takes it.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
