//! How far a record has come that waits: what a later delivery needs in order to go on where this one ended.
//!
//! Everything here waits in memory, perhaps for hours, so it is as small as it gets and its bytes are counted.
//! Source: design row 6.

use std::sync::Arc;

use crate::outcome::{Answer, Failure};

/// What is still to be done for a record with which its subscriber is finished. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Later {
    /// It answered with an event, which is to be delivered.
    Reply(Arc<Answer>),
    /// It did not take the record; the dead letter sink is to have it.
    DeadLetter(Arc<Failure>),
    /// Nobody took it; it is to be kept.
    Keep(Arc<Failure>),
}

impl Later {
    /// Whether both are the same step, so that attempts of one count for the other.
    pub(super) fn is_same_step(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Reply(_), Self::Reply(_))
            | (Self::DeadLetter(_), Self::DeadLetter(_))
            | (Self::Keep(_), Self::Keep(_)) => true,
            (Self::Reply(_) | Self::DeadLetter(_) | Self::Keep(_), _) => false,
        }
    }

    /// The same in no more memory than it needs.
    pub(super) fn shrunk(&self) -> Self {
        match self {
            Self::Reply(answer) => Self::Reply(Arc::new(answer.shrunk())),
            // Failures are small from the start.
            Self::DeadLetter(_) | Self::Keep(_) => self.clone(),
        }
    }

    /// About what it occupies.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Reply(answer) => answer.size_bytes(),
            Self::DeadLetter(failure) | Self::Keep(failure) => failure.size_bytes(),
        }
    }
}
