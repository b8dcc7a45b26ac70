//! When a connection's time is over.
//!
//! Pure but for the moments it looks at. Source: spec ingress 7.2 (idle times); heads, farewells and crowds are ours.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Activity, Moment};

/// How long a client may go on sending what was refused, so that it gets to read the answer.
const LINGER: Duration = Duration::from_secs(2);
/// How long a client may take to leave, or to finish a head, once it was asked to go and nothing of it is worked on. HTTP/2
/// ends only when the client has said that it heard; not all clients look while they have nothing to send.
const FAREWELL: Duration = Duration::from_secs(2);
/// Idle connections go after this when new ones wait for a place.
const CROWDED_IDLE: Duration = Duration::from_secs(10);

impl Activity {
    /// Whether one of the connection's time limits has passed. `crowded`: others wait for its place.
    pub(in crate::server) fn is_over(&self, now: u64, crowded: bool) -> bool {
        let passed = |moment: u64, limit: Option<Duration>| {
            let gone = Duration::from_millis(now.saturating_sub(moment));
            moment > 0 && limit.is_some_and(|limit| gone > limit)
        };
        let moment = |moment: &Moment| moment.load(Ordering::Relaxed);
        let (read, written) = (moment(&self.last_read), moment(&self.last_write));
        let last = read.max(written);
        let idle = self.requests.load(Ordering::Relaxed) == 0;
        let draining = moment(&self.draining_since);
        passed(moment(&self.lingering_since), Some(LINGER))
            || passed(moment(&self.head_since), self.settings.header_timeout)
            || passed(last, self.settings.idle_timeout)
            || passed(read, self.settings.read_idle_timeout)
            || passed(written, self.settings.write_idle_timeout)
            || (crowded && idle && passed(last, Some(CROWDED_IDLE)))
            || (draining > 0 && idle && passed(draining.max(written), Some(FAREWELL)))
    }
}
