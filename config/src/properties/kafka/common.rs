//! Properties that producers and consumers share: connections, metadata, back-off and time limits of requests.

use std::collections::BTreeMap;

use super::super::draft::Draft;
use super::ignored;
use super::numbers::{INT, LONG, Number, pass_on};
use super::security;

const NUMBERS: &[Number] = &[
    Number::same("metadata.max.age.ms", 0..=LONG, 1..=3_600_000).named("topic.metadata.refresh.interval.ms").cut(),
    Number::same("metadata.recovery.rebootstrap.trigger.ms", 0..=LONG, 0..=INT).cut(),
    Number::same("receive.buffer.bytes", -1..=INT, 0..=100_000_000).named("socket.receive.buffer.bytes").meaning(-1, 0),
    Number::same("send.buffer.bytes", -1..=INT, 0..=100_000_000).named("socket.send.buffer.bytes").meaning(-1, 0),
    Number::same("socket.connection.setup.timeout.ms", 0..=LONG, 1000..=INT).cut().or(10_000),
    Number::same("retry.backoff.ms", 0..=LONG, 1..=300_000).or(100),
    Number::same("retry.backoff.max.ms", 0..=LONG, 1..=300_000).or(1000),
    Number::same("reconnect.backoff.ms", 0..=LONG, 0..=3_600_000).or(50),
    Number::same("reconnect.backoff.max.ms", 0..=LONG, 0..=3_600_000).or(1000),
];

/// The network timeout; Java's `request.timeout.ms`.
pub(super) const SOCKET_TIMEOUT: Number =
    Number::same("request.timeout.ms", 0..=INT, 10..=300_000).named("socket.timeout.ms").cut().or(30_000);

/// Takes what producers and consumers share. The result is librdkafka's keys: the client's, and those about security.
pub(super) fn read(draft: &mut Draft<'_>) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let mut client = BTreeMap::new();
    pass_on(NUMBERS, draft, &mut client);
    idle_connections(draft, &mut client);
    raise(draft, &mut client, "retry.backoff.max.ms", "retry.backoff.ms");
    raise(draft, &mut client, "reconnect.backoff.max.ms", "reconnect.backoff.ms");
    if let Some(lookup) = draft.choice(
        "client.dns.lookup",
        &[
            ("use_all_dns_ips", "use_all_dns_ips"),
            ("resolve_canonical_bootstrap_servers_only", "resolve_canonical_bootstrap_servers_only"),
        ],
    ) {
        client.insert("client.dns.lookup".to_owned(), lookup.to_owned());
    }
    if let Some(strategy) =
        draft.choice("metadata.recovery.strategy", &[("none", "none"), ("rebootstrap", "rebootstrap")])
    {
        client.insert("metadata.recovery.strategy".to_owned(), strategy.to_owned());
    }
    if let Some(id) = draft.text("client.id").filter(|id| !id.is_empty()) {
        client.insert("client.id".to_owned(), id.to_owned());
    }
    // Telemetry costs 370 KiB a client; it is on only where somebody asked for it.
    let push = draft.boolean("enable.metrics.push").unwrap_or(false);
    client.insert("enable.metrics.push".to_owned(), push.to_string());
    ignored::take(ignored::COMMON, draft);
    let security = security::read(draft);
    (client, security)
}

/// In Java a negative number means never; librdkafka says that with 0.
fn idle_connections(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>) {
    const KEY: &str = "connections.max.idle.ms";
    let number = Number::same(KEY, i64::MIN..=LONG, i64::MIN..=INT).cut();
    let Some(millis) = number.read(draft) else { return };
    if millis == 0 {
        draft.warn(KEY, "0 keeps idle connections for ever here; Java closes them at once");
    }
    client.insert(KEY.to_owned(), millis.max(0).to_string());
}

/// librdkafka refuses a largest pause below the first one; Java takes the first one then.
fn raise(draft: &mut Draft<'_>, client: &mut BTreeMap<String, String>, largest: &'static str, first: &str) {
    let number = |key: &str| client.get(key).and_then(|value| value.parse::<i64>().ok()).unwrap_or(0);
    let (low, high) = (number(first), number(largest));
    if high < low {
        if draft.text(largest).is_some() {
            draft.warn(largest, format!("smaller than {first}, {low} is used"));
        }
        client.insert(largest.to_owned(), low.to_string());
    }
}
