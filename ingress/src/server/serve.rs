//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use http::header::TRANSFER_ENCODING;
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderValue, Request, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use millrace_config::properties::http_server::HttpServerSettings;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::connection::{Activity, Signal};
use super::head::Traits;
use super::stream::Stream;
use super::upgrade::{self, Prepared, Upgrade};
use super::watched::Watched;
use super::{Tracked, builder};
use crate::error::{Answer, Rejection};
use crate::handler::{self, Ingress, RequestLimits, closing};

/// Everything about one connection but its bytes.
pub(super) struct Serving {
    ingress: Arc<Ingress>,
    settings: Arc<HttpServerSettings>,
    connections: TaskTracker,
    activity: Arc<Activity>,
    limits: RequestLimits,
    /// Filled by a request that turns the connection into one of HTTP/2. Touched by such requests and at the end only.
    upgrade: Mutex<Option<Upgrade>>,
}

impl Serving {
    pub(super) fn new(
        ingress: &Arc<Ingress>,
        settings: Arc<HttpServerSettings>,
        connections: TaskTracker,
        activity: Arc<Activity>,
    ) -> Self {
        let limits = RequestLimits::from(&*settings);
        Self { ingress: Arc::clone(ingress), settings, connections, activity, limits, upgrade: Mutex::default() }
    }

    /// Serves the connection until it ends.
    pub(super) async fn serve(self: Arc<Self>, stream: Stream) {
        let builder = builder(&self.settings, &self.connections);
        let over_tls = stream.agreed_http2().is_some();
        let (builder, may_upgrade) = match stream.agreed_http2() {
            Some(true) => {
                self.activity.expect_preface();
                (builder.http2_only(), false)
            }
            Some(false) => (builder.http1_only(), false),
            None if self.settings.http2_clear_text => (builder, true),
            None => (builder.http1_only(), false),
        };
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&self.activity)));
        self.drive(io, &builder, (may_upgrade, over_tls)).await;
        let upgrade = self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(upgrade) = upgrade
            && let Some(io) = upgrade.begin(Arc::clone(&self.activity)).await
        {
            let builder = super::builder(&self.settings, &self.connections).http2_only();
            self.drive(io, &builder, (false, over_tls)).await;
        }
    }

    async fn drive<I>(self: &Arc<Self>, io: I, builder: &auto::Builder<Tracked>, (may_upgrade, over_tls): (bool, bool))
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let serving = Arc::clone(self);
        let service = service_fn(move |request: Request<Incoming>| {
            let serving = Arc::clone(&serving);
            // Taken apart here, before anything waits, and lent from here on: what is handed from one future to the next is
            // kept, and copied, once for each of them, and with many connections all that no longer fits into the cache.
            let (mut head, mut body) = request.into_parts();
            if over_tls && serving.ingress.tracer.is_some() {
                // An HTTP/1 request does not say it, and only spans ask.
                head.extensions.insert(Scheme::HTTPS);
            }
            async move { Ok::<_, Infallible>(serving.answer(&mut head, &mut body, may_upgrade).await) }
        });
        let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
        let mut draining = false;
        let ended = std::future::poll_fn(|context| {
            match self.activity.signal(context) {
                Signal::Evict => return Poll::Ready(Ok(())),
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

    async fn answer(&self, head: &mut Parts, body: &mut Incoming, may_upgrade: bool) -> Answer {
        let (busy, traits) = self.activity.begin(head.version == Version::HTTP_2);
        let fault = fault(traits, head, body);
        if may_upgrade && fault.is_none() && upgrade::is_asked_for(&head.headers) {
            // Boxed: it is rare, and must not make the futures of all requests larger.
            match Box::pin(upgrade::prepare(head, body, self.limits.body_arrival)).await {
                Prepared::Upgrade(upgrade, answer) => {
                    *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
                    busy.answered();
                    return answer;
                }
                Prepared::Unchanged => {}
                Prepared::Refused(rejection) => {
                    busy.answered();
                    return closing(&rejection);
                }
            }
        }
        let outcome = handler::handle(&self.ingress, &self.limits, fault, head, body).await;
        if outcome.unread {
            self.activity.linger();
        }
        busy.answered();
        outcome.answer
    }
}

/// What makes a head ambiguous. hyper would serve it; what comes behind it may be meant for somebody else.
fn fault(traits: Traits, head: &Parts, body: &Incoming) -> Option<Rejection> {
    if traits.has_two_framings() {
        return Some(Rejection::TwoFramings);
    }
    if traits.has_bare_line_feed() {
        return Some(Rejection::BareLineFeed);
    }
    if traits.has_two_hosts() {
        return Some(Rejection::TwoHosts);
    }
    // Only a body without a length can have a transfer coding.
    if head.version == Version::HTTP_11 && body.size_hint().exact().is_none() {
        let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
        let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !codings.next().is_some_and(is_chunked) || codings.next().is_some() {
            return Some(Rejection::TransferCoding);
        }
    }
    None
}
