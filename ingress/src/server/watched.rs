//! A socket that notes its traffic and mends what hyper would say by itself.
//!
//! hyper answers what it cannot parse with a bare status; here that becomes the problem document of every other refusal,
//! with the status that fits. And it always answers `Expect: 100-continue`, which the settings may not want. Costs a
//! few comparisons a write. Source: spec ingress 1.1, 1.5 and 7.2.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{Activity, Phase};
use super::frames::Frames;
use super::head::{Head, Traits};
use crate::error::Rejection;

/// How much of what a refused client goes on sending is read and thrown away.
const LINGER_BYTES: usize = 8 * 1024 * 1024;
/// What hyper sends when the body of a request with `Expect: 100-continue` is asked for.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// The end of what hyper says to requests that it cannot parse. Our own refusals always have a content type.
const BARE: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The bytes of one connection.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    head: Head,
    frames: Frames,
    traits: Traits,
    /// Said in place of hyper's words, and not written yet.
    instead: Vec<u8>,
    written: usize,
    shut: bool,
    discarded_bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            head: Head::default(),
            frames: Frames::default(),
            traits: Traits::default(),
            instead: Vec::new(),
            written: 0,
            shut: false,
            discarded_bytes: 0,
        }
    }

    fn note(&mut self, read: &[u8]) {
        match self.activity.read(read) {
            Phase::HeadBegins => self.head.begin(),
            Phase::HeadGoesOn => {}
            Phase::Frames => return self.activity.note(&mut self.frames, read),
            Phase::Other => return,
        }
        self.traits = self.head.scan(read);
        self.activity.saw(self.traits);
    }

    /// What hyper found wrong, from what it says and what was seen of the head. Absent for all other answers.
    fn own_refusal(&self, answer: &[u8]) -> Option<(usize, Rejection)> {
        if !answer.ends_with(BARE) {
            return None;
        }
        let begin = memchr::memmem::rfind(answer, b"HTTP/1.")?;
        let status = answer.get(begin + b"HTTP/1.1 ".len()..)?.get(..3)?;
        let settings = self.activity.settings();
        let line = Rejection::LineTooLong { limit_bytes: settings.max_initial_line_length };
        let rejection = match status {
            b"400" if self.traits.has_other_version() => Rejection::OtherVersion,
            b"400" => Rejection::NotHttp,
            b"414" => line,
            b"431" if !self.traits.has_line() => line,
            b"431" => Rejection::HeadersTooLarge { limit_bytes: settings.max_header_size },
            _ => return None,
        };
        Some((begin, rejection))
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

    /// Writes what stands in for hyper's words.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.instead.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(read) = buf.filled().get(before..).filter(|read| !read.is_empty()) {
            self.note(read);
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.wrote();
        ready!(self.poll_instead(cx))?;
        if self.activity.is_http2() {
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        if !self.activity.settings().handle_100_continue && buf.ends_with(CONTINUE) {
            let before = buf.strip_suffix(CONTINUE).unwrap_or_default();
            // Answers to earlier requests go out, the rest is swallowed.
            return match before {
                [] => Poll::Ready(Ok(buf.len())),
                before => Pin::new(&mut self.stream).poll_write(cx, before),
            };
        }
        if let Some((begin, rejection)) = self.own_refusal(buf) {
            self.activity.refused(rejection.status());
            // The client may still be sending.
            self.activity.linger();
            self.instead = buf.get(..begin).unwrap_or_default().to_vec();
            self.instead.extend_from_slice(&rejection.message());
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        if !self.shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.shut = true;
        }
        if self.activity.is_lingering() { self.discard(cx) } else { Poll::Ready(Ok(())) }
    }
}
