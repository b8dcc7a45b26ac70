//! The definition of KafkaChannel: `messaging.knative.dev/v1beta1`, which is stored, and `v1`.
//!
//! Both versions have the same fields, so nothing has to be converted.
//! Source: control-plane spec 1.1.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion, CustomResourceSubresourceStatus, CustomResourceSubresources,
    CustomResourceValidation,
};
use serde_json::{Map, Value, json};

use super::delivery::{Checks, Sign, delivery, duration, is_duration, reference};
use super::schema::{Schema, int32, int64, list, object, text};
use super::status;
use super::{GROUP, column, named, owned, ready_columns};
use crate::api::channel::{MOST_PARTITIONS, MOST_REPLICAS};

/// Seven days, which upstream's webhook fills in.
const DEFAULT_RETENTION: &str = "PT168H";

/// More than fit into the largest object that a cluster stores. Without a limit the rule about each would count as too
/// dear.
const MOST_SUBSCRIBERS: i64 = 10_000;

/// The CustomResourceDefinition.
#[must_use]
pub fn definition() -> CustomResourceDefinition {
    // What Knative finds channels by.
    let labels = [
        ("knative.dev/crd-install", "true"),
        ("messaging.knative.dev/subscribable", "true"),
        ("duck.knative.dev/addressable", "true"),
    ];
    CustomResourceDefinition {
        spec: CustomResourceDefinitionSpec {
            group: GROUP.to_owned(),
            scope: "Namespaced".to_owned(),
            names: CustomResourceDefinitionNames {
                kind: "KafkaChannel".to_owned(),
                plural: "kafkachannels".to_owned(),
                singular: Some("kafkachannel".to_owned()),
                short_names: Some(owned(&["kc"])),
                categories: Some(owned(&["all", "knative", "messaging", "channel"])),
                ..CustomResourceDefinitionNames::default()
            },
            versions: vec![version("v1beta1", true), version("v1", false)],
            // Said aloud, so that it replaces the webhook of an installation that is taken over.
            conversion: Some(CustomResourceConversion { strategy: "None".to_owned(), webhook: None }),
            preserve_unknown_fields: None,
        },
        ..named("kafkachannels.messaging.knative.dev", &labels)
    }
}

fn version(name: &str, storage: bool) -> CustomResourceDefinitionVersion {
    let [ready, reason] = ready_columns();
    let columns = vec![
        ready,
        reason,
        column("URL", "string", ".status.address.url"),
        column("Age", "date", ".metadata.creationTimestamp"),
    ];
    CustomResourceDefinitionVersion {
        name: name.to_owned(),
        served: true,
        storage,
        additional_printer_columns: Some(columns),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(Value::Object(Map::new()))),
            scale: None,
        }),
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(channel().into_props()) }),
        ..CustomResourceDefinitionVersion::default()
    }
}

fn channel() -> Schema {
    object(
        "A channel of CloudEvents that is kept in a Kafka topic: what is posted to it is stored, and delivered to every Subscription.",
        [("spec", spec()), ("status", status())],
    )
}

fn spec() -> Schema {
    let partitions = int32("Partitions of the topic. 0 counts as 1. Fixed once the channel exists.")
        .minimum(0)
        .maximum(MOST_PARTITIONS)
        .default(json!(1))
        .rule(&fixed_count(), "numPartitions is fixed once the channel exists");
    let replication =
        int32("On how many brokers each partition is kept. 0 counts as 1. Fixed once the channel exists.")
            .minimum(0)
            .maximum(MOST_REPLICAS)
            .default(json!(1))
            .rule(&fixed_count(), "replicationFactor is fixed once the channel exists");
    let retention = duration("How long events stay in the topic, as an ISO-8601 duration. Fixed once it is set.")
        .default(json!(DEFAULT_RETENTION))
        .rule(
            &format!("self == '' || ({})", is_duration(Sign::Refused)),
            "is not an ISO-8601 duration of zero or more, such as PT168H or P7D",
        )
        .rule("self == oldSelf || oldSelf == ''", "retentionDuration is fixed once it is set");
    object(
        "What is wanted.",
        [
            ("numPartitions", partitions),
            ("replicationFactor", replication),
            ("retentionDuration", retention),
            (
                "delivery",
                delivery(
                    "How events are delivered where a Subscription does not say otherwise; each field counts by itself.",
                    Checks::Types,
                ),
            ),
            (
                "subscribers",
                list(
                    "The subscribers, resolved. Written by Knative's Subscription controller; make a Subscription instead.",
                    subscriber(),
                )
                .max_items(MOST_SUBSCRIBERS),
            ),
        ],
    )
    // So that the defaults inside reach a channel without a spec.
    .default(json!({}))
}

/// The webhook makes 1 of 0 before it compares, so the two are the same number.
fn fixed_count() -> String {
    "(self == 0 ? 1 : self) == (oldSelf == 0 ? 1 : oldSelf)".to_owned()
}

fn subscriber() -> Schema {
    object(
        "One subscriber.",
        [
            ("uid", text("Uid of the Subscription. The consumer group is named after it.")),
            ("name", text("Name of the Subscription.")),
            ("generation", int64("Generation of the Subscription.")),
            ("subscriberUri", text("Where events go.")),
            ("subscriberCACerts", text("PEM certificates that the subscriber is trusted by.")),
            ("subscriberAudience", text("OIDC audience of the subscriber.")),
            ("replyUri", text("Where answers go that are events; absent: they are dropped.")),
            ("replyCACerts", text("PEM certificates that the destination of replies is trusted by.")),
            ("replyAudience", text("OIDC audience of the destination of replies.")),
            ("delivery", delivery("How this subscriber's events are delivered.", Checks::Types)),
            ("auth", status::auth()),
        ],
    )
    .rule(
        "(has(self.subscriberUri) && size(self.subscriberUri) > 0) || (has(self.replyUri) && size(self.replyUri) > 0)",
        "needs a subscriberUri or a replyUri",
    )
}

fn status() -> Schema {
    let subscriber = object(
        "The state of one subscriber.",
        [
            ("uid", text("Uid of the Subscription.")),
            ("observedGeneration", int64("Generation of the Subscription that this is about.")),
            ("ready", text("True once nothing that is sent from now on can be missed; else False or Unknown.")),
            ("message", text("Why it is not ready.")),
            ("auth", status::auth()),
        ],
    );
    object(
        "What was found and done.",
        [
            ("observedGeneration", status::observed_generation()),
            ("conditions", status::conditions()),
            ("annotations", status::annotations()),
            ("address", status::address("Where to post events.").required(&["url"])),
            ("addresses", list("All addresses; the main one is among them.", status::address("One address."))),
            ("policies", status::policies()),
            ("subscribers", list("The state of each subscriber.", subscriber)),
            ("deadLetterChannel", reference("A channel for dead letters. Never written; kept for old objects.")),
            ("deadLetterSinkUri", text("The dead letter sink, resolved.")),
            ("deadLetterSinkCACerts", text("PEM certificates that the dead letter sink is trusted by.")),
            ("deadLetterSinkAudience", text("OIDC audience of the dead letter sink.")),
        ],
    )
}
