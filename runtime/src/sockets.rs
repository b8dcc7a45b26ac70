//! Options of TCP connections that neither tokio nor the HTTP client sets by itself.
//!
//! For connections that are accepted and for those that are made: both properties files have the same keys.
//! Source: ingress spec 7.2, dispatcher spec 9.4, the rows of socket options.

use std::io;

use millrace_config::properties::SocketSettings;
use socket2::SockRef;
use tokio::net::TcpStream;

/// Sets `soLinger`, `trafficClass`, `tcpCork` and `tcpQuickAck`; only what differs from the system's ways costs a call.
///
/// # Errors
///
/// When the system refuses an option, or the connection is gone already.
pub fn set_options(stream: &TcpStream, options: &SocketSettings) -> io::Result<()> {
    let socket = SockRef::from(stream);
    if options.linger.is_some() {
        socket.set_linger(options.linger)?;
    }
    // The class has another name in IPv6, and the peer knows only this one.
    if let Some(class) = options.traffic_class
        && stream.peer_addr()?.is_ipv4()
    {
        socket.set_tos_v4(class.into())?;
    }
    #[cfg(target_os = "linux")]
    {
        if options.cork {
            socket.set_tcp_cork(true)?;
        }
        if options.quick_ack {
            socket.set_tcp_quickack(true)?;
        }
    }
    Ok(())
}
