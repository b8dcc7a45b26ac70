//! TLS in front of a plain server of a test: certificates that change while connections come and go.
//!
//! Authorities sign one certificate each, for 127.0.0.1. What is inside the connection is copied as it is.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An authority and a certificate of its.
#[derive(Debug)]
pub struct Identity {
    /// What clients are to trust, PEM.
    pub authority: String,
    certificate: String,
    key: String,
}

impl Identity {
    /// A new one; `name` tells authorities apart.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let authority_key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names are valid names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).expect("a certificate").pem();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![Ipv4Addr::LOCALHOST.to_string()]).expect("an address is a valid name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
        Self { authority, certificate, key: key.serialize_pem() }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("it is PEM");
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("it is PEM");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        TlsAcceptor::from(Arc::new(config.expect("the pair fits")))
    }
}

/// A running front; ends with this value.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    state: Arc<State>,
    /// Its number is that of the identity; connections of an older one are cut.
    epoch: watch::Sender<Option<u64>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    acceptor: Mutex<TlsAcceptor>,
    handshakes: AtomicUsize,
    failures: AtomicUsize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("handshakes", &self.handshakes).finish_non_exhaustive()
    }
}

impl Front {
    /// Listens on a free port of 127.0.0.1 and passes on to `target`.
    ///
    /// # Panics
    /// When no port or thread can be had.
    #[must_use]
    pub fn start(target: SocketAddr, identity: &Identity) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let state = State {
            acceptor: Mutex::new(identity.acceptor()),
            handshakes: AtomicUsize::default(),
            failures: AtomicUsize::default(),
        };
        let (state, (epoch, watched)) = (Arc::new(state), watch::channel(Some(0)));
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            runtime.block_on(accept(listener, target, shared, watched));
            runtime.shutdown_background();
        });
        Self { address, state, epoch, thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows another certificate from now on, and ends the connections that have seen the old one when their request is over.
    pub fn show(&self, identity: &Identity) {
        *self.state.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = identity.acceptor();
        self.epoch.send_modify(|epoch| *epoch = epoch.map(|epoch| epoch + 1));
    }

    /// Handshakes that succeeded and that failed.
    #[must_use]
    pub fn handshakes(&self) -> (usize, usize) {
        (self.state.handshakes.load(Ordering::SeqCst), self.state.failures.load(Ordering::SeqCst))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.epoch.send_replace(None);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    target: SocketAddr,
    state: Arc<State>,
    mut epoch: watch::Receiver<Option<u64>>,
) {
    let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
    let mut connections = tokio::task::JoinSet::new();
    let watched = epoch.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            ended = epoch.wait_for(Option::is_none) => {
                drop(ended);
                return;
            }
        };
        let Ok((stream, _)) = accepted else { continue };
        connections.spawn(carry(stream, target, Arc::clone(&state), watched.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn carry(stream: TcpStream, target: SocketAddr, state: Arc<State>, mut epoch: watch::Receiver<Option<u64>>) {
    epoch.mark_unchanged();
    let acceptor = state.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Ok(mut client) = acceptor.accept(stream).await else {
        state.failures.fetch_add(1, Ordering::SeqCst);
        return;
    };
    state.handshakes.fetch_add(1, Ordering::SeqCst);
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    tokio::select! {
        // One side has gone; there is nobody to tell.
        copied = copy_bidirectional(&mut client, &mut server) => drop(copied),
        changed = epoch.changed() => drop(changed),
    }
}
