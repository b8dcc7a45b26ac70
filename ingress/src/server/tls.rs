//! The TLS port: open while there is a certificate, closed while there is none.
//!
//! A handshake never holds up the accepting of others: it has its own task, a time limit, and, once its client has
//! begun to speak, one of a bounded number of places. Source: spec ingress 1.1 and 6.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millrace_config::properties::http_server::{ClientAuth, HttpServerSettings};
use millrace_runtime::startup::with_causes;
use millrace_runtime::tls::Certificates;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, info};

use super::Server;
use super::listen::bind;
use super::stream::Stream;

/// How HTTP/2 is called during a handshake.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// Handshakes under way; each costs a millisecond or so of a core, and more at once only make all of them slower.
const HANDSHAKES: usize = 512;
/// Pause before a port that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Why TLS cannot be served as the settings ask for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(
        "clientAuth asks for client certificates, but this machine has no certificate authorities to check them by"
    )]
    NoAuthorities(#[source] rustls::server::VerifierBuilderError),
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

/// What is needed to open the port whenever there is a certificate.
pub(crate) struct TlsPort {
    pub(crate) port: u16,
    pub(crate) certificates: Certificates,
    /// Changes whenever certificates come or go.
    pub(crate) present: watch::Receiver<bool>,
    /// Open already.
    pub(crate) listener: Option<TcpListener>,
    /// Where it listens; absent while it does not.
    pub(crate) address: watch::Sender<Option<SocketAddr>>,
}

impl TlsPort {
    /// Opens and closes the port as certificates come and go, for ever.
    pub(super) async fn run(mut self, server: &Server) {
        loop {
            if !*self.present.borrow_and_update() {
                if self.listener.take().is_some() {
                    info!("TLS port closed: there is no certificate");
                }
                self.address.send_replace(None);
                if self.present.changed().await.is_err() {
                    return std::future::pending().await;
                }
                continue;
            }
            let Some(listener) = self.opened(server).await else {
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    _ = self.present.changed() => {}
                }
                continue;
            };
            let door = Door::new(self.certificates.clone());
            tokio::select! {
                () = server.accept(&listener, Some(door)) => {}
                gone = gone(&mut self.present) => if gone.is_err() { return std::future::pending().await },
            }
            self.listener = Some(listener);
        }
    }

    async fn opened(&mut self, server: &Server) -> Option<TcpListener> {
        if let Some(listener) = self.listener.take() {
            return Some(listener);
        }
        match bind(self.port, "INGRESS_TLS_PORT", &server.settings()).await {
            Ok(listener) => {
                let address = listener.local_addr().ok();
                info!(tls_port = address.map(|address| address.port()), "TLS port open");
                self.address.send_replace(address);
                Some(listener)
            }
            Err(problem) => {
                error!(error = with_causes(&problem), "TLS port cannot be opened, trying again");
                None
            }
        }
    }
}

/// Waits until there is no certificate.
async fn gone(present: &mut watch::Receiver<bool>) -> Result<(), watch::error::RecvError> {
    present.wait_for(|present| !present).await.map(drop)
}

/// Turns accepted connections into TLS streams, as the settings in force say.
pub(super) struct Door {
    certificates: Certificates,
    handshakes: Arc<Semaphore>,
    /// The settings last looked at, usable or not.
    seen: Option<Arc<HttpServerSettings>>,
    acceptor: Option<TlsAcceptor>,
}

impl Door {
    fn new(certificates: Certificates) -> Self {
        Self { certificates, handshakes: Arc::new(Semaphore::new(HANDSHAKES)), seen: None, acceptor: None }
    }

    /// A handshake for one connection.
    pub(super) fn handshake(&mut self, settings: &Arc<HttpServerSettings>) -> Option<Handshake> {
        if !self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, settings)) {
            self.seen = Some(Arc::clone(settings));
            match config(&self.certificates, settings) {
                Ok(config) => self.acceptor = Some(TlsAcceptor::from(Arc::new(config))),
                Err(problem) => error!(error = with_causes(&problem), "HTTP server properties do not count for TLS"),
            }
        }
        // Settings that cannot be used leave the last ones in force; without any, nobody is let in.
        let acceptor = self.acceptor.clone()?;
        let limit = settings.tls_handshake_timeout;
        Some(Handshake { acceptor, places: Arc::clone(&self.handshakes), limit })
    }
}

/// What one handshake needs.
pub(super) struct Handshake {
    acceptor: TlsAcceptor,
    places: Arc<Semaphore>,
    limit: Duration,
}

impl Handshake {
    /// Agrees with the client, within the time limit. Absent: it failed, which is the client's business.
    pub(super) async fn perform(self, stream: TcpStream) -> Option<Stream> {
        let agreeing = async {
            // Only who has begun to speak takes a place.
            stream.readable().await?;
            let _place = self.places.acquire().await;
            self.acceptor.accept(stream).await
        };
        match tokio::time::timeout(self.limit, agreeing).await {
            Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => {
                debug!(%error, "TLS handshake failed");
                None
            }
            Err(_) => {
                debug!(limit = ?self.limit, "TLS handshake took too long");
                None
            }
        }
    }
}

/// TLS 1.2 and 1.3. HTTP/2 is offered only if the settings say so, as by the peer.
///
/// # Errors
///
/// When client certificates are asked for and cannot be checked.
pub(crate) fn config(certificates: &Certificates, settings: &HttpServerSettings) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verifier = || {
        let authorities = Arc::new(system_authorities());
        WebPkiClientVerifier::builder_with_provider(authorities, provider)
    };
    let builder = match settings.client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Request => {
            let verifier = verifier().allow_unauthenticated().build().map_err(TlsError::NoAuthorities)?;
            builder.with_client_cert_verifier(verifier)
        }
        ClientAuth::Required => builder.with_client_cert_verifier(verifier().build().map_err(TlsError::NoAuthorities)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates.clone()));
    config.alpn_protocols = match settings.use_alpn {
        true => vec![HTTP2.to_vec(), HTTP1.to_vec()],
        // No protocol is named at all, so that clients which name some are not refused.
        false => Vec::new(),
    };
    Ok(config)
}

/// The properties cannot name authorities, so those of the machine count, as with the peer.
fn system_authorities() -> RootCertStore {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    authorities
}
