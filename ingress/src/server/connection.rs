//! What one connection is doing, as seen by its bytes and its requests, and the way to tell it to leave.
//!
//! The moments are coarse (a tick of the registry), so that reading and writing cost a few plain loads and stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http::StatusCode;
use millrace_config::properties::http_server::HttpServerSettings;

use super::frames::Frames;
use super::head::Traits;

mod limits;

/// What an HTTP/2 connection begins with.
const HTTP2_PREFACE: &[u8] = b"PRI ";

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
    /// When the first byte of a head came whose end has not come yet; with HTTP/2 also of the preface or of a frame.
    head_since: Moment,
    lingering_since: Moment,
    /// Since when it is to leave.
    draining_since: Moment,
    http2: AtomicBool,
    /// A first request has come.
    used: AtomicBool,
    requests: AtomicU32,
    /// `Traits` of the head that came last, until its request is worked on.
    head: AtomicU8,
    /// The status with which hyper's own refusal went out; zero: there was none.
    refused: AtomicU16,
    /// HTTP/2 requests that the client took back, in the window since `resets_since`.
    resets: AtomicU32,
    resets_since: Moment,
    signal: AtomicU8,
    waker: AtomicWaker,
}

/// A request is being worked on as long as this is held.
pub(super) struct Busy<'a> {
    activity: &'a Activity,
    is_answered: bool,
}

/// What bytes that have come belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The head of a request on an HTTP/1 connection begins.
    HeadBegins,
    /// It has not ended yet.
    HeadGoesOn,
    /// Frames of HTTP/2, from the preface on if it was seen to begin.
    Frames,
    /// A body.
    Other,
}

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
            draining_since: Moment::new(0),
            http2: AtomicBool::new(false),
            used: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            head: AtomicU8::new(0),
            refused: AtomicU16::new(0),
            resets: AtomicU32::new(0),
            resets_since: Moment::new(now),
            signal: AtomicU8::new(NONE),
            waker: AtomicWaker::new(),
        }
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(super) fn settings(&self) -> &HttpServerSettings {
        &self.settings
    }

    /// Bytes have come.
    pub(super) fn read(&self, bytes: &[u8]) -> Phase {
        let now = self.now();
        self.last_read.store(now, Ordering::Relaxed);
        if self.is_http2() {
            return Phase::Frames;
        }
        if self.requests.load(Ordering::Relaxed) > 0 {
            return Phase::Other;
        }
        if self.head_since.load(Ordering::Relaxed) > 0 {
            return Phase::HeadGoesOn;
        }
        self.head_since.store(now, Ordering::Relaxed);
        if bytes.starts_with(HTTP2_PREFACE) && self.settings.http2_clear_text {
            self.http2.store(true, Ordering::Relaxed);
            return Phase::Frames;
        }
        Phase::HeadBegins
    }

    pub(super) fn wrote(&self) {
        self.last_write.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    fn turn_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }

    /// HTTP/2 was agreed upon before its first byte: the client owes its preface.
    pub(super) fn expect_preface(&self) {
        self.turn_http2();
        self.owes(true);
    }

    /// Bytes of HTTP/2 have come, which `frames` follows.
    pub(super) fn note(&self, frames: &mut Frames, bytes: &[u8]) {
        if let (Some(owes), false) = (frames.scan(bytes), bytes.is_empty()) {
            self.owes(owes);
        }
    }

    /// Whether an HTTP/2 client is in the middle of a head, or of anything else that it must not let wait.
    fn owes(&self, owes: bool) {
        if owes != (self.head_since.load(Ordering::Relaxed) > 0) {
            self.head_since.store(if owes { self.now() } else { 0 }, Ordering::Relaxed);
        }
    }

    /// What the head on its way in looks like so far.
    pub(super) fn saw(&self, traits: Traits) {
        self.head.store(traits.bits(), Ordering::Relaxed);
    }

    /// The status of hyper's own refusal, which ended the connection.
    pub(super) fn refused(&self, status: StatusCode) {
        self.refused.store(status.as_u16(), Ordering::Relaxed);
    }

    pub(super) fn refusal(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.refused.load(Ordering::Relaxed)).ok()
    }

    /// A whole head has arrived; also what it looked like, unless it came behind another one.
    pub(super) fn begin(&self, http2: bool) -> (Busy<'_>, Traits) {
        if http2 {
            self.turn_http2();
        }
        self.used.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        let traits = Traits::from_bits(self.head.swap(0, Ordering::Relaxed));
        (Busy { activity: self, is_answered: false }, traits)
    }

    /// The client took a request back. A client that does little else is sent away, as the properties say.
    fn reset(&self) {
        let window = u64::try_from(self.settings.http2_reset_window.as_millis()).unwrap_or(u64::MAX);
        let now = self.now();
        if now.saturating_sub(self.resets_since.load(Ordering::Relaxed)) > window {
            self.resets_since.store(now, Ordering::Relaxed);
            self.resets.store(0, Ordering::Relaxed);
        }
        if self.resets.fetch_add(1, Ordering::Relaxed) >= self.settings.http2_max_resets {
            self.tell(Signal::Evict);
        }
    }

    /// The connection ends although the client may still be sending.
    pub(super) fn linger(&self) {
        self.lingering_since.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn is_lingering(&self) -> bool {
        self.lingering_since.load(Ordering::Relaxed) > 0
    }

    /// Wakes the connection to hear `signal`; a stronger one is never taken back.
    pub(super) fn tell(&self, signal: Signal) {
        let signal = match signal {
            Signal::None => NONE,
            Signal::Drain => {
                // Told again at every tick; the first time counts.
                let _told_before =
                    self.draining_since.compare_exchange(0, self.now(), Ordering::Relaxed, Ordering::Relaxed);
                DRAIN
            }
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

    /// Waits until the connection was told to leave, one way or the other.
    pub(super) async fn told(&self) {
        let told = |context: &mut Context<'_>| match self.signal(context) {
            Signal::None => Poll::Pending,
            Signal::Drain | Signal::Evict => Poll::Ready(()),
        };
        std::future::poll_fn(told).await;
    }
}

impl Busy<'_> {
    /// The answer is ready.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.activity.requests.fetch_sub(1, Ordering::Relaxed);
        if !self.is_answered && self.activity.is_http2() {
            self.activity.reset();
        }
    }
}

#[cfg(test)]
mod tests;
