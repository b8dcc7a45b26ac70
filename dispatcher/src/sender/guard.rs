//! A connection that closes itself when nothing has happened on it for too long, or when heads of answers never end.
//!
//! It sees bytes only. What it cannot see, where the answer's head and the answer end, the sender tells it through a
//! [`Handle`], which travels with each response of a connection that the sender does not know.
//! Source: dispatcher spec 9.4 (`idleTimeout` and its kin, `keepAliveTimeout`, `poolCleanerPeriod`); proof R12 (1xx floods).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use millrace_config::properties::http_client::HttpClientSettings;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Interim answers (1xx) may have this many bytes together before the final one must have begun.
const INTERIM_BYTES: u64 = 256 * 1024;

/// When a connection is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Without traffic in any direction for so long.
    idle: Option<Duration>,
    read_idle: Option<Duration>,
    write_idle: Option<Duration>,
    /// How often an unused connection looks whether the server wants it closed. Absent: what servers say of it is ignored.
    look_every: Option<Duration>,
    /// HTTP/2 has no bytes before a head that could be counted.
    http1: bool,
}

impl Limits {
    pub(crate) fn of(settings: &HttpClientSettings) -> Self {
        Self {
            idle: settings.idle_timeout,
            read_idle: settings.read_idle_timeout,
            write_idle: settings.write_idle_timeout,
            look_every: settings.pool_cleaner_period,
            http1: !settings.http2,
        }
    }

    fn is_timed(self) -> bool {
        self.idle.is_some() || self.read_idle.is_some() || self.write_idle.is_some() || self.look_every.is_some()
    }
}

/// What the sender knows of the answers of a connection. Requests are numbered, because a connection may carry the next
/// one before its sender has heard the end of the last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handle(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    requests: AtomicU64,
    /// The last request whose answer's head has come.
    headed: AtomicU64,
    /// The last request whose answer has been read to its end.
    answered: AtomicU64,
    /// How long the server keeps an unused connection, in milliseconds; 0 when it does not say.
    keep_alive_ms: AtomicU64,
}

impl Handle {
    /// The head of an answer has come. `keep_alive` is what the server says of unused connections. Returns the request that
    /// it answers.
    pub(crate) fn headed(&self, keep_alive: Option<Duration>) -> u64 {
        let request = self.0.requests.load(Ordering::Acquire);
        self.0.headed.store(request, Ordering::Release);
        let millis = keep_alive.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.0.keep_alive_ms.store(millis, Ordering::Release);
        request
    }

    /// The answer to `request` has been read to its end.
    pub(crate) fn answered(&self, request: u64) {
        self.0.answered.store(request, Ordering::Release);
    }

    fn is_unused(&self) -> bool {
        self.0.requests.load(Ordering::Acquire) == self.0.answered.load(Ordering::Acquire)
    }

    fn keep_alive(&self) -> Option<Duration> {
        let millis = self.0.keep_alive_ms.load(Ordering::Acquire);
        (millis > 0 && self.is_unused()).then(|| Duration::from_millis(millis))
    }
}

/// A stream under guard.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    limits: Limits,
    handle: Handle,
    timer: Option<Pin<Box<Sleep>>>,
    last_read: Instant,
    last_written: Instant,
    /// Since the last byte read: the next one written begins a request.
    wrote: bool,
    interim_bytes: u64,
}

impl<S> Guarded<S> {
    pub(crate) fn new(inner: S, limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            inner,
            limits,
            handle: Handle::default(),
            timer: limits.is_timed().then(|| Box::pin(tokio::time::sleep(Duration::ZERO))),
            last_read: now,
            last_written: now,
            wrote: false,
            interim_bytes: 0,
        }
    }

    /// For who sends on this connection.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn was_read(&mut self, bytes: usize) -> io::Result<()> {
        self.last_read = Instant::now();
        self.wrote = false;
        let progress = &self.handle.0;
        if self.limits.http1 && progress.requests.load(Ordering::Relaxed) != progress.headed.load(Ordering::Acquire) {
            self.interim_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
            if self.interim_bytes > INTERIM_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "interim answers do not end"));
            }
        }
        Ok(())
    }

    fn was_written(&mut self) {
        self.last_written = Instant::now();
        if !self.wrote {
            self.wrote = true;
            self.interim_bytes = 0;
            self.handle.0.requests.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// When the connection is to be closed, as things stand, and why.
    fn closes_at(&self) -> Option<(Instant, &'static str)> {
        let last = self.last_read.max(self.last_written);
        let after = |since: Instant, limit: Option<Duration>| since.checked_add(limit?);
        let ends = [
            (after(last, self.limits.idle), "no traffic for the idle time-out"),
            (after(self.last_read, self.limits.read_idle), "nothing read for the read idle time-out"),
            (after(self.last_written, self.limits.write_idle), "nothing written for the write idle time-out"),
            (
                after(last, self.handle.keep_alive().filter(|_| self.limits.look_every.is_some())),
                "unused for as long as the server keeps connections",
            ),
        ];
        ends.into_iter().filter_map(|(at, why)| Some((at?, why))).min()
    }

    /// An error once the time of the connection is over; until then the task is woken to look again. Traffic only puts the
    /// end off, so nothing is worked out before the timer has gone off.
    fn poll_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while let Some(timer) = &mut self.timer {
            if timer.as_mut().poll(context).is_pending() {
                return Ok(());
            }
            let now = Instant::now();
            let end = self.closes_at();
            if let Some((_at, why)) = end.filter(|(at, _why)| *at <= now) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            let look = self.limits.look_every.and_then(|every| now.checked_add(every));
            match ([end.map(|(at, _why)| at), look].into_iter().flatten().min(), &mut self.timer) {
                (Some(next), Some(timer)) => timer.as_mut().reset(next),
                // A limit so long that it never comes.
                (None, _) | (_, None) => self.timer = None,
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.inner).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(this.was_read(buffer.filled().len() - before)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match this.poll_time(context) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(context, bytes));
        this.was_written();
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(context, buffers));
        this.was_written();
        Poll::Ready(written)
    }
}

impl<S: Connection> Connection for Guarded<S> {
    fn connected(&self) -> Connected {
        self.inner.connected().extra(self.handle.clone())
    }
}

#[cfg(test)]
mod tests;
