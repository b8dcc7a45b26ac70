//! Why the newest version of a resource is not in force, and whether that may pass by itself.

use millrace_config::contract::credentials::CredentialsError;
use millrace_event::filter::FilterError;
use millrace_runtime::secrets::SecretsError;

use crate::producer::ClientError;

/// What a resource's present version came to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// No problem yet: nothing is said about it.
    #[error("its Secret is being read")]
    Reading,
    #[error(transparent)]
    Secrets(SecretsError),
    #[error(transparent)]
    Credentials(CredentialsError),
    #[error("a filter of its event policies cannot be used")]
    Policy(#[source] FilterError),
    #[error(transparent)]
    Producer(ClientError),
    #[error("{0}")]
    Refused(String),
}

impl Problem {
    /// Whether the same contract may work later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Producer(_) | Self::Secrets(_) => true,
            // The vault wakes the reconciler when it has read.
            Self::Reading => false,
            // Only other properties or another contract help.
            Self::Credentials(_) | Self::Policy(_) | Self::Refused(_) => false,
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self, Self::Reading)
    }
}
