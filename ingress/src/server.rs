//! The data port: accepts connections and serves HTTP/1 and HTTP/2 on them with hyper itself.
//!
//! Knows connections, not events: each request goes to `handler`. Bounds: connections (more wait to be accepted), heads
//! (64 KiB or what the settings allow), idle times. Source: spec ingress 1.1 and 7.2.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use millrace_config::properties::http_server::HttpServerSettings;
use millrace_config::snapshot::Snapshot;
use millrace_runtime::drain::Drain;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

mod connection;
mod registry;

use connection::{Activity, Signal, Watched};
use registry::Registry;

use crate::handler::{self, Ingress, RequestLimits};

/// Connections that may wait to be accepted when the settings do not say.
const BACKLOG: u32 = 1024;
/// Heads up to this size are read whatever the limits, so that the answer says which limit it was.
const HEAD_BYTES: usize = 64 * 1024;
/// Bytes of a header line that is as short as headers in use are.
const SHORTEST_HEADER: usize = 16;
/// hyper's own bound on the number of headers.
const DEFAULT_HEADERS: usize = 100;
/// What HTTP/2 adds to each header's size in its own count.
const HTTP2_HEADER_OVERHEAD: usize = 32;
/// Requests at a time on one HTTP/2 connection, as the peer.
const HTTP2_STREAMS: u32 = 100;
/// Pause after a failed accept: the system is out of descriptors, and trying at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for events on {host}:{port} (INGRESS_PORT)")]
pub(crate) struct BindError {
    host: String,
    port: u16,
    source: io::Error,
}

/// Listens on the settings' address; port 0 lets the system choose.
///
/// # Errors
///
/// When the address cannot be resolved, is in use or may not be used.
pub(crate) async fn bind(port: u16, settings: &HttpServerSettings) -> Result<TcpListener, BindError> {
    let failed = |source| BindError { host: settings.host.clone(), port, source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((settings.host.as_str(), port)).await.map_err(failed)? {
        match listen(address, settings) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn listen(address: SocketAddr, settings: &HttpServerSettings) -> io::Result<TcpListener> {
    let options = &settings.socket;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(options.reuse_address)?;
    if options.reuse_port {
        socket.set_reuseport(true)?;
    }
    // Accepted connections inherit these from the listening socket.
    socket.set_keepalive(options.keep_alive)?;
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

/// The data port of a running ingress.
pub(crate) struct Server {
    ingress: Arc<Ingress>,
    http: Snapshot<HttpServerSettings>,
    registry: Arc<Registry>,
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    drain: Drain,
}

impl Server {
    /// Nothing is accepted yet.
    pub(crate) fn new(ingress: Arc<Ingress>, http: Snapshot<HttpServerSettings>, drain: Drain) -> Self {
        let slots = Arc::new(Semaphore::new(http.load().connections_max));
        Self { ingress, http, registry: Arc::default(), slots, connections: TaskTracker::new(), drain }
    }

    /// Every open connection.
    pub(crate) fn connections(&self) -> TaskTracker {
        self.connections.clone()
    }

    /// Accepts until draining begins, then lets every connection finish what it has begun. Returns when nothing more is
    /// accepted; the connections go on.
    pub(crate) async fn run(self, listener: TcpListener) {
        let token = self.drain.token();
        let sweeping = self.registry.clone().sweep(self.http.clone(), Arc::clone(&self.slots));
        tokio::select! {
            biased;
            () = token.cancelled() => {}
            () = self.accept(&listener) => {}
            () = sweeping => {}
        }
        // Clients that are connected already, as they see it, are served as well.
        while let (Ok(slot), Some(Ok((stream, _)))) =
            (Arc::clone(&self.slots).try_acquire_owned(), listener.accept().now_or_never())
        {
            self.serve(stream, slot);
        }
        drop(listener);
        self.connections.close();
        self.registry.drain();
        // Idle times and lingering connections still need an eye on them.
        let registry = Arc::clone(&self.registry);
        let (http, slots) = (self.http.clone(), Arc::clone(&self.slots));
        let connections = self.connections.clone();
        self.drain.tracker().spawn(async move {
            tokio::select! {
                () = connections.wait() => {}
                () = registry.sweep(http, slots) => {}
            }
        });
    }

    async fn accept(&self, listener: &TcpListener) {
        while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => self.serve(stream, slot),
                Err(error) => {
                    warn!(%error, "Cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, slot: OwnedSemaphorePermit) {
        let settings = self.http.load();
        if let Err(error) = stream.set_nodelay(settings.socket.no_delay) {
            debug!(%error, "Connection went before it was served");
            return;
        }
        let activity = self.registry.add(&settings);
        let limits = RequestLimits::from(&*settings);
        let builder = builder(&settings, &self.connections);
        let connection = serve(stream, builder, Arc::clone(&self.ingress), limits, Arc::clone(&activity));
        let (registry, gauge) = (Arc::clone(&self.registry), self.ingress.metrics.connections.clone());
        gauge.inc();
        self.connections.spawn(async move {
            connection.await;
            registry.remove(&activity);
            gauge.dec();
            drop(slot);
        });
    }
}

/// One connection from its first byte to its last.
async fn serve(
    stream: TcpStream,
    builder: auto::Builder<Tracked>,
    ingress: Arc<Ingress>,
    limits: RequestLimits,
    activity: Arc<Activity>,
) {
    let watching = Arc::clone(&activity);
    let service = service_fn(move |request: Request<Incoming>| {
        let (ingress, activity) = (Arc::clone(&ingress), Arc::clone(&watching));
        async move {
            let _busy = activity.begin(request.version() == Version::HTTP_2);
            let outcome = handler::handle(&ingress, limits, request).await;
            if outcome.unread {
                activity.linger();
            }
            Ok::<_, Infallible>(outcome.answer)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(Watched::new(stream, Arc::clone(&activity))), service);
    let mut connection = std::pin::pin!(connection);
    let mut draining = false;
    let ended = std::future::poll_fn(|context| {
        match activity.signal(context) {
            Signal::Evict => return std::task::Poll::Ready(Ok(())),
            Signal::Drain if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            Signal::Drain | Signal::None => {}
        }
        connection.as_mut().poll(context)
    });
    // A broken connection is the client's business; whatever it sent whole was answered or refused.
    if let Err(error) = ended.await {
        debug!(error, "Connection ended early");
    }
}

/// Runs HTTP/2 streams where a drain can wait for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

fn builder(settings: &HttpServerSettings, connections: &TaskTracker) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(Tracked(connections.clone()));
    let largest_head = settings.max_initial_line_length.saturating_add(settings.max_header_size);
    let mut http1 = builder.http1();
    // No timer and so no header timeout of hyper's: it would also close idle connections. `registry` has ours.
    http1.auto_date_header(false).header_read_timeout(None);
    http1.max_buf_size(HEAD_BYTES.max(largest_head.saturating_mul(2)));
    // The peer bounds the bytes of headers and not their number; hyper needs a number.
    http1.max_headers((settings.max_header_size / SHORTEST_HEADER).max(DEFAULT_HEADERS));
    let mut http2 = builder.http2();
    http2.auto_date_header(false).max_concurrent_streams(HTTP2_STREAMS);
    let list = largest_head.saturating_add(HTTP2_HEADER_OVERHEAD * DEFAULT_HEADERS);
    http2.max_header_list_size(u32::try_from(list.max(HEAD_BYTES)).unwrap_or(u32::MAX));
    http2.initial_connection_window_size(settings.http2_connection_window);
    if settings.http2_clear_text { builder } else { builder.http1_only() }
}
