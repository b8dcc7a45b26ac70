//! Consumer properties.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::draft::Draft;
use super::super::{Properties, PropertyErrors};
use super::numbers::{INT, Number, pass_on};
use super::{ConsumerSettings, PressureLimits, RetryLimits, Undelivered, common, ignored, tokens};

const NUMBERS: &[Number] = &[
    Number::same("fetch.min.bytes", 0..=INT, 1..=100_000_000),
    // Java's default is 500. A broker answers as soon as it has records, so waiting longer delays none; it makes an idle
    // consumer cheaper. Not longer still, because a partition that is assigned later waits for this answer first.
    Number::same("fetch.max.wait.ms", 0..=INT, 0..=300_000).named("fetch.wait.max.ms").or(2000),
    Number::same("max.partition.fetch.bytes", 0..=INT, 1..=1_000_000_000),
    common::SOCKET_TIMEOUT,
    // The following three are librdkafka's, not Java's. They bound what waits in memory for a slow subscriber (per
    // partition, so a little must do) and how long fetching stops when it is full: by default a whole second.
    Number::same("queued.max.messages.kbytes", 1..=INT, 1024..=4096).cut().or(1024),
    Number::same("queued.min.messages", 1..=10_000_000, 1..=10_000_000).or(1000),
    Number::same("fetch.queue.backoff.ms", 0..=INT, 10..=50).cut().or(10),
];

/// librdkafka's default of `message.max.bytes`, below which `fetch.max.bytes` must not be.
const MESSAGE_MAX_BYTES: i64 = 1_000_000;

pub(super) fn read(properties: &Properties) -> Result<ConsumerSettings, PropertyErrors> {
    let mut draft = Draft::new(properties);
    let (mut client, security) = common::read(&mut draft);
    let tokens = tokens::read(&mut draft);
    pass_on(NUMBERS, &mut draft, &mut client);
    // With either of them on, records that nobody processed are committed when a consumer closes.
    for key in ["enable.auto.commit", "enable.auto.offset.store"] {
        client.insert(key.to_owned(), "false".to_owned());
    }
    fetch_size(&mut draft, &mut client);
    words(&mut draft, &mut client);
    assignment(&mut draft, &mut client);
    let session_timeout = membership(&mut draft, &mut client);
    let max_poll_records = Number::same("max.poll.records", 1..=INT, 1..=INT).or(50).read(&mut draft);
    let commit_interval = Number::same("auto.commit.interval.ms", 0..=INT, 1..=INT).or(5000).read(&mut draft);
    let api_timeout = Number::same("default.api.timeout.ms", 0..=INT, 1..=INT).or(60_000).read(&mut draft);
    let transformer_enabled = transformer(&mut draft);
    let kind_plural = draft.trimmed("cloudevent.invalid.kind.plural").filter(|kind| !kind.is_empty());
    let ordered_by_key = draft.choice("millrace.ordered.by", &[("partition", false), ("key", true)]);
    let undelivered = draft.choice(
        "millrace.undelivered",
        &[("park", Undelivered::Park), ("block", Undelivered::Block), ("drop", Undelivered::Drop)],
    );
    ignored::take(ignored::CONSUMER, &mut draft);
    Ok(ConsumerSettings {
        client,
        security,
        tokens,
        max_poll_records: max_poll_records.and_then(|records| usize::try_from(records).ok()).unwrap_or(50),
        session_timeout,
        commit_interval: millis(commit_interval),
        api_timeout: millis(api_timeout),
        transformer_enabled,
        kind_plural: kind_plural.map(str::to_owned),
        in_flight_max: draft.size("millrace.in.flight.max", 1..=1_000_000).unwrap_or(1000),
        in_flight_bytes: draft.size("millrace.in.flight.bytes", 1..=u32::MAX).unwrap_or(32 * 1024 * 1024),
        waiting_bytes: draft.size("millrace.waiting.bytes", 1..=u32::MAX).unwrap_or(64 * 1024 * 1024),
        ordered_by_key: ordered_by_key.unwrap_or(false),
        undelivered: undelivered.unwrap_or_default(),
        retry: retry(&mut draft),
        pressure: pressure(&mut draft),
        commit_metadata: draft.boolean("millrace.commit.metadata").unwrap_or(true),
        warnings: draft.finish()?,
    })
}

fn millis(number: Option<i64>) -> Duration {
    Duration::from_millis(number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
}

/// librdkafka wants `fetch.max.bytes` to hold a largest message; so where less is asked for, messages are said to be
/// smaller. A record larger than that is still delivered, as brokers always send at least one.
fn fetch_size(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) {
    const KEY: &str = "fetch.max.bytes";
    let Some(bytes) = Number::same(KEY, 0..=INT, 1000..=2_147_483_135).cut().read(draft) else { return };
    client.insert(KEY.to_owned(), bytes.to_string());
    if bytes < MESSAGE_MAX_BYTES {
        client.insert("message.max.bytes".to_owned(), bytes.to_string());
    }
}

/// Settings with a few possible values. Defaults are Java's: librdkafka's differ in all of them.
fn words(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) {
    let reset = [("latest", "latest"), ("earliest", "earliest"), ("none", "error")];
    let reset = draft.choice("auto.offset.reset", &reset).unwrap_or("latest");
    let isolation = [("read_uncommitted", "read_uncommitted"), ("read_committed", "read_committed")];
    let isolation = draft.choice("isolation.level", &isolation).unwrap_or("read_uncommitted");
    let check_crcs = draft.boolean("check.crcs").unwrap_or(true);
    let create_topics = draft.boolean("allow.auto.create.topics").unwrap_or(true);
    client.insert("auto.offset.reset".to_owned(), reset.to_owned());
    client.insert("isolation.level".to_owned(), isolation.to_owned());
    client.insert("check.crcs".to_owned(), check_crcs.to_string());
    client.insert("allow.auto.create.topics".to_owned(), create_topics.to_string());
    if let Some(rack) = draft.trimmed("client.rack").filter(|rack| !rack.is_empty()) {
        client.insert("client.rack".to_owned(), rack.to_owned());
    }
}

/// An assignor of librdkafka, and whether it moves partitions one by one. The two kinds do not mix in one client.
type Assignor = (&'static str, bool);

const COOPERATIVE: Assignor = ("cooperative-sticky", true);

fn assignment(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) {
    const KEY: &str = "partition.assignment.strategy";
    let mut chosen: Vec<Assignor> = Vec::new();
    for class in draft.text(KEY).unwrap_or_default().split(',').map(str::trim).filter(|class| !class.is_empty()) {
        let assignor = match class.rsplit_once('.').map_or(class, |(_, name)| name) {
            "RangeAssignor" | "range" => ("range", false),
            "RoundRobinAssignor" | "roundrobin" => ("roundrobin", false),
            "CooperativeStickyAssignor" | "cooperative-sticky" => COOPERATIVE,
            "StickyAssignor" | "sticky" => {
                draft.warn(
                    KEY,
                    "StickyAssignor is not known to librdkafka: cooperative-sticky is used, which cannot share a \
                     group with members that still use StickyAssignor",
                );
                COOPERATIVE
            }
            _ => {
                draft.warn(KEY, format!("{class} is not known to librdkafka, ignored"));
                continue;
            }
        };
        match chosen.first() {
            Some((first, cooperative)) if *cooperative != assignor.1 => {
                draft.warn(KEY, format!("{} cannot be offered together with {first}, ignored", assignor.0));
            }
            Some(_) | None if chosen.contains(&assignor) => {}
            Some(_) | None => chosen.push(assignor),
        }
    }
    if chosen.is_empty() {
        chosen.push(COOPERATIVE);
    }
    let names: Vec<&str> = chosen.iter().map(|(name, _)| *name).collect();
    client.insert(KEY.to_owned(), names.join(","));
}

/// Heartbeats and sessions: a member that sends heartbeats too rarely would be thrown out again and again.
fn membership(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) -> Duration {
    const HEARTBEAT: &str = "heartbeat.interval.ms";
    let heartbeat = Number::same(HEARTBEAT, 0..=INT, 1..=3_600_000).or(3000).read(draft).unwrap_or_default();
    let session = Number::same("session.timeout.ms", 0..=INT, 1..=3_600_000).or(45_000).read(draft);
    let session = session.unwrap_or_default();
    if heartbeat >= session {
        draft.error(HEARTBEAT, format!("must be less than session.timeout.ms, which is {session}"));
    }
    client.insert(HEARTBEAT.to_owned(), heartbeat.to_string());
    client.insert("session.timeout.ms".to_owned(), session.to_string());
    millis(Some(session))
}

/// As for the peer: anything but `true` is false.
fn transformer(draft: &mut Draft<'_>) -> bool {
    const KEY: &str = "cloudevent.invalid.transformer.enabled";
    let Some(text) = draft.trimmed(KEY) else { return false };
    if !text.eq_ignore_ascii_case("true") && !text.eq_ignore_ascii_case("false") {
        draft.warn(KEY, format!("{text:?} is neither true nor false, false is used"));
    }
    text.eq_ignore_ascii_case("true")
}

fn pressure(draft: &mut Draft<'_>) -> PressureLimits {
    let default = PressureLimits::default();
    let wait = draft.millis("millrace.breaker.wait.max.ms", 0..=86_400_000);
    PressureLimits {
        adaptive: draft.boolean("millrace.concurrency.adaptive").unwrap_or(default.adaptive),
        rate_max: draft.size("millrace.rate.max", 1..=10_000_000).and_then(|rate| u32::try_from(rate).ok()),
        breaker_wait_max: wait.unwrap_or(default.breaker_wait_max),
    }
}

fn retry(draft: &mut Draft<'_>) -> RetryLimits {
    const JITTER: &str = "millrace.retry.jitter";
    let default = RetryLimits::default();
    let jitter = draft.trimmed(JITTER).map(|text| text.parse::<f64>().ok().filter(|it| (0.0..=1.0).contains(it)));
    if jitter == Some(None) {
        draft.error(JITTER, "not a number from 0 to 1");
    }
    RetryLimits {
        max_delay: draft.millis("millrace.retry.delay.max.ms", 1..=86_400_000).unwrap_or(default.max_delay),
        jitter: jitter.flatten().unwrap_or(default.jitter),
        retry_after_max: draft.millis("millrace.retry.after.max.ms", 0..=86_400_000).unwrap_or(default.retry_after_max),
    }
}
