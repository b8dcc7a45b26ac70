//! When a connection's time is over.

use millrace_config::properties::Properties;
use millrace_config::properties::http_server::http_server;

use super::*;

fn activity(properties: &[(&str, &str)]) -> Activity {
    let settings = http_server(&Properties::from_iter(properties.iter().copied())).unwrap();
    Activity::new(1, Arc::new(Moment::new(1)), Arc::new(settings))
}

fn at(activity: &Activity, millis: u64) {
    activity.clock.store(millis, Ordering::Relaxed);
}

#[test]
fn a_head_must_arrive_in_time_and_an_idle_connection_may_stay() {
    let activity = activity(&[("millrace.ingress.header.timeout.ms", "1000")]);
    assert!(!activity.is_over(1_000_000, false));
    at(&activity, 5000);
    activity.read(b"POST /");
    at(&activity, 5900);
    activity.read(b"ns/name");
    assert!(!activity.is_over(6000, false));
    assert!(activity.is_over(6001, false));
    drop(activity.begin(false));
    assert!(!activity.is_over(1_000_000, false));
}

#[test]
fn an_http_2_client_must_finish_what_it_begins_and_may_be_idle() {
    let activity = activity(&[("millrace.ingress.header.timeout.ms", "1000")]);
    let mut frames = Frames::default();
    let mut come = |bytes: &[u8]| {
        assert_eq!(activity.read(bytes), Phase::Frames);
        activity.note(&mut frames, bytes);
    };
    come(b"PRI * HTTP/2.0\r\n\r\n");
    assert!(activity.is_over(1002, false), "half a preface");
    come(b"SM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(!activity.is_over(1_000_000, false));
    at(&activity, 5000);
    come(b"\0\0\x05\x01\0\0\0\0\x01hello");
    at(&activity, 5900);
    come(b"\0\0\x05\x09\0\0\0\0\x01");
    assert!(!activity.is_over(6000, false));
    assert!(activity.is_over(6001, false), "a head that drips");
    come(b"hello\0\0\0\x09\x04\0\0\0\x01");
    assert!(!activity.is_over(1_000_000, false));
}

#[test]
fn who_agreed_on_http_2_owes_its_preface() {
    let activity = activity(&[("millrace.ingress.header.timeout.ms", "1000")]);
    activity.expect_preface();
    assert!(activity.is_over(1002, false));
}

#[test]
fn an_idle_timeout_counts_from_the_last_byte_either_way_also_during_a_request() {
    let activity = activity(&[("idleTimeout", "2")]);
    at(&activity, 1000);
    activity.read(b"POST");
    let _busy = activity.begin(false);
    at(&activity, 2000);
    activity.wrote();
    assert!(!activity.is_over(4000, false));
    assert!(activity.is_over(4001, false));
}

#[test]
fn an_idle_connection_makes_room_when_others_wait_and_a_busy_one_does_not() {
    let activity = activity(&[]);
    assert!(!activity.is_over(20_000, false));
    assert!(activity.is_over(20_000, true));
    let _busy = activity.begin(false);
    assert!(!activity.is_over(20_000, true));
}

#[test]
fn a_signal_is_never_weakened() {
    let activity = activity(&[]);
    let context = Context::from_waker(std::task::Waker::noop());
    assert_eq!(activity.signal(&context), Signal::None);
    activity.tell(Signal::Evict);
    activity.tell(Signal::Drain);
    assert_eq!(activity.signal(&context), Signal::Evict);
}

#[test]
fn who_is_asked_to_leave_and_has_nothing_to_wait_for_is_gone_soon() {
    let activity = activity(&[]);
    at(&activity, 1000);
    activity.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    activity.tell(Signal::Drain);
    let busy = activity.begin(true);
    at(&activity, 5000);
    activity.tell(Signal::Drain);
    assert!(!activity.is_over(5000, false));
    busy.0.answered();
    activity.wrote();
    assert!(!activity.is_over(7000, false));
    assert!(activity.is_over(7001, false));
}
