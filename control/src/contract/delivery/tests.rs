//! Tests of merging and of the contract's delivery block.

use super::*;
use crate::api::meta::Destination;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sink(uri: &str) -> Option<Destination> {
    Some(Destination { uri: Some(uri.to_owned()), ..Destination::default() })
}

fn address(url: &str) -> Address {
    Address { url: url.to_owned(), ca_certs: "pem".to_owned(), audience: "aud".to_owned() }
}

fn channel() -> Delivery {
    Delivery {
        dead_letter_sink: sink("http://dead"),
        retry: Some(5),
        timeout: Some(ms(7_000)),
        backoff_policy: Some(BackoffPolicy::Linear),
        backoff_delay: Some(ms(500)),
        retry_after_max: None,
    }
}

#[test]
fn each_field_of_the_subscription_wins_over_the_channels() {
    let own = Delivery { retry: Some(0), timeout: Some(ms(10_000)), ..Delivery::default() };
    let merged = merge(Some(&own), Some(&channel()));
    assert_eq!(merged, Delivery { retry: Some(0), timeout: Some(ms(10_000)), ..channel() });
    let own = Delivery {
        dead_letter_sink: sink("http://own"),
        backoff_policy: Some(BackoffPolicy::Exponential),
        ..Delivery::default()
    };
    let merged = merge(Some(&own), Some(&channel()));
    assert_eq!((merged.dead_letter_sink, merged.retry), (sink("http://own"), Some(5)));
    assert_eq!(merged.backoff_policy, Some(BackoffPolicy::Exponential));
}

#[test]
fn a_missing_block_falls_back_to_the_other() {
    assert_eq!(merge(None, Some(&channel())), channel());
    assert_eq!(merge(Some(&channel()), None), channel());
    assert_eq!(merge(None, None), Delivery::default());
}

#[test]
fn nothing_is_written_for_backoff_alone() {
    let backoff =
        Delivery { backoff_delay: Some(ms(100)), backoff_policy: Some(BackoffPolicy::Linear), ..Delivery::default() };
    assert_eq!(egress_config(&backoff, None, ms(200)), None);
    assert_eq!(egress_config(&Delivery::default(), None, ms(200)), None);
}

#[test]
fn backoff_is_dropped_without_retry() {
    let delivery = Delivery { retry: None, ..channel() };
    let config = egress_config(&delivery, Some(&address("http://dead")), ms(200)).unwrap();
    assert_eq!((config.retry, config.backoff_delay, config.timeout), (0, 0, 7_000));
    assert_eq!(config.backoff_policy, wire::BackoffPolicy::Exponential);
    assert_eq!(config.dead_letter, "http://dead");
    assert_eq!((config.dead_letter_ca_certs.as_str(), config.dead_letter_audience.as_str()), ("pem", "aud"));
}

#[test]
fn retry_without_backoff_gets_the_default_pause_and_doubles_it() {
    let delivery = Delivery { retry: Some(3), ..Delivery::default() };
    let config = egress_config(&delivery, None, SUBSCRIPTION_BACKOFF).unwrap();
    assert_eq!((config.retry, config.backoff_delay), (3, 200));
    assert_eq!(config.backoff_policy, wire::BackoffPolicy::Exponential);
}

#[test]
fn a_pause_of_zero_stays_zero() {
    let delivery = Delivery { retry: Some(3), backoff_delay: Some(Duration::ZERO), ..Delivery::default() };
    assert_eq!(egress_config(&delivery, None, SUBSCRIPTION_BACKOFF).unwrap().backoff_delay, 0);
}
