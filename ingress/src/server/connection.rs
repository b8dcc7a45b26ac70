//! What one connection is doing, as seen by its bytes and its requests, and the way to tell it to leave.
//!
//! The moments are coarse (a tick of the registry), so that reading and writing cost two plain stores.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use millrace_config::properties::http_server::HttpServerSettings;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How long a client may go on sending what was refused, so that it gets to read the answer.
const LINGER: Duration = Duration::from_secs(2);
/// How much of it is read and thrown away.
const LINGER_BYTES: usize = 8 * 1024 * 1024;
/// What an HTTP/2 connection begins with.
const HTTP2_PREFACE: &[u8] = b"PRI ";
/// Idle connections go after this when new ones wait for a place.
const CROWDED_IDLE: Duration = Duration::from_secs(10);

/// How long a connection without a request so far may still bring its first one while draining: a client that saw its
/// connection accepted has usually sent it already.
const FIRST_REQUEST: u64 = 1000;

/// What a connection was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    None,
    /// Finish what was begun, take nothing more.
    Drain,
    /// End now.
    Evict,
}

const NONE: u8 = 0;
const DRAIN: u8 = 1;
const EVICT: u8 = 2;

/// Milliseconds on the registry's clock; zero is never.
pub(super) type Moment = AtomicU64;

/// Shared by a connection's bytes, its requests and the registry.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) id: u64,
    clock: Arc<Moment>,
    settings: Arc<HttpServerSettings>,
    opened: u64,
    last_read: Moment,
    last_write: Moment,
    /// When the first byte of a head came whose end has not come yet.
    head_since: Moment,
    lingering_since: Moment,
    http2: AtomicBool,
    /// A first request has come.
    used: AtomicBool,
    requests: AtomicU32,
    signal: AtomicU8,
    waker: AtomicWaker,
}

/// A request is being worked on as long as this is held.
pub(super) struct Busy<'a>(&'a Activity);

impl Activity {
    pub(super) fn new(id: u64, clock: Arc<Moment>, settings: Arc<HttpServerSettings>) -> Self {
        let now = clock.load(Ordering::Relaxed);
        Self {
            id,
            clock,
            settings,
            opened: now,
            last_read: Moment::new(now),
            last_write: Moment::new(now),
            head_since: Moment::new(0),
            lingering_since: Moment::new(0),
            http2: AtomicBool::new(false),
            used: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            signal: AtomicU8::new(NONE),
            waker: AtomicWaker::new(),
        }
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn read(&self, bytes: &[u8]) {
        let now = self.now();
        self.last_read.store(now, Ordering::Relaxed);
        if self.requests.load(Ordering::Relaxed) > 0 || self.head_since.load(Ordering::Relaxed) > 0 {
            return;
        }
        if bytes.starts_with(HTTP2_PREFACE) {
            self.http2.store(true, Ordering::Relaxed);
        }
        self.head_since.store(now, Ordering::Relaxed);
    }

    fn wrote(&self) {
        self.last_write.store(self.now(), Ordering::Relaxed);
    }

    /// A whole head has arrived.
    pub(super) fn begin(&self, http2: bool) -> Busy<'_> {
        if http2 {
            self.http2.store(true, Ordering::Relaxed);
        }
        self.used.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        Busy(self)
    }

    /// The connection ends although the client may still be sending.
    pub(super) fn linger(&self) {
        self.lingering_since.store(self.now(), Ordering::Relaxed);
    }

    fn is_lingering(&self) -> bool {
        self.lingering_since.load(Ordering::Relaxed) > 0
    }

    /// Wakes the connection to hear `signal`; a stronger one is never taken back.
    pub(super) fn tell(&self, signal: Signal) {
        let signal = match signal {
            Signal::None => NONE,
            Signal::Drain => DRAIN,
            Signal::Evict => EVICT,
        };
        self.signal.fetch_max(signal, Ordering::Release);
        self.waker.wake();
    }

    fn awaits_first_request(&self) -> bool {
        !self.used.load(Ordering::Relaxed) && self.now().saturating_sub(self.opened) < FIRST_REQUEST
    }

    /// What the connection was told; its task is woken when that changes. A drain is heard a little later by a
    /// connection that has just been opened.
    pub(super) fn signal(&self, context: &Context<'_>) -> Signal {
        self.waker.register(context.waker());
        match self.signal.load(Ordering::Acquire) {
            NONE => Signal::None,
            DRAIN if self.awaits_first_request() => Signal::None,
            DRAIN => Signal::Drain,
            _ => Signal::Evict,
        }
    }

    /// Whether one of the connection's time limits has passed. `crowded`: others wait for its place.
    pub(super) fn is_over(&self, now: u64, crowded: bool) -> bool {
        let passed = |moment: u64, limit: Option<Duration>| {
            let gone = Duration::from_millis(now.saturating_sub(moment));
            moment > 0 && limit.is_some_and(|limit| gone > limit)
        };
        let moment = |moment: &Moment| moment.load(Ordering::Relaxed);
        let (read, written) = (moment(&self.last_read), moment(&self.last_write));
        let last = read.max(written);
        let idle = self.requests.load(Ordering::Relaxed) == 0;
        let head = if self.http2.load(Ordering::Relaxed) { 0 } else { moment(&self.head_since) };
        passed(moment(&self.lingering_since), Some(LINGER))
            || passed(head, self.settings.header_timeout)
            || passed(last, self.settings.idle_timeout)
            || passed(read, self.settings.read_idle_timeout)
            || passed(written, self.settings.write_idle_timeout)
            || (crowded && idle && passed(last, Some(CROWDED_IDLE)))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that notes its traffic.
pub(super) struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
    shut: bool,
    discarded_bytes: usize,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity, shut: false, discarded_bytes: 0 }
    }

    /// Closing a socket with unread bytes in it resets the connection, and the client never sees the answer that would
    /// have told it to stop. So the rest is read, for a bounded time and size.
    fn discard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 8192];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && self.discarded_bytes < LINGER_BYTES => {
                    self.discarded_bytes += buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(read) = buf.filled().get(before..).filter(|read| !read.is_empty()) {
            self.activity.read(read);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.wrote();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            std::task::ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.shut = true;
        }
        if self.activity.is_lingering() { self.discard(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.wrote();
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
