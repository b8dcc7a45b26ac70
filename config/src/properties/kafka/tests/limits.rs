//! Whatever number a file gives, librdkafka gets one that it accepts, or the file is refused.
//!
//! The ranges are librdkafka's, from its CONFIGURATION.md, written down here a second time on purpose.

use proptest::prelude::*;

use super::*;

const RANGES: &[(&str, i64, i64)] = &[
    ("message.max.bytes", 1000, 1_000_000_000),
    ("max.in.flight.requests.per.connection", 1, 1_000_000),
    ("metadata.recovery.rebootstrap.trigger.ms", 0, 2_147_483_647),
    ("topic.metadata.refresh.interval.ms", 1, 3_600_000),
    ("topic.metadata.propagation.max.ms", 0, 3_600_000),
    ("socket.timeout.ms", 10, 300_000),
    ("socket.send.buffer.bytes", 0, 100_000_000),
    ("socket.receive.buffer.bytes", 0, 100_000_000),
    ("socket.connection.setup.timeout.ms", 1000, 2_147_483_647),
    ("connections.max.idle.ms", 0, 2_147_483_647),
    ("reconnect.backoff.ms", 0, 3_600_000),
    ("reconnect.backoff.max.ms", 0, 3_600_000),
    ("retry.backoff.ms", 1, 300_000),
    ("retry.backoff.max.ms", 1, 300_000),
    ("session.timeout.ms", 1, 3_600_000),
    ("heartbeat.interval.ms", 1, 3_600_000),
    ("queued.min.messages", 1, 10_000_000),
    ("queued.max.messages.kbytes", 1, 2_097_151),
    ("fetch.wait.max.ms", 0, 300_000),
    ("fetch.queue.backoff.ms", 0, 300_000),
    ("max.partition.fetch.bytes", 1, 1_000_000_000),
    ("fetch.max.bytes", 0, 2_147_483_135),
    ("fetch.min.bytes", 1, 100_000_000),
    ("queue.buffering.max.messages", 0, 2_147_483_647),
    ("queue.buffering.max.kbytes", 1, 2_147_483_647),
    ("linger.ms", 0, 900_000),
    ("retries", 0, 2_147_483_647),
    ("batch.size", 1, 2_147_483_647),
    ("sticky.partitioning.linger.ms", 0, 900_000),
    ("request.timeout.ms", 1, 900_000),
    ("delivery.timeout.ms", 1, 2_147_483_647),
    ("compression.level", -1, 12),
];

fn number(client: &BTreeMap<String, String>, key: &str) -> Option<i64> {
    client.get(key).map(|value| value.parse().unwrap())
}

#[track_caller]
fn check_ranges(client: &BTreeMap<String, String>) {
    for (key, min, max) in RANGES {
        if let Some(value) = number(client, key) {
            assert!((*min..=*max).contains(&value), "{key}={value}");
        }
    }
    assert!(number(client, "reconnect.backoff.max.ms") >= number(client, "reconnect.backoff.ms"));
    assert!(number(client, "retry.backoff.max.ms") >= number(client, "retry.backoff.ms"));
}

/// librdkafka's own checks of producers.
#[track_caller]
fn check_producer(client: &BTreeMap<String, String>) {
    check_ranges(client);
    assert!(number(client, "delivery.timeout.ms") > number(client, "linger.ms"));
    if client.get("enable.idempotence").map(String::as_str) == Some("true") {
        assert_eq!(client.get("acks").map(String::as_str), Some("all"));
        assert!(number(client, "max.in.flight.requests.per.connection") <= Some(5));
        assert_ne!(number(client, "retries"), Some(0));
    }
}

/// librdkafka's own checks of consumers.
#[track_caller]
fn check_consumer(client: &BTreeMap<String, String>) {
    check_ranges(client);
    let largest_message = number(client, "message.max.bytes").unwrap_or(1_000_000);
    assert!(number(client, "fetch.max.bytes").is_none_or(|bytes| bytes >= largest_message));
    assert!(number(client, "max.poll.interval.ms") >= number(client, "session.timeout.ms"));
}

#[test]
fn what_librdkafka_does_not_allow_becomes_the_nearest_with_a_warning() {
    for (key, value, librdkafka, expected, range) in [
        ("batch.size", "0", "batch.size", "1", "1 to 2147483647"),
        ("retry.backoff.ms", "0", "retry.backoff.ms", "1", "1 to 300000"),
        ("max.request.size", "1", "message.max.bytes", "1000", "1000 to 1000000000"),
        ("metadata.max.age.ms", "9223372036854775807", "topic.metadata.refresh.interval.ms", "3600000", "1 to 3600000"),
        ("metadata.max.age.ms", "0", "topic.metadata.refresh.interval.ms", "1", "1 to 3600000"),
        ("socket.connection.setup.timeout.ms", "1", "socket.connection.setup.timeout.ms", "1000", "1000 to 2147483647"),
    ] {
        let settings = producer_of(&[(key, value)]).unwrap();
        assert_eq!(values(&settings.client, &[librdkafka]), [expected], "{key}");
        assert_eq!(texts(&settings.warnings), [format!("{key}: only {range} is possible here, {expected} is used")]);
    }
}

#[test]
fn what_neither_side_allows_and_promises_that_cannot_be_kept_are_errors_with_the_range() {
    for (key, value, range) in [
        ("batch.size", "-1", "0 to 2147483647"),
        ("linger.ms", "900001", "0 to 900000"),
        ("linger.ms", "-1", "0 to 900000"),
        ("linger.ms", "1.5", "0 to 900000"),
        ("linger.ms", "", "0 to 900000"),
        ("max.request.size", "1000000001", "0 to 1000000000"),
        ("max.in.flight.requests.per.connection", "0", "1 to 1000000"),
        ("receive.buffer.bytes", "-2", "-1 to 100000000"),
        ("reconnect.backoff.ms", "3600001", "0 to 3600000"),
        ("retries", "2147483648", "0 to 2147483647"),
        ("metadata.max.age.ms", "-1", "0 to 9223372036854775807"),
    ] {
        let error = producer_of(&[(key, value)]).unwrap_err();
        assert_eq!(error.to_string(), format!("{key}: {value:?} is not a whole number from {range}"));
    }
}

#[test]
fn a_largest_pause_is_never_below_the_first_one() {
    let settings = producer_of(&[("reconnect.backoff.ms", "5000")]).unwrap();
    assert_eq!(values(&settings.client, &["reconnect.backoff.max.ms"]), ["5000"]);
    assert_eq!(settings.warnings, []);
    let settings = producer_of(&[("retry.backoff.ms", "500"), ("retry.backoff.max.ms", "100")]).unwrap();
    assert_eq!(values(&settings.client, &["retry.backoff.max.ms"]), ["500"]);
    assert_eq!(texts(&settings.warnings), ["retry.backoff.max.ms: smaller than retry.backoff.ms, 500 is used"]);
}

const PRODUCER_NUMBERS: &[&str] = &[
    "batch.size",
    "buffer.memory",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.request.size",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "millrace.ingress.queue.max",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.ms",
    "sticky.partitioning.linger.ms",
];

const CONSUMER_NUMBERS: &[&str] = &[
    "auto.commit.interval.ms",
    "connections.max.idle.ms",
    "default.api.timeout.ms",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "heartbeat.interval.ms",
    "max.partition.fetch.bytes",
    "max.poll.records",
    "metadata.max.age.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "send.buffer.bytes",
    "session.timeout.ms",
    "socket.connection.setup.timeout.ms",
];

/// Numbers near the edges of every range, and any others.
fn edge() -> impl Strategy<Value = i64> {
    let edges: Vec<i64> = RANGES.iter().flat_map(|(_, min, max)| [*min, *max]).collect();
    prop_oneof![
        (prop::sample::select(edges), -1_i64..=1).prop_map(|(edge, off)| edge + off),
        -2_i64..2000,
        any::<i64>(),
    ]
}

fn file(keys: &'static [&'static str]) -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let word = prop_oneof![
        Just(("acks", "1")),
        Just(("acks", "all")),
        Just(("enable.idempotence", "true")),
        Just(("enable.idempotence", "false")),
        Just(("compression.type", "zstd")),
    ];
    let entry = (prop::sample::select(keys), edge()).prop_map(|(key, number)| (key, number.to_string()));
    (prop::collection::vec(entry, 0..4), prop::option::of(word)).prop_map(|(mut entries, word)| {
        entries.extend(word.map(|(key, value)| (key, value.to_owned())));
        entries
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn producers_get_only_what_librdkafka_accepts(entries in file(PRODUCER_NUMBERS)) {
        if let Ok(settings) = producer(&entries.into_iter().collect()) {
            check_producer(&settings.client);
            prop_assert!(settings.delivery_timeout > Duration::ZERO);
        }
    }

    #[test]
    fn consumers_get_only_what_librdkafka_accepts(entries in file(CONSUMER_NUMBERS)) {
        if let Ok(settings) = consumer(&entries.into_iter().collect()) {
            check_consumer(&settings.client_for("b", &Credentials::plaintext(), "g", Duration::ZERO));
        }
    }
}
