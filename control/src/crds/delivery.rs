//! Schemas of destinations, references and delivery blocks, which both kinds have.
//!
//! Source: control-plane spec 1.3 and 1.4.

use super::schema::{Schema, int32, object, text};

/// Longer texts are no durations; the limit keeps the rule cheap.
const LONGEST_DURATION: i64 = 64;

/// Every unit at most once, largest first, and at least one: `PT0.5S`, `PT10M`, `P1DT12H`.
/// `SIGN` stands for the signs that are allowed.
const DURATION: &str = "self.matches('^SIGNP([0-9]+([.,][0-9]+)?Y)?([0-9]+([.,][0-9]+)?M)?([0-9]+([.,][0-9]+)?W)?\
([0-9]+([.,][0-9]+)?D)?(T([0-9]+([.,][0-9]+)?H)?([0-9]+([.,][0-9]+)?M)?([0-9]+([.,][0-9]+)?S)?)?$') \
&& self.matches('[YMWDHS]$')";

/// Whether a minus sign is refused. Deliveries ignore it, as upstream does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sign {
    Ignored,
    Refused,
}

/// What the writer of a delivery block hears at once.
#[derive(Debug, Clone, Copy)]
pub(super) enum Checks {
    /// Only types. Upstream's webhook lets everything else pass here and says it in the status.
    Types,
    /// Values too.
    Values,
}

/// CEL for a text that is an ISO-8601 duration.
pub(super) fn is_duration(sign: Sign) -> String {
    DURATION.replace(
        "SIGN",
        match sign {
            Sign::Ignored => "[+-]?",
            Sign::Refused => "[+]?",
        },
    )
}

/// A text with room for any duration.
pub(super) fn duration(description: &str) -> Schema {
    text(description).max_length(LONGEST_DURATION)
}

pub(super) fn reference(description: &str) -> Schema {
    object(
        description,
        [
            ("apiVersion", text("Group and version of the object, such as v1 or serving.knative.dev/v1.")),
            ("kind", text("Kind of the object, such as Service.")),
            ("name", text("Name of the object.")),
            ("namespace", text("Namespace of the object; the namespace of the referring object when absent.")),
            ("group", text("Group without a version; only with Knative's feature kreference-group.")),
            ("address", text("Name of one of the object's addresses; its main address when absent.")),
        ],
    )
}

pub(super) fn destination(description: &str) -> Schema {
    object(
        description,
        [
            ("ref", reference("The object whose address is used.")),
            ("uri", text("An absolute URL or, together with ref, a path relative to the address of that object.")),
            ("CACerts", text("PEM certificates that the destination is trusted by, beside those of the system.")),
            ("audience", text("OIDC audience: tokens for this destination are made out to it.")),
        ],
    )
}

/// A destination that has to lead somewhere.
pub(super) fn checked_destination(description: &str) -> Schema {
    destination(description)
        .rule("has(self.ref) || (has(self.uri) && self.uri != '')", "needs a ref or a uri")
        .rule(
            "has(self.ref) || !has(self.uri) || self.uri.matches('^[A-Za-z][A-Za-z0-9+.-]*:')",
            "a uri without a ref must be absolute, such as http://host/path",
        )
        .rule(
            "!has(self.ref) || (has(self.ref.kind) && self.ref.kind != '' && has(self.ref.name) && self.ref.name != '' \
             && (has(self.ref.apiVersion) || has(self.ref.group)))",
            "a ref needs apiVersion, kind and name",
        )
}

pub(super) fn delivery(description: &str, checks: Checks) -> Schema {
    let sink = "Where an event goes that the subscriber did not take after all retries.";
    let retry = int32("How many attempts follow the first one. 0 or absent: none.");
    let policy =
        text("How pauses grow: linear is backoffDelay times the attempt, exponential (the default) doubles them.");
    let backoff = duration("Pause that the others are computed from, as an ISO-8601 duration such as PT0.5S.");
    let timeout = duration("Limit for one attempt, as an ISO-8601 duration of at least PT0.1S; PT10M when absent.");
    let retry_after =
        duration("Longest Retry-After of a subscriber that is obeyed; only with the feature delivery-retryafter.");
    let format = text("json or binary. Accepted for compatibility; events are sent in binary mode.");
    let fields = match checks {
        Checks::Types => [
            ("deadLetterSink", destination(sink)),
            ("retry", retry),
            ("backoffPolicy", policy),
            ("backoffDelay", text_of(backoff)),
            ("timeout", text_of(timeout)),
            ("retryAfterMax", text_of(retry_after)),
            ("format", format),
        ],
        Checks::Values => [
            ("deadLetterSink", checked_destination(sink)),
            ("retry", retry.minimum(0)),
            ("backoffPolicy", policy.one_of(&["linear", "exponential"])),
            ("backoffDelay", backoff.rule(&is_duration(Sign::Ignored), NO_DURATION)),
            (
                "timeout",
                timeout
                    .rule(&is_duration(Sign::Ignored), NO_DURATION)
                    .rule("self.matches('[1-9]')", "must not be zero: at least PT0.1S"),
            ),
            (
                "retryAfterMax",
                retry_after
                    .rule(&is_duration(Sign::Refused), "is not an ISO-8601 duration of zero or more, such as PT10M"),
            ),
            ("format", format.one_of(&["json", "binary"])),
        ],
    };
    object(description, fields)
}

const NO_DURATION: &str = "is not an ISO-8601 duration such as PT0.5S, PT10M or P1D";

/// Without the limit, where nothing is checked that could be dear.
fn text_of(schema: Schema) -> Schema {
    let description = schema.into_props().description.unwrap_or_default();
    text(&description)
}
