//! Producer properties.

use super::super::super::grammar;
use super::*;

#[track_caller]
fn check(entries: &[(&str, &str)], key: &str, expected: &str) -> Vec<String> {
    let settings = producer_of(entries).unwrap();
    assert_eq!(values(&settings.client, &[key]), [expected], "{entries:?}");
    texts(&settings.warnings)
}

#[track_caller]
fn check_error(entries: &[(&str, &str)], expected: &str) {
    assert_eq!(producer_of(entries).unwrap_err().to_string(), expected);
}

#[test]
fn the_shipped_file_is_translated_without_a_warning() {
    let settings = producer(&grammar::parse(PRODUCER.as_bytes()).unwrap()).unwrap();
    let expected = [
        ("acks", "all"),
        ("batch.size", "16384"),
        ("client.dns.lookup", "use_all_dns_ips"),
        ("connections.max.idle.ms", "600000"),
        ("delivery.timeout.ms", "120000"),
        ("enable.idempotence", "false"),
        ("enable.metrics.push", "false"),
        ("linger.ms", "0"),
        ("max.in.flight.requests.per.connection", "5"),
        ("message.max.bytes", "1048576"),
        ("partitioner", "murmur2_random"),
        ("queue.buffering.max.kbytes", "32768"),
        ("queue.buffering.max.messages", "100000"),
        ("reconnect.backoff.max.ms", "1000"),
        ("reconnect.backoff.ms", "50"),
        ("request.timeout.ms", "2000"),
        ("retries", "2147483647"),
        ("retry.backoff.max.ms", "1000"),
        ("retry.backoff.ms", "100"),
        ("socket.connection.setup.timeout.ms", "10000"),
        ("socket.receive.buffer.bytes", "0"),
        ("socket.timeout.ms", "2000"),
        ("sticky.partitioning.linger.ms", "50"),
        ("topic.metadata.propagation.max.ms", "60000"),
        ("topic.metadata.refresh.interval.ms", "300000"),
    ];
    let found: Vec<(&str, &str)> = settings.client.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
    assert_eq!(texts(&settings.warnings), Vec::<String>::new());
    assert_eq!(settings.max_block, Duration::from_secs(60));
    assert_eq!(settings.max_request_size, 1_048_576);
    assert_eq!(settings.delivery_timeout, Duration::from_secs(120));
    assert_eq!((settings.deadline, settings.queue_max), (None, 100_000));
    assert!(settings.security.is_empty());
}

#[test]
fn defaults_are_javas_but_for_what_makes_batches() {
    let settings = producer(&Properties::new()).unwrap();
    let keys = [
        "acks",
        "enable.idempotence",
        "linger.ms",
        "max.in.flight.requests.per.connection",
        "message.max.bytes",
        "queue.buffering.max.kbytes",
        "request.timeout.ms",
        "socket.timeout.ms",
        "delivery.timeout.ms",
        "partitioner",
        "sticky.partitioning.linger.ms",
        "reconnect.backoff.ms",
        "reconnect.backoff.max.ms",
        "batch.size",
        "retries",
        "connections.max.idle.ms",
    ];
    let expected = [
        "all",
        "true",
        "0",
        "5",
        "1048576",
        "32768",
        "30000",
        "30000",
        "120000",
        "murmur2_random",
        "50",
        "50",
        "1000",
        "-",
        "-",
        "-",
    ];
    assert_eq!(values(&settings.client, &keys), expected);
    assert_eq!(settings.retry_after, Duration::from_secs(1));
    assert_eq!(settings.content_mode, None);
}

#[test]
fn what_users_add_is_passed_on() {
    for (java, value, librdkafka, expected) in [
        ("client.id", "me", "client.id", "me"),
        ("send.buffer.bytes", "1000", "socket.send.buffer.bytes", "1000"),
        ("send.buffer.bytes", "-1", "socket.send.buffer.bytes", "0"),
        ("linger.ms", " 5 ", "linger.ms", "5"),
        ("acks", "-1", "acks", "all"),
        ("compression.type", "zstd", "compression.type", "zstd"),
        ("enable.metrics.push", "true", "enable.metrics.push", "true"),
        ("metadata.recovery.strategy", "REBOOTSTRAP", "metadata.recovery.strategy", "rebootstrap"),
        ("sticky.partitioning.linger.ms", "0", "sticky.partitioning.linger.ms", "0"),
        ("retry.backoff.max.ms", "2000", "retry.backoff.max.ms", "2000"),
        ("socket.connection.setup.timeout.ms", "20000", "socket.connection.setup.timeout.ms", "20000"),
        ("connections.max.idle.ms", "-1", "connections.max.idle.ms", "0"),
        ("max.block.ms", "1000", "topic.metadata.propagation.max.ms", "1000"),
        ("millrace.ingress.queue.max", "7", "queue.buffering.max.messages", "7"),
    ] {
        assert_eq!(check(&[(java, value)], librdkafka, expected), Vec::<String>::new(), "{java}");
    }
}

#[test]
fn our_own_settings_are_read() {
    let settings = producer_of(&[
        ("millrace.ingress.queue.max", "7"),
        ("millrace.ingress.deadline.ms", "1500"),
        ("millrace.ingress.retry.after.ms", "3000"),
        ("cloudevents.serializer.encoding", "STRUCTURED"),
        ("cloudevents.serializer.event_format", "application/cloudevents+json"),
    ])
    .unwrap();
    assert_eq!((settings.queue_max, settings.deadline), (7, Some(Duration::from_millis(1500))));
    assert_eq!(settings.retry_after, Duration::from_secs(3));
    assert_eq!(settings.content_mode, Some(ContentMode::Structured));
    assert_eq!(settings.warnings, []);
}

#[test]
fn compression_levels_count_for_the_chosen_type_only() {
    let level = "compression.level";
    assert!(check(&[("compression.type", "gzip"), ("compression.gzip.level", "9")], level, "9").is_empty());
    assert!(check(&[("compression.type", "gzip"), ("compression.zstd.level", "9")], level, "-").is_empty());
    assert!(check(&[("compression.zstd.level", "9")], level, "-").is_empty());
    let warnings = check(&[("compression.type", "zstd"), ("compression.zstd.level", "22")], level, "12");
    assert_eq!(warnings, ["compression.zstd.level: only -1 to 12 is possible here, 12 is used"]);
    check_error(
        &[("compression.type", "brotli")],
        "compression.type: \"brotli\" is not one of none, gzip, snappy, lz4, zstd",
    );
}

#[test]
fn idempotence_that_was_asked_for_wins_over_what_contradicts_it() {
    let on = ("enable.idempotence", "true");
    assert_eq!(check(&[on, ("acks", "1")], "acks", "all"), ["acks: enable.idempotence=true needs all, which is used"]);
    assert_eq!(
        check(&[on, ("retries", "0")], "retries", "2147483647"),
        ["retries: enable.idempotence=true needs retries, which are unlimited therefore"]
    );
    assert_eq!(
        check(&[on, ("max.in.flight.requests.per.connection", "6")], "max.in.flight.requests.per.connection", "5"),
        ["max.in.flight.requests.per.connection: idempotence allows at most 5, which is used"]
    );
}

#[test]
fn idempotence_that_was_not_asked_for_gives_way_as_in_java() {
    let warning = "acks: not possible with idempotence, which is off therefore";
    assert_eq!(check(&[("acks", "1")], "enable.idempotence", "false"), [warning]);
    assert_eq!(check(&[("acks", "1")], "acks", "1"), [warning]);
    assert_eq!(
        check(&[("retries", "0")], "enable.idempotence", "false"),
        ["retries: not possible with idempotence, which is off therefore"]
    );
    assert!(check(&[("enable.idempotence", "false"), ("acks", "0")], "acks", "0").is_empty());
    let many = [("enable.idempotence", "false"), ("max.in.flight.requests.per.connection", "50")];
    assert!(check(&many, "max.in.flight.requests.per.connection", "50").is_empty());
}

#[test]
fn delivery_must_have_time_for_lingering_and_one_request() {
    check_error(
        &[("delivery.timeout.ms", "2999"), ("linger.ms", "1000"), ("request.timeout.ms", "2000")],
        "delivery.timeout.ms: must be at least linger.ms + request.timeout.ms, which is 3000",
    );
    let enough = [("delivery.timeout.ms", "3000"), ("linger.ms", "1000"), ("request.timeout.ms", "2000")];
    assert!(check(&enough, "delivery.timeout.ms", "3000").is_empty());
    // Not configured, it grows with the others, as in Java.
    assert!(check(&[("linger.ms", "200000")], "delivery.timeout.ms", "230000").is_empty());
}

#[test]
fn the_network_time_limit_follows_the_request_time_limit() {
    let both = |value: &str| {
        let settings = producer_of(&[("request.timeout.ms", value), ("delivery.timeout.ms", "2000000000")]).unwrap();
        values(&settings.client, &["request.timeout.ms", "socket.timeout.ms"]).join(" ")
    };
    assert_eq!(both("2000"), "2000 2000");
    assert_eq!(both("5"), "5 10");
    assert_eq!(both("600000"), "600000 300000");
    assert_eq!(both("0"), "1 10");
    assert_eq!(both("1000000"), "900000 300000");
}

#[test]
fn a_record_must_fit_into_the_memory() {
    let settings = producer_of(&[("buffer.memory", "500000")]).unwrap();
    assert_eq!(values(&settings.client, &["queue.buffering.max.kbytes"]), ["488"]);
    assert_eq!(settings.max_request_size, 499_712);
    assert_eq!(
        texts(&settings.warnings),
        ["max.request.size: larger than buffer.memory, so records have at most 499712 bytes"]
    );
}

#[test]
fn transactions_are_dropped() {
    let settings = producer_of(&[("transactional.id", "x"), ("transaction.timeout.ms", "1000")]).unwrap();
    assert_eq!(values(&settings.client, &["transactional.id", "transaction.timeout.ms"]), ["-", "-"]);
    let keys: Vec<&str> = settings.warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(keys, ["transaction.timeout.ms", "transactional.id"]);
}

#[test]
fn keys_without_effect_have_one_warning_each() {
    for key in [
        "bootstrap.servers",
        "interceptor.classes",
        "security.providers",
        "metric.reporters",
        "auto.include.jmx.reporter",
        "metrics.num.samples",
        "metrics.recording.level",
        "metrics.sample.window.ms",
        "metadata.max.idle.ms",
        "socket.connection.setup.timeout.max.ms",
        "key.serializer",
        "value.serializer",
        "cloudevents.serializer.event_format",
        "partitioner.class",
        "partitioner.ignore.keys",
        "partitioner.adaptive.partitioning.enable",
        "partitioner.availability.timeout.ms",
        "no.such.key",
        "fetch.min.bytes",
        "millrace.undelivered",
    ] {
        let settings = producer_of(&[(key, "something")]).unwrap();
        let keys: Vec<&str> = settings.warnings.iter().map(|warning| warning.key.as_str()).collect();
        assert_eq!(keys, [key]);
        assert_eq!(settings.client, producer(&Properties::new()).unwrap().client, "{key}");
    }
}

#[test]
fn all_errors_are_reported_together() {
    let errors = producer_of(&[("acks", "2"), ("linger.ms", "x"), ("enable.idempotence", "maybe")]).unwrap_err();
    let mut keys: Vec<&str> = errors.0.iter().map(|error| error.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["acks", "enable.idempotence", "linger.ms"]);
}

#[test]
fn servers_and_credentials_come_on_top() {
    let settings = producer_of(&[("ssl.truststore.location", "/ca.pem")]).unwrap();
    let client = settings.client_for("a:1,b:2", &Credentials::plaintext());
    let keys = ["bootstrap.servers", "security.protocol", "ssl.ca.location", "acks"];
    assert_eq!(values(&client, &keys), ["a:1,b:2", "plaintext", "-", "all"]);
}
