//! Java keys that have no effect here, each with the reason that its warning gives.
//!
//! A value that is also what happens anyway is not worth a warning: the files that Knative ships stay quiet.

use super::super::draft::Draft;

/// One key without effect.
pub(super) struct Ignored {
    key: &'static str,
    reason: &'static str,
    /// Values that ask for what happens anyway.
    quiet: &'static [&'static str],
}

const fn ignored(key: &'static str, reason: &'static str, quiet: &'static [&'static str]) -> Ignored {
    Ignored { key, reason, quiet }
}

/// Takes keys, and warns about those that are set to something that will not happen.
pub(super) fn take(keys: &[Ignored], draft: &mut Draft<'_>) {
    for Ignored { key, reason, quiet } in keys {
        let Some(value) = draft.trimmed(key) else { continue };
        if !quiet.iter().any(|same| same.eq_ignore_ascii_case(value)) {
            draft.warn(key, format!("ignored: {reason}"));
        }
    }
}

const METRICS: &str = "metrics are those of Millrace, not of Java's Kafka client";
const CONTRACT: &str = "the contract decides";
const CODEC: &str = "Millrace encodes and decodes records itself";
const CLASSES: &str = "Java classes cannot be loaded";
const PARTITIONER: &str = "partitions are chosen as Java's default partitioner does, which existing keys rely on";
const TRANSACTIONS: &str = "Millrace does not use transactions, and events would never be acknowledged";

pub(super) const COMMON: &[Ignored] = &[
    ignored("bootstrap.servers", CONTRACT, &[]),
    ignored("interceptor.classes", CLASSES, &[""]),
    ignored("security.providers", CLASSES, &[""]),
    ignored("metric.reporters", METRICS, &[""]),
    ignored("metrics.reporters", METRICS, &[""]),
    ignored("auto.include.jmx.reporter", METRICS, &["false"]),
    ignored("metrics.num.samples", METRICS, &["2"]),
    ignored("metrics.recording.level", METRICS, &["INFO"]),
    ignored("metrics.sample.window.ms", METRICS, &["30000"]),
    ignored("metadata.max.idle.ms", "librdkafka decides how long unused topics are remembered", &["300000"]),
    ignored(
        "socket.connection.setup.timeout.max.ms",
        "librdkafka does not lengthen the time limit of further attempts",
        &["30000"],
    ),
];

pub(super) const PRODUCER: &[Ignored] = &[
    ignored("key.serializer", CODEC, &["org.apache.kafka.common.serialization.StringSerializer"]),
    ignored("value.serializer", CODEC, &["io.cloudevents.kafka.CloudEventSerializer"]),
    ignored("cloudevents.serializer.event_format", "structured records are JSON", &["application/cloudevents+json"]),
    ignored("partitioner.class", PARTITIONER, &[""]),
    ignored("partitioner.ignore.keys", PARTITIONER, &["false"]),
    ignored("partitioner.adaptive.partitioning.enable", PARTITIONER, &["true"]),
    ignored("partitioner.availability.timeout.ms", PARTITIONER, &["0"]),
    ignored("transactional.id", TRANSACTIONS, &[]),
    ignored("transaction.timeout.ms", TRANSACTIONS, &["60000"]),
];

pub(super) const CONSUMER: &[Ignored] = &[
    ignored(
        "key.deserializer",
        CODEC,
        &[
            "org.apache.kafka.common.serialization.StringDeserializer",
            "dev.knative.eventing.kafka.broker.dispatcher.impl.consumer.KeyDeserializer",
        ],
    ),
    ignored(
        "value.deserializer",
        CODEC,
        &[
            "io.cloudevents.kafka.CloudEventDeserializer",
            "dev.knative.eventing.kafka.broker.dispatcher.impl.consumer.CloudEventDeserializer",
        ],
    ),
    ignored("group.id", CONTRACT, &[]),
    ignored("cloudevent.key.deserializer.type", CONTRACT, &[]),
    ignored("cloudevent.invalid.source.name", CONTRACT, &[]),
    ignored("cloudevent.invalid.source.namespace", CONTRACT, &[]),
    ignored("group.instance.id", "each egress has a consumer of its own, which one id cannot name", &[""]),
    ignored("group.protocol", "groups are of the classic protocol", &["classic"]),
    ignored("group.remote.assignor", "groups are of the classic protocol", &[""]),
    ignored("max.poll.interval.ms", "the consumer always polls, however slow its subscriber is", &["300000"]),
    ignored("enable.auto.commit", "only finished records are committed", &["false"]),
    ignored("enable.auto.offset.store", "only finished records are committed", &["false"]),
    // Without patterns in subscriptions, internal topics are never found.
    ignored("exclude.internal.topics", "topics come from the contract", &["true", "false"]),
];
