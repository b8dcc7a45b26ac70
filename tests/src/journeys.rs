//! Whole journeys, HTTP in to HTTP out, that must hold on every broker.
//!
//! Each takes a broker and a name that is unique in the test program, starts its own processes, and panics where an
//! expectation fails. The tests in `tests/embedded` and `tests/kafka` call them.

pub mod crash;
pub mod delivery;
pub mod modes;

use crate::broker::Broker;
use crate::contract::{Channel, Subscription};
use crate::plane::{Ingress, Plane, wait_until_assigned};
use crate::process::Process;
use crate::{PATIENCE, contract};

/// One channel, routed, with its topic and a dispatcher that has partitions for all subscriptions.
#[derive(Debug)]
pub struct Whole {
    /// The folders.
    pub plane: Plane,
    /// The channel.
    pub channel: Channel,
    /// The ingress.
    pub ingress: Ingress,
    /// The dispatcher.
    pub dispatcher: Process,
}

impl Whole {
    /// Starts it with one subscription.
    ///
    /// # Panics
    /// When a process does not start.
    #[must_use]
    #[track_caller]
    pub fn start(broker: &dyn Broker, name: &str, partitions: i32, subscription: Subscription) -> Self {
        Self::of(
            Plane::new(broker),
            broker,
            Channel::new(name, &broker.bootstrap()).subscribed(subscription),
            partitions,
        )
    }

    /// Starts it with these folders and this channel.
    ///
    /// # Panics
    /// When a process does not start.
    #[must_use]
    #[track_caller]
    pub fn of(plane: Plane, broker: &dyn Broker, channel: Channel, partitions: i32) -> Self {
        broker.create_topic(&channel.topic(), partitions);
        plane.publish(1, std::slice::from_ref(&channel));
        let ingress = plane.start_ready_ingress();
        let mut dispatcher = plane.start_dispatcher();
        for subscription in &channel.subscriptions {
            wait_until_assigned(&mut dispatcher, &contract::uid(&channel.name, &subscription.name), PATIENCE);
        }
        Self { plane, channel, ingress, dispatcher }
    }

    /// Posts an event in binary mode and expects 202.
    ///
    /// # Panics
    /// When the answer is another.
    #[track_caller]
    pub fn post(&self, event: &crate::event::TestEvent) {
        let answer = self.ingress.client().post(&self.channel.host(), &self.channel.path(), event).expect("an answer");
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
}
