//! The data ports: accept connections, in clear and with TLS, and serve HTTP/1 and HTTP/2 on them with hyper itself.
//!
//! Knows connections, not events: each request goes to `handler`. Bounds: connections (more wait to be accepted), heads
//! (64 KiB or what the settings allow), idle times. Source: spec ingress 1.1 and 7.2.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::rt::Executor;
use hyper_util::server::conn::auto;
use millrace_config::properties::http_server::HttpServerSettings;
use millrace_config::snapshot::Snapshot;
use millrace_runtime::drain::Drain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

mod connection;
mod frames;
mod head;
mod listen;
mod registry;
mod serve;
mod stream;
mod tls;
mod upgrade;
mod watched;

pub(crate) use listen::bind;
use registry::Registry;
use serve::Serving;
use stream::Stream;
use tls::Door;
pub(crate) use tls::{TlsPort, config as tls_config};

use crate::handler::Ingress;

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

/// The data ports of a running ingress.
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

    fn settings(&self) -> Arc<HttpServerSettings> {
        self.http.load()
    }

    /// Accepts until draining begins, then lets every connection finish what it has begun. Returns when nothing more is
    /// accepted; the connections go on.
    pub(crate) async fn run(self, listener: TcpListener, tls: TlsPort) {
        let token = self.drain.token();
        let sweeping = self.registry.clone().sweep(self.http.clone(), Arc::clone(&self.slots));
        tokio::select! {
            biased;
            () = token.cancelled() => {}
            () = self.accept(&listener, None) => {}
            () = tls.run(&self) => {}
            () = sweeping => {}
        }
        // Clients that are connected already, as they see it, are served as well.
        while let (Ok(slot), Some(Ok((stream, _)))) =
            (Arc::clone(&self.slots).try_acquire_owned(), listener.accept().now_or_never())
        {
            self.serve(stream, slot, None);
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

    /// Accepts for ever; through `door`, when there is one, only with TLS.
    async fn accept(&self, listener: &TcpListener, mut door: Option<Door>) {
        while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => self.serve(stream, slot, door.as_mut()),
                Err(error) => {
                    warn!(%error, "Cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, slot: OwnedSemaphorePermit, door: Option<&mut Door>) {
        let settings = self.settings();
        if let Err(error) = listen::configure(&stream, &settings.socket) {
            debug!(%error, "Connection went before it was served");
            return;
        }
        let handshake = match door {
            None => None,
            Some(door) => match door.handshake(&settings) {
                None => return,
                handshake => handshake,
            },
        };
        let activity = self.registry.add(&settings);
        let connections = self.connections.clone();
        let serving = Arc::new(Serving::new(&self.ingress, settings, connections, Arc::clone(&activity)));
        let (registry, metrics) = (Arc::clone(&self.registry), self.ingress.metrics.clone());
        metrics.connections.inc();
        self.connections.spawn(async move {
            let stream = match handshake {
                None => Some(Stream::Plain(stream)),
                // A client that has not got through when all others leave would only hold them up.
                Some(handshake) => tokio::select! {
                    stream = handshake.perform(stream) => stream,
                    () = activity.told() => None,
                },
            };
            match stream {
                Some(stream) => serving.serve(stream).await,
                None => metrics.handshake_failures.inc(),
            }
            if let Some(status) = activity.refusal() {
                metrics.answered(status);
            }
            registry.remove(&activity);
            metrics.connections.dec();
            drop(slot);
        });
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

/// What hyper is told to keep to.
fn builder(settings: &HttpServerSettings, connections: &TaskTracker) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(Tracked(connections.clone()));
    let largest_head = settings.max_initial_line_length.saturating_add(settings.max_header_size);
    let mut http1 = builder.http1();
    // No timer and so no header timeout of hyper's: it would also close idle connections. `registry` has ours. Answers are
    // small, so gathering them into one piece costs less than writing several.
    http1.auto_date_header(false).header_read_timeout(None).writev(false);
    http1.max_buf_size(HEAD_BYTES.max(largest_head.saturating_mul(2)));
    // The peer bounds the bytes of headers and not their number; hyper needs a number.
    http1.max_headers((settings.max_header_size / SHORTEST_HEADER).max(DEFAULT_HEADERS));
    let mut http2 = builder.http2();
    http2.auto_date_header(false).max_concurrent_streams(HTTP2_STREAMS);
    let list = largest_head.saturating_add(HTTP2_HEADER_OVERHEAD * DEFAULT_HEADERS);
    http2.max_header_list_size(u32::try_from(list.max(HEAD_BYTES)).unwrap_or(u32::MAX));
    http2.initial_connection_window_size(settings.http2_connection_window);
    builder
}
