//! A real Kafka of a test's own, behind a proxy that can keep its answers back.
//!
//! Clients that start at the proxy's address stay there: it is the address that this listener tells them. The harness
//! itself uses the plain listener, which no fault of the proxy touches.

use super::settings::Security;
use super::{Kafka, free_port};
use crate::proxy::Proxy;

/// The running broker.
#[derive(Debug)]
pub struct Proxied {
    /// The same broker without the proxy.
    pub kafka: Kafka,
    /// What is between clients and the broker.
    pub proxy: Proxy,
}

impl Proxied {
    /// One of its own; `None` when Java or Maven is missing.
    ///
    /// # Panics
    /// When it cannot be started, or something is missing with `CI=true`.
    #[must_use]
    pub fn start_unless_missing() -> Option<Self> {
        let hidden = free_port();
        let proxy = Proxy::start(([127, 0, 0, 1], hidden).into());
        let behind = Some((hidden, proxy.address().port()));
        let security = Security { listeners: String::new(), behind, settings: String::new() };
        let kafka = Kafka::start_with(&["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"], &[], &security)?;
        Some(Self { kafka, proxy })
    }

    /// `host:port` for clients whose network is to fail.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.proxy.address().to_string()
    }
}
