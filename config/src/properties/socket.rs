//! Socket options, which the HTTP server and the HTTP client share.

use std::time::Duration;

use super::draft::Draft;
use super::vertx::{Options as _, Unit};

/// Options of TCP sockets. Absent: as the operating system does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSettings {
    /// Send small packets at once. On by default.
    pub no_delay: bool,
    /// Probe idle connections. Off by default.
    pub keep_alive: bool,
    /// How long a connection may be idle before the first probe.
    pub keep_alive_idle: Option<Duration>,
    /// Pause between probes.
    pub keep_alive_interval: Option<Duration>,
    /// Probes without an answer before the connection is given up.
    pub keep_alive_count: Option<u32>,
    /// How long closing waits for data that is not sent yet.
    pub linger: Option<Duration>,
    /// Bind although old connections of the port linger. On by default.
    pub reuse_address: bool,
    /// Let several sockets share the port. Off by default.
    pub reuse_port: bool,
    /// Bytes.
    pub send_buffer: Option<usize>,
    /// Bytes.
    pub receive_buffer: Option<usize>,
    /// The type-of-service byte of packets.
    pub traffic_class: Option<u8>,
    /// Send data with the first packet. Off by default.
    pub fast_open: bool,
    /// Hold partial packets back. Off by default.
    pub cork: bool,
    /// Acknowledge at once. Off by default.
    pub quick_ack: bool,
    /// How long sent data may remain unacknowledged before the connection is given up.
    pub user_timeout: Option<Duration>,
}

pub(super) fn read(draft: &mut Draft<'_>) -> SocketSettings {
    // -1 stands for "as the operating system does it".
    let size = |number: Option<i32>| number.and_then(|number| usize::try_from(number).ok());
    let seconds = |number: Option<i32>| number.and_then(|number| u64::try_from(number).ok()).map(Duration::from_secs);
    SocketSettings {
        no_delay: draft.flag("tcpNoDelay").unwrap_or(true),
        keep_alive: draft.flag("tcpKeepAlive").unwrap_or(false),
        keep_alive_idle: seconds(draft.int("tcpKeepAliveIdleSeconds", -1..=i32::MAX)).filter(|idle| !idle.is_zero()),
        keep_alive_interval: seconds(draft.int("tcpKeepAliveIntervalSeconds", -1..=i32::MAX))
            .filter(|interval| !interval.is_zero()),
        keep_alive_count: draft
            .int("tcpKeepAliveCount", -1..=i32::MAX)
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| *count > 0),
        linger: seconds(draft.int("soLinger", -1..=i32::MAX)),
        reuse_address: draft.flag("reuseAddress").unwrap_or(true),
        reuse_port: draft.flag("reusePort").unwrap_or(false),
        send_buffer: size(draft.int("sendBufferSize", -1..=i32::MAX)).filter(|bytes| *bytes > 0),
        receive_buffer: size(draft.int("receiveBufferSize", -1..=i32::MAX)).filter(|bytes| *bytes > 0),
        traffic_class: draft.int("trafficClass", -1..=255).and_then(|class| u8::try_from(class).ok()),
        fast_open: draft.flag("tcpFastOpen").unwrap_or(false),
        cork: draft.flag("tcpCork").unwrap_or(false),
        quick_ack: draft.flag("tcpQuickAck").unwrap_or(false),
        user_timeout: draft.span("tcpUserTimeout", Unit::MILLISECONDS),
    }
}
