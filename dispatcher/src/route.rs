//! One target of an egress and everything that delivering to it needs.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};
use millrace_runtime::throttle::EverySecond;

use crate::delivery::retry::RetryPolicy;
use crate::pressure::Pressure;
use crate::sender::token::Authorization;
use crate::sender::{AnswerBody, Sender};

/// A target and how to deliver to it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) target: Uri,
    /// The target as the contract spells it, without a user's name and password: for logs and the debug page.
    pub(crate) text: String,
    pub(crate) sender: Sender,
    /// Whether requests carry a token.
    pub(crate) authorization: Authorization,
    pub(crate) policy: RetryPolicy,
    pub(crate) pressure: Arc<Pressure>,
    /// So that lines about single failed attempts are no flood.
    pub(crate) failures: EverySecond,
    /// How long one event may wait for the target while it is down.
    pub(crate) patience: Duration,
    /// Limit of a single attempt, connecting and reading the answer included.
    pub(crate) attempt_timeout: Duration,
    /// `None` sends no `User-Agent`.
    pub(crate) user_agent: Option<HeaderValue>,
    /// Value of `Kn-Namespace`; `None` for a text that is none, with which nothing can be sent.
    pub(crate) namespace: Option<HeaderValue>,
    /// What the body of the target's answer is good for.
    pub(crate) answer: AnswerBody,
}

impl Route {
    /// How many attempts the target takes at a time.
    pub(crate) fn at_a_time(&self) -> usize {
        self.pressure.allowed().min(self.sender.connections_at_most())
    }

    /// Whether one more attempt could start at once. That there is no room counts as somebody who waits.
    pub(crate) fn has_room(&self) -> bool {
        self.pressure.has_room() && self.sender.has_room()
    }

    /// Goes on with what `before` has learnt of the target, if it is the same one.
    pub(crate) fn learn_from(&mut self, before: &Self) {
        if before.pressure.suits(&self.text, self.pressure.settings()) {
            self.pressure = Arc::clone(&before.pressure);
        }
    }
}

/// The URL without user and password.
pub(crate) fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((user, _host)) => {
            format!("{scheme}://{}", rest.strip_prefix(user).unwrap_or(rest).trim_start_matches('@'))
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    //! What is shown of a target.

    use super::*;

    #[test]
    fn a_url_is_shown_without_its_user() {
        for (url, shown) in [
            ("http://host/path", "http://host/path"),
            ("http://user:pass@host:80/a@b", "http://host:80/a@b"),
            ("http://u@host", "http://host"),
            ("http://host/?q=a@b", "http://host/?q=a@b"),
        ] {
            assert_eq!(without_user(url), shown);
        }
    }
}
