//! Ingress as a whole: the library in this process, raw sockets on one side, librdkafka's in-process cluster on the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod batches;
mod broker;
mod contract;
mod drain;
mod faults;
mod foreign;
mod h2spec;
mod harness;
mod hostile;
mod issuer;
mod lines;
mod oidc;
mod oidc_keys;
mod outage;
mod process;
mod protocol;
mod records;
mod secrets;
mod slow_http2;
mod smuggling;
mod statuses;
mod telemetry;
mod tls;
mod upgrade;
mod values;
