//! One event in each HTTP mode, and what is stored and delivered of it.
//!
//! Sources: ingress specification 2.1 to 2.3, dispatcher specification 3.1 and 3.2.

use serde_json::{Value, json};

use super::Whole;
use crate::PATIENCE;
use crate::broker::{Broker, records};
use crate::contract::{Channel, Subscription};
use crate::event::TestEvent;
use crate::plane::{Plane, lines_about};
use crate::process::has;
use crate::subscriber::{Arrival, Subscriber};

/// An event posted in binary and in structured mode is stored in binary mode and delivered with nothing changed.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_both_modes_in(broker: &dyn Broker, name: &str) {
    let subscriber = Subscriber::accepting();
    let whole = Whole::start(broker, name, 1, Subscription::new("all", subscriber.url("/in?x=1")));
    let events = ["binary", "structured"].map(|id| {
        let event = TestEvent::new(id).with("subject", "orders/7").with("time", "2026-03-04T05:06:07.89Z");
        event.with("dataschema", "http://example.com/schema").with("myext", "value 1").with("partitionkey", "key-1")
    });
    whole.post(&events[0]);
    let mut client = whole.ingress.client();
    let answer = client.post_structured("ignored", &whole.channel.path(), &events[1]).expect("an answer");
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.body, b"", "a 202 has no body");

    let stored = records::read(&broker.bootstrap(), &whole.channel.topic(), 2);
    let arrivals = subscriber.wait_for_arrivals("/in", 2, PATIENCE);
    for (index, event) in events.iter().enumerate() {
        check_stored(&stored[index], event);
        let arrival = arrivals.iter().find(|arrival| arrival.id == event.id).expect("both ids arrive");
        check_delivered(arrival, event, &stored[index]);
        let produced = lines_about(&whole.ingress.process, "Record produced", &event.id);
        assert!(produced.iter().any(|line| has(line, "topic", &whole.channel.topic())), "{produced:?}");
    }
    records::wait_for_no_lag(&broker.bootstrap(), &whole.channel.group("all"), &whole.channel.topic());
}

/// A channel of structured content mode stores JSON documents; deliveries are in binary mode all the same.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_structured_records(broker: &dyn Broker, name: &str) {
    let subscriber = Subscriber::accepting();
    let channel = Channel::new(name, &broker.bootstrap()).structured();
    let channel = channel.subscribed(Subscription::new("all", subscriber.url("/in")));
    let whole = Whole::of(Plane::new(broker), broker, channel, 1);
    let event = TestEvent::new("a").with("myext", "1").with_data("application/json", r#"{ "n" : 1.50 }"#);
    whole.post(&event);
    let stored = records::read(&broker.bootstrap(), &whole.channel.topic(), 1);
    let headers: Vec<_> = stored[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(headers, ["content-type"]);
    assert_eq!(stored[0].header("content-type"), Some("application/cloudevents+json"));
    let value = stored[0].value.as_deref().expect("a value");
    let document: Value = serde_json::from_slice(value).expect("the value is JSON");
    let expected = json!({"specversion": "1.0", "id": "a", "source": "/tests/harness", "type": "dev.millrace.test",
        "datacontenttype": "application/json", "myext": "1", "data": {"n": 1.5}});
    assert_eq!(document, expected);
    let text = String::from_utf8_lossy(value);
    assert!(text.contains(r#"{ "n" : 1.50 }"#), "the data's bytes are kept: {text}");
    let arrivals = subscriber.wait_for_arrivals("/in", 1, PATIENCE);
    assert_eq!(arrivals[0].header("ce-myext"), Some("1"));
    assert_eq!(arrivals[0].header("content-type"), Some("application/json"));
    assert_eq!(&arrivals[0].body[..], br#"{ "n" : 1.50 }"#);
}

/// An event without data becomes a null value and arrives without a body.
///
/// # Panics
/// When an expectation fails.
#[track_caller]
pub fn check_event_without_data(broker: &dyn Broker, name: &str) {
    let subscriber = Subscriber::accepting();
    let whole = Whole::start(broker, name, 1, Subscription::new("all", subscriber.url("/in")));
    whole.post(&TestEvent::new("empty").without_data());
    let stored = records::read(&broker.bootstrap(), &whole.channel.topic(), 1);
    assert_eq!((stored[0].value.as_deref(), stored[0].key.as_deref()), (None, None));
    let arrivals = subscriber.wait_for_arrivals("/in", 1, PATIENCE);
    assert_eq!(arrivals[0].body, "");
    assert_eq!(arrivals[0].header("content-type"), None);
}

#[track_caller]
fn check_stored(record: &records::Record, event: &TestEvent) {
    let names: Vec<_> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
    let fixed =
        ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type", "ce_dataschema", "ce_subject", "ce_time"];
    assert_eq!(names.get(..8), Some(&fixed[..]), "the specification's order: {names:?}");
    assert_eq!(record.header("ce_specversion"), Some("1.0"));
    assert_eq!(record.header("ce_id"), Some(event.id.as_str()));
    for (name, value) in &event.attributes {
        assert_eq!(record.header(&format!("ce_{name}")), Some(value.as_str()), "{name}");
    }
    assert_eq!(record.headers.len(), event.attributes.len() + 3, "nothing is added: {names:?}");
    assert_eq!(record.key.as_deref(), Some(&b"key-1"[..]), "the key is the partitionkey");
    assert_eq!(record.value, event.data);
}

#[track_caller]
fn check_delivered(arrival: &Arrival, event: &TestEvent, record: &records::Record) {
    for (name, value) in &event.attributes {
        // The HTTP binding wants spaces encoded, and a receiver decodes them.
        let value = value.replace(' ', "%20");
        assert_eq!(arrival.header(&format!("ce-{name}")), Some(value.as_str()), "{name}");
    }
    assert_eq!(arrival.header("ce-specversion"), Some("1.0"));
    assert_eq!(arrival.header("content-type"), event.content_type.as_deref());
    assert_eq!(Some(arrival.body.to_vec()), event.data);
    assert_eq!(arrival.number("ce-knativekafkapartition"), Some(i64::from(record.partition)));
    assert_eq!(arrival.number("ce-knativekafkaoffset"), Some(record.offset));
    assert_eq!(arrival.header("prefer"), Some("reply"));
    assert_eq!(arrival.header("kn-namespace"), Some("shop"));
    let unexpected = arrival.headers.keys().filter(|name| name.as_str().starts_with("ce-")).count();
    assert_eq!(unexpected, event.attributes.len() + 4, "no other attributes: {:?}", arrival.headers);
}
