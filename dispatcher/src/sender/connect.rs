//! Makes connections: TCP with the socket options of the properties, each under guard, and TLS within its time.
//!
//! Source: dispatcher spec 9.4 (sockets, `connectTimeout`); Vert.x' `sslHandshakeTimeout`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use millrace_config::properties::SocketSettings;
use millrace_config::properties::http_client::HttpClientSettings;
use millrace_runtime::sockets;
use tokio::net::TcpStream;
use tower_service::Service;

use super::guard::{Guarded, Limits};

/// When TCP keep-alive is on and nothing says when it begins: Linux' default.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(7200);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Connects over TCP.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    connector: HttpConnector,
    socket: SocketSettings,
    limits: Limits,
}

impl Tcp {
    pub(crate) fn new(settings: &HttpClientSettings) -> Self {
        let socket = &settings.socket;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(socket.no_delay);
        connector.set_connect_timeout(settings.connect_timeout);
        connector.set_keepalive(socket.keep_alive.then_some(socket.keep_alive_idle.unwrap_or(KEEP_ALIVE_IDLE)));
        connector.set_keepalive_interval(socket.keep_alive_interval);
        connector.set_keepalive_retries(socket.keep_alive_count);
        connector.set_reuse_address(socket.reuse_address);
        connector.set_send_buffer_size(socket.send_buffer);
        connector.set_recv_buffer_size(socket.receive_buffer);
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(socket.user_timeout);
        connector.enforce_http(false);
        Self { connector, socket: socket.clone(), limits: Limits::of(settings) }
    }
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<Guarded<TcpStream>>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.connector.call(target);
        let (socket, limits) = (self.socket.clone(), self.limits);
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            sockets::set_options(&stream, &socket)?;
            Ok(TokioIo::new(Guarded::new(stream, limits)))
        })
    }
}

/// Connects within a time, all steps together; without one a server that never finishes its handshake would hold a
/// connection for as long as an attempt may take, and nobody would notice that it is TLS that hangs.
#[derive(Clone, Debug)]
pub(crate) struct Within<C> {
    connector: C,
    limit: Option<Duration>,
}

impl<C> Within<C> {
    /// Connecting and the handshake each have a limit; they count together. No limit for connecting: none at all.
    pub(crate) fn new(connector: C, settings: &HttpClientSettings) -> Self {
        let limit = settings.connect_timeout.map(|connect| connect.saturating_add(settings.tls_handshake_timeout));
        Self { connector, limit }
    }
}

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
    C::Response: 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Connecting<C::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.connector.call(target);
        let limit = self.limit;
        Box::pin(async move {
            let Some(limit) = limit else { return connecting.await.map_err(Into::into) };
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_elapsed) => Err(format!("no connection with TLS within {limit:?}").into()),
            }
        })
    }
}
