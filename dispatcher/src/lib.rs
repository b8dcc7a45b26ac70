//! Reads Kafka topics and delivers their events to HTTP subscribers, with order, filters, retries, replies and dead
//! letters.
//!
//! One record's way: `consumer > partition > dispatch > event > filter > delivery > sender > (reply | dead_letter |
//! undelivered) > offsets`; `committer` works off the path. It learns of subscriptions only from the contract file and
//! of tuning only from the properties files.

pub mod app;
mod committer;
mod consumer;
mod dead_letter;
mod debug;
mod delivery;
mod dispatch;
mod egress;
mod live;
mod metrics;
mod offsets;
mod outcome;
mod partition;
mod pipeline;
mod pressure;
mod progress;
mod reconcile;
mod record;
mod reply;
mod reply_keys;
mod route;
mod sender;
mod settings;
mod slot;
mod spans;
#[cfg(test)]
mod testing;
mod undelivered;
mod window;
