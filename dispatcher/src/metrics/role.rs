//! Whom a request goes to: subscriber, dead letter sink or reply address.

/// Whom a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Subscriber,
    DeadLetterSink,
    Reply,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Subscriber, Self::DeadLetterSink, Self::Reply];

    /// The word used in logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Subscriber => "subscriber",
            Self::DeadLetterSink => "dead_letter_sink",
            Self::Reply => "reply",
        }
    }
}
