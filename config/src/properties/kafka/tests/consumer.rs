//! Consumer properties.

use super::super::super::grammar;
use super::*;

#[track_caller]
fn check(entries: &[(&str, &str)], key: &str, expected: &str) -> Vec<String> {
    let settings = consumer_of(entries).unwrap();
    assert_eq!(values(&settings.client, &[key]), [expected], "{entries:?}");
    texts(&settings.warnings)
}

#[track_caller]
fn check_error(entries: &[(&str, &str)], expected: &str) {
    assert_eq!(consumer_of(entries).unwrap_err().to_string(), expected);
}

const STICKY: &str = "partition.assignment.strategy: StickyAssignor is not known to librdkafka: cooperative-sticky is \
                      used, which cannot share a group with members that still use StickyAssignor";

#[test]
fn the_shipped_file_is_translated_and_only_its_assignor_warned_about() {
    let settings = consumer(&grammar::parse(CONSUMER.as_bytes()).unwrap()).unwrap();
    let expected = [
        ("allow.auto.create.topics", "true"),
        ("auto.offset.reset", "latest"),
        ("check.crcs", "true"),
        ("client.dns.lookup", "use_all_dns_ips"),
        ("connections.max.idle.ms", "540000"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.metrics.push", "false"),
        ("fetch.max.bytes", "52428800"),
        ("fetch.min.bytes", "1"),
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.wait.max.ms", "500"),
        ("heartbeat.interval.ms", "3000"),
        ("isolation.level", "read_uncommitted"),
        ("max.partition.fetch.bytes", "65536"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("queued.max.messages.kbytes", "1024"),
        ("queued.min.messages", "1000"),
        ("reconnect.backoff.max.ms", "1000"),
        ("reconnect.backoff.ms", "50"),
        ("retry.backoff.max.ms", "1000"),
        ("retry.backoff.ms", "100"),
        ("session.timeout.ms", "10000"),
        ("socket.connection.setup.timeout.ms", "10000"),
        ("socket.receive.buffer.bytes", "65536"),
        ("socket.send.buffer.bytes", "131072"),
        ("socket.timeout.ms", "2000"),
        ("topic.metadata.refresh.interval.ms", "600000"),
    ];
    let found: Vec<(&str, &str)> = settings.client.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
    assert_eq!(texts(&settings.warnings), [STICKY]);
    assert_eq!(settings.max_poll_records, 50);
    assert_eq!(settings.commit_interval, Duration::from_secs(5));
    assert_eq!(settings.api_timeout, Duration::from_secs(2));
    assert_eq!(settings.session_timeout, Duration::from_secs(10));
    assert!(!settings.transformer_enabled);
    assert_eq!(settings.kind_plural, None);
}

#[test]
fn defaults_are_javas_where_librdkafka_differs_but_for_the_fetch_wait() {
    let settings = consumer(&Properties::new()).unwrap();
    let keys = [
        "isolation.level",
        "check.crcs",
        "allow.auto.create.topics",
        "auto.offset.reset",
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "socket.timeout.ms",
        "fetch.wait.max.ms",
        "partition.assignment.strategy",
        "enable.auto.commit",
        "enable.auto.offset.store",
    ];
    let expected = [
        "read_uncommitted",
        "true",
        "true",
        "latest",
        "45000",
        "3000",
        "30000",
        "2000",
        "cooperative-sticky",
        "false",
        "false",
    ];
    assert_eq!(values(&settings.client, &keys), expected);
    assert_eq!(settings.max_poll_records, 50);
    assert_eq!(settings.api_timeout, Duration::from_secs(60));
    assert_eq!((settings.in_flight_max, settings.in_flight_bytes), (1000, 33_554_432));
    assert_eq!(settings.waiting_bytes, 67_108_864);
    assert!(!settings.ordered_by_key && settings.commit_metadata);
    assert_eq!(settings.undelivered, Undelivered::Park);
    assert_eq!(settings.retry, RetryLimits::default());
    assert_eq!(settings.warnings, []);
}

#[test]
fn our_own_settings_are_read() {
    let settings = consumer_of(&[
        ("cloudevent.invalid.transformer.enabled", "True"),
        ("cloudevent.invalid.kind.plural", "kafkasources "),
        ("millrace.in.flight.max", "7"),
        ("millrace.in.flight.bytes", "8"),
        ("millrace.waiting.bytes", "9"),
        ("max.poll.records", "10"),
        ("millrace.ordered.by", "key"),
        ("millrace.undelivered", "Block"),
        ("millrace.retry.delay.max.ms", "1000"),
        ("millrace.retry.jitter", "0.5"),
        ("millrace.retry.after.max.ms", "0"),
        ("millrace.concurrency.adaptive", "false"),
        ("millrace.rate.max", "11"),
        ("millrace.breaker.wait.max.ms", "0"),
        ("millrace.commit.metadata", "false"),
        ("auto.commit.interval.ms", "250"),
    ])
    .unwrap();
    assert!(settings.transformer_enabled && settings.ordered_by_key && !settings.commit_metadata);
    assert_eq!(settings.kind_plural.as_deref(), Some("kafkasources"));
    assert_eq!((settings.in_flight_max, settings.in_flight_bytes, settings.waiting_bytes), (7, 8, 9));
    assert_eq!(settings.max_poll_records, 10);
    assert_eq!(settings.undelivered, Undelivered::Block);
    let retry = RetryLimits { max_delay: Duration::from_secs(1), jitter: 0.5, retry_after_max: Duration::ZERO };
    assert_eq!(settings.retry, retry);
    let pressure = PressureLimits { adaptive: false, rate_max: Some(11), breaker_wait_max: Duration::ZERO };
    assert_eq!(settings.pressure, pressure);
    assert_eq!(settings.commit_interval, Duration::from_millis(250));
    assert_eq!(settings.warnings, []);
    check_error(&[("millrace.undelivered", "keep")], "millrace.undelivered: \"keep\" is not one of park, block, drop");
    check_error(&[("millrace.rate.max", "0")], "millrace.rate.max: \"0\" is not a whole number from 1 to 10000000");
    check_error(&[("millrace.retry.jitter", "1.5")], "millrace.retry.jitter: not a number from 0 to 1");
    check_error(&[("millrace.retry.jitter", "NaN")], "millrace.retry.jitter: not a number from 0 to 1");
    check_error(
        &[("millrace.in.flight.max", "0")],
        "millrace.in.flight.max: \"0\" is not a whole number from 1 to 1000000",
    );
}

#[test]
fn assignors_are_mapped_by_their_class_names() {
    const KEY: &str = "partition.assignment.strategy";
    let prefix = "org.apache.kafka.clients.consumer.";
    for (class, expected) in [
        ("RangeAssignor", "range"),
        ("RoundRobinAssignor", "roundrobin"),
        ("CooperativeStickyAssignor", "cooperative-sticky"),
    ] {
        assert!(check(&[(KEY, &format!("{prefix}{class}"))], KEY, expected).is_empty(), "{class}");
    }
    assert_eq!(check(&[(KEY, "StickyAssignor")], KEY, "cooperative-sticky"), [STICKY]);
    let two = format!("{prefix}RangeAssignor , {prefix}RoundRobinAssignor,");
    assert!(check(&[(KEY, &two)], KEY, "range,roundrobin").is_empty());
    assert!(check(&[(KEY, "range,range")], KEY, "range").is_empty());
}

#[test]
fn assignors_of_both_kinds_are_not_offered_together() {
    const KEY: &str = "partition.assignment.strategy";
    assert_eq!(
        check(&[(KEY, "RangeAssignor,CooperativeStickyAssignor")], KEY, "range"),
        [format!("{KEY}: cooperative-sticky cannot be offered together with range, ignored")]
    );
    assert_eq!(
        check(&[(KEY, "CooperativeStickyAssignor,RangeAssignor")], KEY, "cooperative-sticky"),
        [format!("{KEY}: range cannot be offered together with cooperative-sticky, ignored")]
    );
    assert_eq!(
        check(&[(KEY, "com.example.MyAssignor")], KEY, "cooperative-sticky"),
        [format!("{KEY}: com.example.MyAssignor is not known to librdkafka, ignored")]
    );
}

#[test]
fn words_are_translated() {
    assert!(check(&[("auto.offset.reset", "none")], "auto.offset.reset", "error").is_empty());
    assert!(check(&[("auto.offset.reset", "earliest ")], "auto.offset.reset", "earliest").is_empty());
    assert!(check(&[("isolation.level", "READ_COMMITTED")], "isolation.level", "read_committed").is_empty());
    assert!(check(&[("client.rack", "zone-a")], "client.rack", "zone-a").is_empty());
    assert!(check(&[("allow.auto.create.topics", "FALSE ")], "allow.auto.create.topics", "false").is_empty());
    check_error(
        &[("auto.offset.reset", "smallest")],
        "auto.offset.reset: \"smallest\" is not one of latest, earliest, none",
    );
    check_error(&[("check.crcs", "1")], "check.crcs: \"1\" is neither true nor false");
}

#[test]
fn committing_by_itself_cannot_be_switched_on() {
    assert_eq!(
        check(&[("enable.auto.commit", "true")], "enable.auto.commit", "false"),
        ["enable.auto.commit: ignored: only finished records are committed"]
    );
    assert_eq!(
        check(&[("enable.auto.offset.store", "true")], "enable.auto.offset.store", "false"),
        ["enable.auto.offset.store: ignored: only finished records are committed"]
    );
}

#[test]
fn prefetching_stays_within_its_bounds() {
    assert!(check(&[("queued.max.messages.kbytes", "4096")], "queued.max.messages.kbytes", "4096").is_empty());
    assert_eq!(check(&[("queued.max.messages.kbytes", "65536")], "queued.max.messages.kbytes", "4096").len(), 1);
    assert_eq!(check(&[("queued.max.messages.kbytes", "1")], "queued.max.messages.kbytes", "1024").len(), 1);
    assert_eq!(check(&[("fetch.queue.backoff.ms", "1000")], "fetch.queue.backoff.ms", "50").len(), 1);
    assert_eq!(check(&[("fetch.queue.backoff.ms", "0")], "fetch.queue.backoff.ms", "10").len(), 1);
    assert!(check(&[("fetch.max.wait.ms", "5000")], "fetch.wait.max.ms", "5000").is_empty());
}

#[test]
fn small_fetches_make_messages_small_for_librdkafka() {
    let settings = consumer_of(&[("fetch.max.bytes", "65536")]).unwrap();
    assert_eq!(values(&settings.client, &["fetch.max.bytes", "message.max.bytes"]), ["65536", "65536"]);
    let settings = consumer_of(&[("fetch.max.bytes", "0")]).unwrap();
    assert_eq!(values(&settings.client, &["fetch.max.bytes", "message.max.bytes"]), ["1000", "1000"]);
    let settings = consumer_of(&[("fetch.max.bytes", "1000000")]).unwrap();
    assert_eq!(values(&settings.client, &["message.max.bytes"]), ["-"]);
}

#[test]
fn heartbeats_must_fit_into_a_session() {
    check_error(
        &[("heartbeat.interval.ms", "10000"), ("session.timeout.ms", "10000")],
        "heartbeat.interval.ms: must be less than session.timeout.ms, which is 10000",
    );
    assert!(check(&[("session.timeout.ms", "3001")], "session.timeout.ms", "3001").is_empty());
}

#[test]
fn keys_without_effect_have_one_warning_each() {
    for key in [
        "key.deserializer",
        "value.deserializer",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.remote.assignor",
        "bootstrap.servers",
        "interceptor.classes",
        "max.poll.interval.ms",
        "exclude.internal.topics",
        "cloudevent.key.deserializer.type",
        "cloudevent.invalid.source.name",
        "cloudevent.invalid.source.namespace",
        "cloudevent.invalid.transformer.enabled",
        "metrics.reporters",
        "linger.ms",
        "no.such.key",
    ] {
        let settings = consumer_of(&[(key, "something")]).unwrap();
        let keys: Vec<&str> = settings.warnings.iter().map(|warning| warning.key.as_str()).collect();
        assert_eq!(keys, [key]);
        assert_eq!(settings.client, consumer(&Properties::new()).unwrap().client, "{key}");
    }
}

#[test]
fn a_consumer_gets_its_group_and_a_possible_poll_interval() {
    let settings = consumer_of(&[("session.timeout.ms", "60000")]).unwrap();
    let interval = |asked: u64| {
        let asked = Duration::from_millis(asked);
        let client = settings.client_for("b:9092", &Credentials::plaintext(), "g", asked);
        values(&client, &["bootstrap.servers", "group.id", "security.protocol", "max.poll.interval.ms"]).join(" ")
    };
    assert_eq!(interval(300_000), "b:9092 g plaintext 300000");
    assert_eq!(interval(1), "b:9092 g plaintext 60000");
    assert_eq!(interval(u64::MAX), "b:9092 g plaintext 86400000");
}
