//! Opens listening sockets and sets the options of sockets, as the properties file has them.
//!
//! Source: spec ingress 7.2, the row of socket options.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use millrace_config::properties::SocketSettings;
use millrace_config::properties::http_server::HttpServerSettings;
use millrace_runtime::sockets;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

/// Connections that may wait to be accepted when the settings do not say.
const BACKLOG: u32 = 1024;

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for events on {host}:{port} ({variable})")]
pub(crate) struct BindError {
    host: String,
    port: u16,
    variable: &'static str,
    source: io::Error,
}

/// Listens on the settings' address; port 0 lets the system choose. `variable` is where the port comes from.
///
/// # Errors
///
/// When the address cannot be resolved, is in use or may not be used.
pub(crate) async fn bind(
    port: u16,
    variable: &'static str,
    settings: &HttpServerSettings,
) -> Result<TcpListener, BindError> {
    let failed = |source| BindError { host: settings.host.clone(), port, variable, source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((settings.host.as_str(), port)).await.map_err(failed)? {
        match listen(address, settings) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// All addresses are those of IPv6 too, as with Java; where the machine has none, or somebody else is there, those of IPv4.
fn listen(address: SocketAddr, settings: &HttpServerSettings) -> io::Result<TcpListener> {
    if address.ip() != Ipv4Addr::UNSPECIFIED {
        return listen_at(address, settings);
    }
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
    listen_at(both, settings).or_else(|_no_ipv6| listen_at(address, settings))
}

fn listen_at(address: SocketAddr, settings: &HttpServerSettings) -> io::Result<TcpListener> {
    let options = &settings.socket;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        SockRef::from(&socket).set_only_v6(false)?;
    }
    socket.set_reuseaddr(options.reuse_address)?;
    if options.reuse_port {
        socket.set_reuseport(true)?;
    }
    // Accepted connections inherit these from the listening socket.
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(size(bytes))?;
    }
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(size(bytes))?;
    }
    socket.bind(address)?;
    socket.listen(settings.accept_backlog.unwrap_or(BACKLOG))
}

/// Sets the options of one accepted connection; only what differs from the system's ways costs a call.
///
/// # Errors
///
/// When the system refuses an option, or the connection is gone already.
pub(super) fn configure(stream: &TcpStream, options: &SocketSettings) -> io::Result<()> {
    stream.set_nodelay(options.no_delay)?;
    let socket = SockRef::from(stream);
    if options.keep_alive {
        let mut keep_alive = TcpKeepalive::new();
        if let Some(idle) = options.keep_alive_idle {
            keep_alive = keep_alive.with_time(idle);
        }
        if let Some(interval) = options.keep_alive_interval {
            keep_alive = keep_alive.with_interval(interval);
        }
        if let Some(count) = options.keep_alive_count {
            keep_alive = keep_alive.with_retries(count);
        }
        socket.set_tcp_keepalive(&keep_alive)?;
    }
    #[cfg(target_os = "linux")]
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout)?;
    }
    sockets::set_options(stream, options)
}

#[cfg(test)]
mod tests {
    //! Who can reach a port.

    use millrace_config::properties::grammar;
    use millrace_config::properties::http_server::http_server;

    use super::*;

    async fn is_reached(properties: &str, from: impl Into<std::net::IpAddr>) -> bool {
        let settings = http_server(&grammar::parse(properties.as_bytes()).unwrap()).unwrap();
        let listener = bind(0, "INGRESS_PORT", &settings).await.unwrap();
        TcpStream::connect((from.into(), listener.local_addr().unwrap().port())).await.is_ok()
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_versions_and_one_address_is_only_that() {
        assert!(is_reached("", Ipv4Addr::LOCALHOST).await);
        assert!(is_reached("host=127.0.0.1", Ipv4Addr::LOCALHOST).await);
        assert!(!is_reached("host=127.0.0.2", Ipv4Addr::LOCALHOST).await);
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_err() {
            return eprintln!("SKIPPED: this machine has no IPv6");
        }
        assert!(is_reached("", Ipv6Addr::LOCALHOST).await);
        assert!(is_reached("host=::", Ipv4Addr::LOCALHOST).await);
        assert!(!is_reached("host=127.0.0.1", Ipv6Addr::LOCALHOST).await);
    }
}
