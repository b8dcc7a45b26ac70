//! Topics that are not there or may not be read: when to ask for them again.
//!
//! librdkafka tells of them once and then looks only every `metadata.max.age.ms`, ten minutes as shipped. The peer's client
//! asks all the time, so that an egress reads a topic some seconds after it was created or allowed. So does this: it asks
//! the brokers, and subscribes again when a topic has come, which makes librdkafka see it.
//! Source: dispatcher spec 1.7 (consumer errors loop and never stop the egress).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

/// Between two looks.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The thread waits so long for brokers at most; it has its group to serve.
const WAIT: Duration = Duration::from_secs(1);

/// What is known of topics that cannot be read.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// When to look next; `None` while nothing is missing.
    due: Option<Instant>,
    /// Those that have come since something was missing. Others may have all their partitions: once is enough.
    come: BTreeSet<String>,
}

impl Missing {
    /// The client complained.
    pub(super) fn heard(&mut self, error: &KafkaError, now: Instant) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if matches!(
            code,
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
        ) {
            self.due.get_or_insert(now + ASK_AGAIN);
        }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    /// Looks for these topics, of which this consumer has no partition. Returns whether one has come, so that it is worth
    /// subscribing again.
    pub(super) fn look<'a>(
        &mut self,
        unread: impl Iterator<Item = &'a str>,
        is_there: impl Fn(&str) -> KafkaResult<bool>,
        now: Instant,
    ) -> bool {
        let (mut news, mut missing) = (false, false);
        for topic in unread {
            match is_there(topic) {
                Ok(true) => news |= self.come.insert(topic.to_owned()),
                Ok(false) => {
                    self.come.remove(topic);
                    missing = true;
                }
                Err(_no_answer) => {
                    missing = true;
                    break;
                }
            }
        }
        self.due = missing.then_some(now + ASK_AGAIN);
        if !missing {
            self.come.clear();
        }
        news
    }
}

/// Whether the topic can be read, as the brokers say. Blocks for a second at most.
///
/// # Errors
///
/// When no broker answers.
pub(super) fn is_there<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> KafkaResult<bool> {
    let metadata = consumer.fetch_metadata(Some(topic), WAIT)?;
    Ok(metadata.topics().iter().any(|found| found.name() == topic && found.error().is_none()))
}

#[cfg(test)]
mod tests {
    //! When topics that cannot be read are asked for, and when it is worth subscribing again.

    use super::*;

    const DENIED: KafkaError = KafkaError::MessageConsumption(RDKafkaErrorCode::TopicAuthorizationFailed);

    #[test]
    fn a_topic_that_is_missing_is_asked_for_until_it_comes_and_subscribed_to_once() {
        let (mut missing, start) = (Missing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        missing.heard(&KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown), start);
        assert!(!missing.is_due(at(60)), "that is no matter of topics");
        missing.heard(&DENIED, start);
        assert!(!missing.is_due(at(4)) && missing.is_due(at(5)));
        let mut look = |there: &[&str], seconds| {
            let news = missing.look(["a", "b"].into_iter(), |topic| Ok(there.contains(&topic)), at(seconds));
            (news, missing.is_due(at(seconds) + ASK_AGAIN))
        };
        assert_eq!(look(&[], 5), (false, true));
        assert_eq!(look(&["a"], 10), (true, true));
        assert_eq!(look(&["a"], 15), (false, true), "others may have its partitions");
        assert_eq!(look(&[], 20), (false, true));
        assert_eq!(look(&["a", "b"], 25), (true, false));
    }

    #[test]
    fn brokers_that_do_not_answer_are_asked_again() {
        let (mut missing, start) = (Missing::default(), Instant::now());
        missing.heard(&DENIED, start);
        assert!(!missing.look(["a", "b"].into_iter(), |_topic| Err(KafkaError::Canceled), start + ASK_AGAIN));
        assert!(missing.is_due(start + 2 * ASK_AGAIN));
    }
}
