//! What must have arrived for the demo to be a success, and what is missing.
//!
//! Pure: compares what was sent with what the subscriber received.

use std::collections::BTreeMap;
use std::fmt;

/// One event as the demo sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) body: String,
}

/// What arrived of one event, by the path that took it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) plain: u32,
    pub(super) flaky_refused: u32,
    pub(super) flaky_accepted: u32,
    pub(super) failing: u32,
    pub(super) dead: u32,
    /// The dead letter says where it could not be delivered.
    pub(super) dead_names_destination: bool,
    /// The bodies that came, each kind once.
    pub(super) bodies: Vec<String>,
}

/// By the event's id.
pub(super) type Arrivals = BTreeMap<String, Arrived>;

#[derive(Default)]
pub(super) struct Expectation {
    sent: Vec<Sent>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    event_id: String,
    what: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.event_id, self.what)
    }
}

impl Expectation {
    pub(super) fn add(&mut self, sent: &Sent) {
        self.sent.push(sent.clone());
    }

    /// How many events were sent.
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Everything that should have happened to the events and has not; empty when all is well.
    pub(super) fn missing(&self, arrivals: &Arrivals) -> Vec<Missing> {
        let nothing = Arrived::default();
        let mut missing = Vec::new();
        for sent in &self.sent {
            let arrived = arrivals.get(&sent.id).unwrap_or(&nothing);
            missing.extend(lacks(sent, arrived).into_iter().map(|what| Missing { event_id: sent.id.clone(), what }));
        }
        missing
    }
}

fn lacks(sent: &Sent, arrived: &Arrived) -> Vec<&'static str> {
    let checks = [
        (arrived.plain > 0, "did not arrive at plain"),
        (arrived.flaky_refused > 0, "was not tried at flaky"),
        (arrived.flaky_accepted > 0, "did not arrive at flaky after a retry"),
        (arrived.failing > 1, "was not tried twice at failing"),
        (arrived.dead > 0, "did not arrive in the dead letter sink"),
        (arrived.dead == 0 || arrived.dead_names_destination, "is a dead letter that does not say of whom"),
        (arrived.bodies.iter().all(|body| *body == sent.body), "arrived with other data than was sent"),
    ];
    checks.into_iter().filter(|(is_fine, _)| !is_fine).map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Arrived {
        Arrived {
            plain: 1,
            flaky_refused: 1,
            flaky_accepted: 1,
            failing: 2,
            dead: 1,
            dead_names_destination: true,
            bodies: vec!["{}".to_owned()],
        }
    }

    #[track_caller]
    fn check(arrived: Option<Arrived>, expected: &[&str]) {
        let mut expectation = Expectation::default();
        expectation.add(&Sent { id: "order-1".to_owned(), body: "{}".to_owned() });
        let arrivals = arrived.map(|arrived| ("order-1".to_owned(), arrived)).into_iter().collect();
        let missing: Vec<String> = expectation.missing(&arrivals).iter().map(Missing::to_string).collect();
        assert_eq!(missing, expected);
    }

    #[test]
    fn nothing_is_missing_when_every_subscription_has_its_event() {
        check(Some(complete()), &[]);
    }

    #[test]
    fn duplicates_are_allowed() {
        check(Some(Arrived { plain: 2, flaky_accepted: 2, dead: 3, ..complete() }), &[]);
    }

    #[test]
    fn an_event_that_arrived_nowhere_is_missing_everywhere() {
        check(
            None,
            &[
                "order-1: did not arrive at plain",
                "order-1: was not tried at flaky",
                "order-1: did not arrive at flaky after a retry",
                "order-1: was not tried twice at failing",
                "order-1: did not arrive in the dead letter sink",
            ],
        );
    }

    #[test]
    fn a_retry_that_never_succeeded_is_missing() {
        check(Some(Arrived { flaky_accepted: 0, ..complete() }), &["order-1: did not arrive at flaky after a retry"]);
    }

    #[test]
    fn a_dead_letter_must_say_of_whom_it_is() {
        let nameless = Arrived { dead_names_destination: false, ..complete() };
        check(Some(nameless), &["order-1: is a dead letter that does not say of whom"]);
    }

    #[test]
    fn changed_data_is_no_arrival() {
        let changed = Arrived { bodies: vec!["{}".to_owned(), "{ }".to_owned()], ..complete() };
        check(Some(changed), &["order-1: arrived with other data than was sent"]);
    }
}
