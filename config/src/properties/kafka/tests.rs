//! Kafka properties: what Knative ships, what users add, and that librdkafka would refuse none of it.

mod consumer;
mod limits;
mod producer;
mod security;
mod tokens;

use super::super::Warning;
use super::*;

const PRODUCER: &str = include_str!("tests/shipped_producer.properties");
const CONSUMER: &str = include_str!("tests/shipped_consumer.properties");

fn properties(entries: &[(&str, &str)]) -> Properties {
    entries.iter().copied().collect()
}

fn producer_of(entries: &[(&str, &str)]) -> Result<ProducerSettings, PropertyErrors> {
    producer(&properties(entries))
}

fn consumer_of(entries: &[(&str, &str)]) -> Result<ConsumerSettings, PropertyErrors> {
    consumer(&properties(entries))
}

fn texts(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(ToString::to_string).collect()
}

/// The values of some keys, `-` for absent ones.
fn values<'a>(client: &'a BTreeMap<String, String>, keys: &[&str]) -> Vec<&'a str> {
    keys.iter().map(|key| client.get(*key).map_or("-", String::as_str)).collect()
}
