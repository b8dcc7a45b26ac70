//! An open admin port, in clear or with TLS. Knows nothing of what is served behind it.
//!
//! Handshakes run beside one another, few at a time and not for long: a client that says nothing delays nobody.
//! Source: ingress spec 3.1 and dispatcher spec 1.2 (`METRICS_PEM_CERT_PATH`, `METRICS_PEM_KEY_PATH`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use axum::serve::Listener;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::AdminError;
use crate::tls;

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Handshakes at a time; who comes later waits to be accepted.
const CONCURRENT_HANDSHAKES: usize = 32;

/// Where to listen for admin requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `host:port`; port 0 lets the system choose.
    pub address: String,
    /// Path of the metrics.
    pub metrics_path: String,
    /// Files of the certificate and its key. Absent: in clear.
    pub pem: Option<(PathBuf, PathBuf)>,
}

impl Place {
    /// Listens. Certificate and key are read now and not again, as the peer does.
    ///
    /// # Errors
    /// When the address cannot be resolved or bound, or the files make no certificate.
    pub async fn open(&self) -> Result<Door, AdminError> {
        let acceptor = self.pem.as_ref().map(|(certificate, key)| acceptor(certificate, key)).transpose()?;
        let mut door = super::bind(&self.address).await?;
        door.acceptor = acceptor;
        Ok(door)
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, AdminError> {
    let certified = tls::certified(certificate, key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(AdminError::Tls)?.with_no_client_auth();
    Ok(TlsAcceptor::from(Arc::new(config.with_cert_resolver(Arc::new(certified)))))
}

/// An open port.
pub struct Door {
    tcp: TcpListener,
    acceptor: Option<TlsAcceptor>,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl Door {
    pub(super) fn plain(tcp: TcpListener) -> Self {
        Self { tcp, acceptor: None, handshakes: JoinSet::new() }
    }

    /// What it is bound to.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Door").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

impl Listener for Door {
    type Io = Either<TcpStream, TlsStream<TcpStream>>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let Some(acceptor) = &self.acceptor else {
            let (stream, from) = Listener::accept(&mut self.tcp).await;
            return (Either::Left(stream), from);
        };
        loop {
            tokio::select! {
                (stream, from) = Listener::accept(&mut self.tcp), if self.handshakes.len() < CONCURRENT_HANDSHAKES => {
                    let handshake = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream));
                    self.handshakes.spawn(async move { Some((handshake.await.ok()?.ok()?, from)) });
                }
                // A handshake that failed is the client's business.
                Some(ended) = self.handshakes.join_next() => {
                    if let Ok(Some((stream, from))) = ended {
                        return (Either::Right(stream), from);
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
