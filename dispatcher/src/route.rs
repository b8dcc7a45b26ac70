//! One target of an egress and everything that delivering to it needs.

use std::time::Duration;

use http::{HeaderValue, Uri};

use crate::delivery::retry::RetryPolicy;
use crate::sender::{AnswerBody, Sender};

/// A target and how to deliver to it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) target: Uri,
    /// The target as the contract spells it.
    pub(crate) text: String,
    pub(crate) sender: Sender,
    pub(crate) policy: RetryPolicy,
    /// Limit of a single attempt, connecting and reading the answer included.
    pub(crate) attempt_timeout: Duration,
    /// `None` sends no `User-Agent`.
    pub(crate) user_agent: Option<HeaderValue>,
    /// Value of `Kn-Namespace`.
    pub(crate) namespace: String,
    /// What the body of the target's answer is good for.
    pub(crate) answer: AnswerBody,
}
