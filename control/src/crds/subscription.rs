//! The definition of Subscription, `messaging.knative.dev/v1`, for clusters without Knative Eventing.
//!
//! Where Knative is, its own definition stays and this one must not be applied.
//! Source: control-plane spec 1.2 and 1.3.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion, CustomResourceSubresourceStatus, CustomResourceSubresources,
    CustomResourceValidation,
};
use serde_json::{Map, Value};

use super::delivery::{Checks, checked_destination, delivery, reference};
use super::schema::{Schema, object, text};
use super::status;
use super::{GROUP, column, named, owned, ready_columns};

/// The CustomResourceDefinition.
#[must_use]
pub fn definition() -> CustomResourceDefinition {
    let [ready, reason] = ready_columns();
    let version = CustomResourceDefinitionVersion {
        name: "v1".to_owned(),
        served: true,
        storage: true,
        additional_printer_columns: Some(vec![column("Age", "date", ".metadata.creationTimestamp"), ready, reason]),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(Value::Object(Map::new()))),
            scale: None,
        }),
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(subscription().into_props()) }),
        ..CustomResourceDefinitionVersion::default()
    };
    CustomResourceDefinition {
        spec: CustomResourceDefinitionSpec {
            group: GROUP.to_owned(),
            scope: "Namespaced".to_owned(),
            names: CustomResourceDefinitionNames {
                kind: "Subscription".to_owned(),
                plural: "subscriptions".to_owned(),
                singular: Some("subscription".to_owned()),
                short_names: Some(owned(&["sub"])),
                categories: Some(owned(&["all", "knative", "messaging"])),
                ..CustomResourceDefinitionNames::default()
            },
            versions: vec![version],
            conversion: None,
            preserve_unknown_fields: None,
        },
        ..named("subscriptions.messaging.knative.dev", &[("knative.dev/crd-install", "true")])
    }
}

fn subscription() -> Schema {
    object("Delivers the events of a channel to one subscriber.", [("spec", spec()), ("status", status())])
        .required(&["spec"])
}

fn spec() -> Schema {
    let named_reference = |field: &str| format!("has(self.{field}) && self.{field} != ''");
    let channel = reference("The channel. Fixed once the Subscription exists; it is in the same namespace.")
        .rule(
            &format!(
                "{} && {} && (has(self.apiVersion) || has(self.group))",
                named_reference("kind"),
                named_reference("name")
            ),
            "a channel needs apiVersion, kind and name",
        )
        .rule("self == oldSelf", "channel is fixed once the Subscription exists");
    object(
        "What is wanted.",
        [
            ("channel", channel),
            ("subscriber", checked_destination("Who receives the events.")),
            ("reply", reply()),
            (
                "delivery",
                delivery(
                    "Retries, time limit and dead letter sink; what is absent is as the channel says.",
                    Checks::Values,
                ),
            ),
        ],
    )
    .required(&["channel", "subscriber"])
}

/// An empty reply means none, so there is less to check than with a subscriber.
fn reply() -> Schema {
    super::delivery::destination("Where the subscriber's answers go that are events; absent: they are dropped.").rule(
        "has(self.ref) || !has(self.uri) || self.uri == '' || self.uri.matches('^[A-Za-z][A-Za-z0-9+.-]*:')",
        "a uri without a ref must be absolute, such as http://host/path",
    )
}

fn status() -> Schema {
    let physical = object(
        "The destinations, resolved.",
        [
            ("subscriberUri", text("Where events go.")),
            ("subscriberCACerts", text("PEM certificates that the subscriber is trusted by.")),
            ("subscriberAudience", text("OIDC audience of the subscriber.")),
            ("replyUri", text("Where replies go.")),
            ("replyCACerts", text("PEM certificates that the destination of replies is trusted by.")),
            ("replyAudience", text("OIDC audience of the destination of replies.")),
            ("deadLetterSinkUri", text("Where events go that were not taken.")),
            ("deadLetterSinkCACerts", text("PEM certificates that the dead letter sink is trusted by.")),
            ("deadLetterSinkAudience", text("OIDC audience of the dead letter sink.")),
        ],
    );
    object(
        "What was found and done.",
        [
            ("observedGeneration", status::observed_generation()),
            ("conditions", status::conditions()),
            ("annotations", status::annotations()),
            ("physicalSubscription", physical),
            ("auth", status::auth()),
        ],
    )
}
