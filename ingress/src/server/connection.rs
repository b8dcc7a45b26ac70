//! What one connection is doing, as seen by its bytes and its requests, and the way to tell it to leave.
//!
//! The moments are coarse (a tick of the registry), so that reading and writing cost a few plain loads and stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http::StatusCode;
use millrace_config::properties::http_server::HttpServerSettings;

use super::head::Traits;

/// How long a client may go on sending what was refused, so that it gets to read the answer.
const LINGER: Duration = Duration::from_secs(2);
/// What an HTTP/2 connection begins with.
const HTTP2_PREFACE: &[u8] = b"PRI ";
/// How long a client may take to leave, or to finish a head, once it was asked to go and nothing of it is worked on. HTTP/2
/// ends only when the client has said that it heard; not all clients look while they have nothing to send.
const FAREWELL: Duration = Duration::from_secs(2);
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
    /// A body, or HTTP/2.
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
        if self.is_http2() || self.requests.load(Ordering::Relaxed) > 0 {
            return Phase::Other;
        }
        if self.head_since.load(Ordering::Relaxed) > 0 {
            return Phase::HeadGoesOn;
        }
        self.head_since.store(now, Ordering::Relaxed);
        if bytes.starts_with(HTTP2_PREFACE) && self.settings.http2_clear_text {
            self.http2.store(true, Ordering::Relaxed);
            return Phase::Other;
        }
        Phase::HeadBegins
    }

    pub(super) fn wrote(&self) {
        self.last_write.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// HTTP/2 was agreed upon before its first byte.
    pub(super) fn turn_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
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
        let draining = moment(&self.draining_since);
        let head = if self.http2.load(Ordering::Relaxed) { 0 } else { moment(&self.head_since) };
        passed(moment(&self.lingering_since), Some(LINGER))
            || passed(head, self.settings.header_timeout)
            || passed(last, self.settings.idle_timeout)
            || passed(read, self.settings.read_idle_timeout)
            || passed(written, self.settings.write_idle_timeout)
            || (crowded && idle && passed(last, Some(CROWDED_IDLE)))
            || (draining > 0 && idle && passed(draining.max(written), Some(FAREWELL)))
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
