//! One condition, and how `Ready` follows from the others.
//!
//! Source: control-plane spec 1.10.

use std::fmt;

use serde::Serialize;

/// Kubernetes' three-valued answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Truth {
    /// Yes.
    True,
    /// No, and the reason says why.
    False,
    /// Not found out yet.
    Unknown,
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        })
    }
}

/// One condition of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Such as `TopicReady`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The answer.
    pub status: Truth,
    /// May be empty, and may hold blanks: upstream's reasons do.
    pub reason: String,
    /// For a person; may be empty.
    pub message: String,
}

impl Condition {
    /// A condition with a reason.
    #[must_use]
    pub fn new(kind: &str, status: Truth, reason: &str, message: &str) -> Self {
        Self { kind: kind.to_owned(), status, reason: reason.to_owned(), message: message.to_owned() }
    }

    /// A condition that needs no reason.
    #[must_use]
    pub fn truth(kind: &str, status: Truth) -> Self {
        Self::new(kind, status, "", "")
    }
}

/// `Ready`: false with the first one that is false, unknown with the first one that is unknown, else true.
#[must_use]
pub fn ready<'a>(gates: impl Iterator<Item = &'a Condition> + Clone) -> Condition {
    let first = |truth: Truth| gates.clone().find(|gate| gate.status == truth);
    match first(Truth::False).or_else(|| first(Truth::Unknown)) {
        Some(gate) => Condition { kind: "Ready".to_owned(), ..gate.clone() },
        None => Condition::truth("Ready", Truth::True),
    }
}

/// Most of the contract's place is used. Without a number, which would change with every channel.
pub(super) fn almost_full(place: &str) -> Condition {
    let message =
        format!("more than 80 % of what {place} can hold are used; see millrace_control_contract_full_percent");
    Condition::new("ContractHasRoom", Truth::False, "ContractAlmostFull", &message)
}
