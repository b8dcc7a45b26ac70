//! As many descriptors as the system lets the process have.
//!
//! Container runtimes and systemd give 1024 at first and far more on demand, because some programs cannot cope with more.
//! Ours can, and a subscription takes about eight. Java and Go raise the limit at start as well.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Raises the limit of the process to the most it may have; children inherit it.
pub(super) fn raise() {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum }) {
        Ok(()) => debug!(from = before.current, to = before.maximum, "Limit of open files raised"),
        Err(error) => warn!(limit = before.current, %error, "Limit of open files not raised"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        let allowed = getrlimit(Resource::Nofile).maximum;
        let lowered = Rlimit { current: allowed.map(|allowed| allowed.min(1000)), maximum: allowed };
        setrlimit(Resource::Nofile, lowered).unwrap();
        raise();
        assert_eq!(getrlimit(Resource::Nofile).current, allowed);
        raise();
        assert_eq!(getrlimit(Resource::Nofile).maximum, allowed);
    }
}
