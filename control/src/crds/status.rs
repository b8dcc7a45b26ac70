//! Schemas of what controllers write: conditions, addresses, policies.
//!
//! Loose on purpose: a status that the API server refused would hide what is wrong with the object.
//! Source: control-plane spec 1.1 and 1.2.

use super::schema::{Schema, int64, list, map_of_texts, object, text};

pub(super) fn conditions() -> Schema {
    let condition = object(
        "One aspect of the object's state.",
        [
            ("type", text("What is meant, such as Ready.")),
            ("status", text("True, False or Unknown.")),
            ("reason", text("Why, in a word or a sentence.")),
            ("message", text("Why, for a person.")),
            ("severity", text("Info when the condition does not decide over Ready; an error when empty.")),
            ("lastTransitionTime", text("When the status changed last.")),
        ],
    );
    list("The state of the object, by aspect. Ready sums up the others.", condition.required(&["type", "status"]))
}

pub(super) fn address(description: &str) -> Schema {
    object(
        description,
        [
            ("name", text("http or https.")),
            ("url", text("Where to post events.")),
            ("CACerts", text("PEM certificates that the address is trusted by.")),
            ("audience", text("OIDC audience that senders ask their tokens for; absent when no token is needed.")),
        ],
    )
}

pub(super) fn observed_generation() -> Schema {
    int64("The generation of the object that this status is about.")
}

pub(super) fn annotations() -> Schema {
    map_of_texts("Further facts by name. default.topic is the name of the Kafka topic, which stays for good.")
}

pub(super) fn auth() -> Schema {
    object(
        "The identity that deliveries are made with.",
        [
            ("serviceAccountName", text("Service account whose token goes to the subscriber.")),
            ("serviceAccountNames", list("Service accounts, where there are several.", text(""))),
        ],
    )
}

pub(super) fn policies() -> Schema {
    let policy = object(
        "One policy.",
        [("apiVersion", text("Group and version of the policy.")), ("name", text("Name of the policy."))],
    );
    list("The EventPolicies that decide who may send to this channel.", policy)
}
