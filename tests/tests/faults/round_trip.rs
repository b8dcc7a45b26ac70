//! Random valid events from HTTP through Kafka to HTTP (R22): every attribute, extension and byte of data is the same.
//!
//! The events are made, written and read back by code of this file alone, from the CloudEvents specification, its JSON
//! format and its HTTP binding 1.0.2 (section 3.1.3.2 for values of headers).

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use millrace_tests::PATIENCE;
use millrace_tests::broker::Broker;
use millrace_tests::broker::embedded::EmbeddedBroker;
use millrace_tests::contract::{Channel, Subscription, uid};
use millrace_tests::plane::{Plane, wait_until_assigned};
use millrace_tests::random::Random;
use millrace_tests::raw_http::{RawClient, request};
use millrace_tests::subscriber::{Arrival, Subscriber};

/// Events of each mode for each channel.
const EVENTS: usize = 150;
const BATCH: usize = 15;

/// What a JSON document says of an attribute; in a header all of them are text.
#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Integer(i32),
    Boolean(bool),
}

#[derive(Debug, Clone)]
enum Data {
    None,
    /// As text of JSON, spaces and number forms included.
    Json(String),
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Debug, Clone)]
struct Event {
    attributes: BTreeMap<String, Value>,
    content_type: Option<&'static str>,
    data: Data,
}

/// What the subscriber must see: attributes by name, content type and data.
type Seen = (BTreeMap<String, String>, Option<String>, Vec<u8>);

/// Text with everything that headers cannot carry as it is, and things that look like escapes.
fn text(random: &mut Random, most: u64) -> String {
    const PIECES: [&str; 20] = [
        "a", "Z", "7", " ", "\"", "%", "%41", "%C3%A9", "é", "ß", "€", "漢", "😀", "\u{301}", "/", ":", ",", ";", "'",
        "\\",
    ];
    let count = 1 + random.below(most);
    (0..count).map(|_| *random.choose(&PIECES)).collect()
}

/// Unreserved characters and escapes, which belong to the URI and are not to be touched. Those of characters outside ASCII
/// are in capitals: they come out as the writing side makes them.
fn uri_part(random: &mut Random) -> String {
    const PIECES: [&str; 12] = ["a", "b", "/", "-", "_", ".", "~", "%2F", "%20", "%41", "%E2%82%AC", "1"];
    let count = 1 + random.below(8);
    (0..count).map(|_| *random.choose(&PIECES)).collect()
}

fn value(random: &mut Random, typed: bool) -> Value {
    match random.below(if typed { 4 } else { 2 }) {
        2 => Value::Integer(i32::try_from(random.below(1 << 31)).unwrap() * if random.percent(50) { 1 } else { -1 }),
        3 => Value::Boolean(random.percent(50)),
        _ => Value::Text(text(random, 12)),
    }
}

fn data(random: &mut Random) -> (Data, Option<&'static str>) {
    const JSON: [&str; 6] = [
        "{ \"n\" : 1.50, \"m\":1e+3 }",
        "[1,2,  3]",
        "\"text with \\u00e9 and é\"",
        "12345678901234567890.10",
        "true",
        "{\"b\":1,\"a\":{\"b\":[ ]},\"b\":2}",
    ];
    match random.below(4) {
        0 => (Data::None, None),
        1 => (Data::Json((*random.choose(&JSON)).to_owned()), Some("application/json")),
        2 => (Data::Text(text(random, 40)), Some("text/plain; charset=utf-8")),
        _ => {
            let length = 1 + random.below(200);
            let bytes = (0..length).map(|_| random.number().to_le_bytes()[0]).collect();
            (Data::Binary(bytes), Some("application/octet-stream"))
        }
    }
}

/// A valid event; integers and booleans where the mode can tell them from text.
fn event(random: &mut Random, id: &str, typed: bool) -> Event {
    const TIMES: [&str; 4] = [
        "2026-03-04T05:06:07Z",
        "2026-03-04T05:06:07.89+02:00",
        "1985-04-12T23:20:50.52Z",
        "2024-02-29T23:59:59-11:30",
    ];
    const NAMES: [&str; 8] =
        ["a", "myext", "x1", "traceid", "0start", "sampledrate", "abcdefghijklmnopqrst", "partitionkey"];
    let mut attributes = BTreeMap::new();
    let mut put = |name: &str, value: Value| {
        attributes.insert(name.to_owned(), value);
    };
    put("specversion", Value::Text("1.0".to_owned()));
    put("id", Value::Text(format!("{id} {}", text(random, 6))));
    put("source", Value::Text(format!("/s{}", uri_part(random))));
    put("type", Value::Text(format!("t{}", text(random, 6))));
    if random.percent(50) {
        put("subject", Value::Text(text(random, 10)));
    }
    if random.percent(50) {
        put("time", Value::Text((*random.choose(&TIMES)).to_owned()));
    }
    if random.percent(50) {
        put("dataschema", Value::Text(format!("http://example.com/{}", uri_part(random))));
    }
    for name in NAMES {
        if random.percent(30) {
            // The key of a record is text whatever the document says.
            let value = if name == "partitionkey" { Value::Text(text(random, 6)) } else { value(random, typed) };
            put(name, value);
        }
    }
    let (data, content_type) = data(random);
    Event { attributes, content_type, data }
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Text(text) => serde_json::to_string(text).unwrap(),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
        }
    }
}

impl Event {
    fn id(&self) -> String {
        self.attributes["id"].text()
    }

    fn bytes(&self) -> Vec<u8> {
        match &self.data {
            Data::None => Vec::new(),
            Data::Json(text) | Data::Text(text) => text.clone().into_bytes(),
            Data::Binary(bytes) => bytes.clone(),
        }
    }

    fn seen(&self) -> Seen {
        let attributes = self.attributes.iter().map(|(name, value)| (name.clone(), value.text()));
        (attributes.collect(), self.content_type.map(str::to_owned), self.bytes())
    }

    fn binary(&self) -> (Vec<(String, String)>, Vec<u8>) {
        let header = |(name, value): (&String, &Value)| {
            let text = if is_uri(name) { value.text() } else { escaped(&value.text()) };
            (format!("ce-{name}"), text)
        };
        let headers = self.attributes.iter().map(header);
        let content_type = self.content_type.map(|value| ("content-type".to_owned(), value.to_owned()));
        (headers.chain(content_type).collect(), self.bytes())
    }

    fn json(&self) -> String {
        let mut members: Vec<_> =
            self.attributes.iter().map(|(name, value)| format!("\"{name}\":{}", value.json())).collect();
        members.extend(self.content_type.map(|value| format!("\"datacontenttype\":\"{value}\"")));
        match &self.data {
            Data::None => {}
            Data::Json(text) => members.push(format!("\"data\": {text}")),
            Data::Text(text) => members.push(format!("\"data\":{}", serde_json::to_string(text).unwrap())),
            Data::Binary(bytes) => members.push(format!("\"data_base64\":\"{}\"", base64(bytes))),
        }
        format!("{{{}}}", members.join(", "))
    }
}

fn is_uri(name: &str) -> bool {
    matches!(name, "source" | "dataschema")
}

/// As the HTTP binding wants it: space, double quote, percent and all beyond printable ASCII.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' | 0..=b' ' | 0x7f.. => write!(escaped, "%{byte:02X}").unwrap(),
            _ => escaped.push(char::from(byte)),
        }
    }
    escaped
}

fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, others)) = rest.split_first() {
        let code = others.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &others[2..];
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_u32, |group, index| (group << 8) | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for index in 0..4 {
            let sign = SIGNS[usize::try_from((group >> (18 - 6 * index)) & 63).unwrap()];
            text.push(if index <= chunk.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

fn seen(arrival: &Arrival) -> Seen {
    let mut attributes = BTreeMap::new();
    for (name, value) in &arrival.headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
        let value = value.to_str().expect("the binding wants printable ASCII");
        let value = if is_uri(name) { value.to_owned() } else { unescaped(value) };
        attributes.insert(name.to_owned(), value);
    }
    for added in ["knativekafkapartition", "knativekafkaoffset"] {
        assert!(attributes.remove(added).is_some(), "{added} says where the record is");
    }
    (attributes, arrival.header("content-type").map(str::to_owned), arrival.body.to_vec())
}

#[track_caller]
fn post(client: &mut RawClient, channel: &Channel, headers: &[(String, String)], body: &[u8]) {
    let bytes = request("POST", &channel.host(), &channel.path(), headers, body);
    let answer = client.exchange(&bytes).unwrap();
    assert_eq!(answer.status, 202, "{}\n{}", answer.text(), String::from_utf8_lossy(&bytes));
}

fn content_type(value: &str) -> Vec<(String, String)> {
    vec![("content-type".to_owned(), value.to_owned())]
}

/// Posts random events in all three modes and gives them by id.
fn post_all(client: &mut RawClient, random: &mut Random, channel: &Channel) -> HashMap<String, Event> {
    let mut sent = HashMap::new();
    let mut next = |mode: &str, number: usize, typed: bool| {
        let event = event(random, &format!("{}-{mode}-{number}", channel.name), typed);
        sent.insert(event.id(), event.clone());
        event
    };
    for number in 0..EVENTS {
        let (headers, body) = next("binary", number, false).binary();
        post(client, channel, &headers, &body);
        let structured = next("structured", number, true).json();
        post(client, channel, &content_type("application/cloudevents+json; charset=utf-8"), structured.as_bytes());
    }
    for batch in 0..EVENTS / BATCH {
        let events: Vec<_> = (0..BATCH).map(|number| next("batch", batch * BATCH + number, true).json()).collect();
        let body = format!("[{}]", events.join(" , "));
        post(client, channel, &content_type("application/cloudevents-batch+json"), body.as_bytes());
    }
    sent
}

/// R22: I1, I2.
#[test]
fn whatever_a_valid_event_says_arrives_as_it_was_said_in_all_modes() {
    let mut random = Random::of_this_run();
    let (broker, subscriber) = (EmbeddedBroker::start(), Subscriber::accepting());
    let channel = |name: &str| {
        let channel = Channel::new(name, &broker.bootstrap());
        broker.create_topic(&channel.topic(), 4);
        channel.subscribed(Subscription::new("all", subscriber.url(&format!("/{name}"))).unordered())
    };
    // One stores records in binary mode, the other in structured mode.
    let channels = [channel("plain"), channel("documents").structured()];
    let plane = Plane::new(&broker);
    plane.publish(1, &channels);
    let ingress = plane.start_ready_ingress();
    let mut dispatcher = plane.start_dispatcher();
    let (mut escapes, mut encoded, mut empty) = (0, 0, 0);
    for channel in &channels {
        wait_until_assigned(&mut dispatcher, &uid(&channel.name, "all"), PATIENCE);
        let sent = post_all(&mut ingress.client(), &mut random, channel);
        assert_eq!(sent.len(), EVENTS * 3, "ids are unique");
        let arrivals = subscriber.wait_for_arrivals(&format!("/{}", channel.name), sent.len(), PATIENCE);
        assert_eq!(arrivals.len(), sent.len(), "once each");
        for arrival in &arrivals {
            let found = seen(arrival);
            let event = sent.get(&found.0["id"]).unwrap_or_else(|| panic!("never sent: {found:?}"));
            assert_eq!(found, event.seen(), "{event:?}\n{:?}", arrival.headers);
            escapes += usize::from(found.0["id"].contains('%') || found.0["source"].contains('%'));
            encoded += usize::from(arrival.id.contains("%F0%9F"));
            empty += usize::from(matches!(event.data, Data::None));
        }
    }
    eprintln!("{escapes} with percent signs, {encoded} with characters of four bytes, {empty} without data");
    assert!(escapes > 20 && encoded > 20 && empty > 20);
}
