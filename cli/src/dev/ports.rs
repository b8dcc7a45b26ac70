//! Checks a port before anything is started on it, to say clearly what to do when it is taken.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    #[error(
        "port {port} is in use: end the program that has it (`ss -ltnp 'sport = :{port}'` shows which), \
         or choose another with {option} N ({option} 0 takes any free one)"
    )]
    InUse { port: u16, option: &'static str },
    #[error("port {port} may not be opened by this user: choose one above 1023 with {option} N")]
    Forbidden { port: u16, option: &'static str },
    #[error("port {port} cannot be opened")]
    Other { port: u16, source: std::io::Error },
}

impl PortError {
    pub(crate) fn new(port: u16, option: &'static str, source: std::io::Error) -> Self {
        // Kinds of errors are an open list; those that a user can act on have their own words.
        if source.kind() == ErrorKind::AddrInUse {
            Self::InUse { port, option }
        } else if source.kind() == ErrorKind::PermissionDenied {
            Self::Forbidden { port, option }
        } else {
            Self::Other { port, source }
        }
    }
}

/// The port itself if it is free, or a free one for 0. It is free again when this returns: another program could
/// take it before its child does, which the child would then report.
///
/// # Errors
/// When the port is taken or may not be opened.
pub(crate) fn free(port: u16, option: &'static str) -> Result<u16, PortError> {
    let open = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?.local_addr();
    open().map(|address| address.port()).map_err(|source| PortError::new(port, option, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_says_what_to_do() {
        let holder = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let message = free(port, "--port").unwrap_err().to_string();
        assert!(message.starts_with(&format!("port {port} is in use: ")), "{message}");
        assert!(message.contains("--port N"), "{message}");
    }

    #[test]
    fn zero_finds_a_free_port_that_can_be_opened() {
        let port = free(0, "--port").unwrap();
        assert_ne!(port, 0);
        assert_eq!(free(port, "--port").unwrap(), port);
    }
}
