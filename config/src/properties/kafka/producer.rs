//! Producer properties.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::draft::Draft;
use super::super::{Properties, PropertyErrors};
use super::numbers::{INT, LONG, Number, pass_on};
use super::{ProducerSettings, common, ignored, tokens};
use crate::contract::ContentMode;

const NUMBERS: &[Number] = &[
    Number::same("batch.size", 0..=INT, 1..=INT),
    Number::same("retries", 0..=INT, 0..=INT),
    Number::same("max.in.flight.requests.per.connection", 1..=INT, 1..=1_000_000).or(5),
    // Not Java's: how long records without a key stay with one partition. Batches come from it without waiting.
    Number::same("sticky.partitioning.linger.ms", 0..=900_000, 0..=900_000).or(50),
];

/// The most requests on their way at once that an idempotent producer may have.
const IDEMPOTENT_IN_FLIGHT: i64 = 5;

pub(super) fn read(properties: &Properties) -> Result<ProducerSettings, PropertyErrors> {
    let mut draft = Draft::new(properties);
    let (mut client, security) = common::read(&mut draft);
    let tokens = tokens::read(&mut draft);
    pass_on(NUMBERS, &mut draft, &mut client);
    client.insert("partitioner".to_owned(), "murmur2_random".to_owned());
    acknowledgements(&mut draft, &mut client);
    compression(&mut draft, &mut client);
    let max_block = millis(Number::same("max.block.ms", 0..=LONG, 0..=LONG).or(60_000).read(&mut draft));
    // Records for a topic that is not known wait just as long.
    let propagation = max_block.as_millis().min(3_600_000);
    client.insert("topic.metadata.propagation.max.ms".to_owned(), propagation.to_string());
    let max_request_size = memory(&mut draft, &mut client);
    let delivery_timeout = time_limits(&mut draft, &mut client);
    let queue_max = draft.size("millrace.ingress.queue.max", 1..=10_000_000).unwrap_or(100_000);
    client.insert("queue.buffering.max.messages".to_owned(), queue_max.to_string());
    let deadline = draft.millis("millrace.ingress.deadline.ms", 0..=86_400_000).filter(|it| !it.is_zero());
    let retry_after = draft.millis("millrace.ingress.retry.after.ms", 0..=86_400_000);
    let content_mode = draft.choice(
        "cloudevents.serializer.encoding",
        &[("BINARY", ContentMode::Binary), ("STRUCTURED", ContentMode::Structured)],
    );
    ignored::take(ignored::PRODUCER, &mut draft);
    Ok(ProducerSettings {
        client,
        security,
        tokens,
        max_block,
        max_request_size,
        delivery_timeout,
        queue_max,
        deadline,
        retry_after: retry_after.unwrap_or(Duration::from_secs(1)),
        content_mode,
        warnings: draft.finish()?,
    })
}

fn millis(number: Option<i64>) -> Duration {
    Duration::from_millis(number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
}

/// `acks`, `enable.idempotence` and what must fit together for it, as Java resolves it where the user did not ask for
/// idempotence. Where Java would refuse to start, the safer setting wins, with a warning.
fn acknowledgements(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) {
    let acks = draft.choice("acks", &[("all", "all"), ("-1", "all"), ("0", "0"), ("1", "1")]).unwrap_or("all");
    let asked_for = draft.boolean("enable.idempotence");
    let no_retries = client.get("retries").is_some_and(|retries| retries == "0");
    let contradicting = [("acks", acks != "all"), ("retries", no_retries)];
    let contradicts = contradicting.iter().any(|(_, contradicts)| *contradicts);
    let idempotent = asked_for.unwrap_or(!contradicts);
    client.insert("acks".to_owned(), acks.to_owned());
    client.insert("enable.idempotence".to_owned(), idempotent.to_string());
    for (key, _) in contradicting.iter().filter(|(_, contradicts)| *contradicts) {
        let reason = match (asked_for, *key) {
            (Some(true), "acks") => "enable.idempotence=true needs all, which is used",
            (Some(true), _) => "enable.idempotence=true needs retries, which are unlimited therefore",
            (None, _) => "not possible with idempotence, which is off therefore",
            (Some(false), _) => continue,
        };
        draft.warn(key, reason);
    }
    if !idempotent {
        return;
    }
    client.insert("acks".to_owned(), "all".to_owned());
    if no_retries {
        client.insert("retries".to_owned(), INT.to_string());
    }
    const IN_FLIGHT: &str = "max.in.flight.requests.per.connection";
    let in_flight = client.get(IN_FLIGHT).and_then(|number| number.parse::<i64>().ok());
    if in_flight.is_some_and(|number| number > IDEMPOTENT_IN_FLIGHT) {
        draft.warn(IN_FLIGHT, format!("idempotence allows at most {IDEMPOTENT_IN_FLIGHT}, which is used"));
        client.insert(IN_FLIGHT.to_owned(), IDEMPOTENT_IN_FLIGHT.to_string());
    }
}

fn compression(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) {
    let types = ["none", "gzip", "snappy", "lz4", "zstd"].map(|name| (name, name));
    let chosen = draft.choice("compression.type", &types);
    if let Some(name) = chosen {
        client.insert("compression.type".to_owned(), name.to_owned());
    }
    // librdkafka has one level for whichever type is chosen.
    for (name, level) in [
        ("gzip", Number::same("compression.gzip.level", -1..=9, -1..=12)),
        ("lz4", Number::same("compression.lz4.level", 1..=17, -1..=12).cut()),
        ("zstd", Number::same("compression.zstd.level", -131_072..=22, -1..=12).cut()),
    ] {
        let level = level.named("compression.level");
        if let (true, Some(number)) = (chosen == Some(name), level.read(draft)) {
            client.insert(level.librdkafka.to_owned(), number.to_string());
        } else {
            // Levels of types that are not chosen have no effect in Java either.
            draft.text(level.key);
        }
    }
}

/// Memory for records that wait, and the largest record.
fn memory(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) -> usize {
    const LARGEST: Number = Number::same("max.request.size", 0..=INT, 1000..=1_000_000_000).or(1_048_576);
    let memory = Number::same("buffer.memory", 0..=LONG, 1024..=INT * 1024).cut().or(33_554_432).read(draft);
    let kbytes = memory.unwrap_or_default() / 1024;
    client.insert("queue.buffering.max.kbytes".to_owned(), kbytes.to_string());
    let largest = LARGEST.read(draft).unwrap_or_default();
    client.insert("message.max.bytes".to_owned(), largest.to_string());
    if largest > kbytes * 1024 {
        draft.warn(LARGEST.key, format!("larger than buffer.memory, so records have at most {} bytes", kbytes * 1024));
    }
    usize::try_from(largest.min(kbytes * 1024)).unwrap_or(usize::MAX)
}

/// `linger.ms`, `request.timeout.ms` and `delivery.timeout.ms`, which must be at least as long as the other two
/// together.
fn time_limits(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) -> Duration {
    const DELIVERY: &str = "delivery.timeout.ms";
    let linger = Number::same("linger.ms", 0..=LONG, 0..=900_000).read(draft).unwrap_or(0);
    let request = Number::same("request.timeout.ms", 0..=INT, 1..=900_000).cut().or(30_000);
    let request = request.read(draft).unwrap_or_default();
    // Java uses one number for the broker's time limit and for the network's; librdkafka has two. Warned about once.
    let socket = request.clamp(10, 300_000);
    let configured = draft.text(DELIVERY).is_some();
    let delivery = Number::same(DELIVERY, 0..=INT, 1..=INT).or(120_000).read(draft).unwrap_or_default();
    let least = linger + request;
    let delivery = if delivery >= least {
        delivery
    } else if configured {
        draft.error(DELIVERY, format!("must be at least linger.ms + request.timeout.ms, which is {least}"));
        delivery
    } else {
        least
    };
    for (key, value) in
        [("linger.ms", linger), ("request.timeout.ms", request), ("socket.timeout.ms", socket), (DELIVERY, delivery)]
    {
        client.insert(key.to_owned(), value.to_string());
    }
    millis(Some(delivery))
}
