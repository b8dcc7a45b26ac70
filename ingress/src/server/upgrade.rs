//! `Upgrade: h2c`: a connection that begins as HTTP/1.1 and goes on as HTTP/2.
//!
//! The request that asked for it is answered on stream 1 of the new protocol, which hyper has no call for. So after the
//! client's preface the request is put into the bytes again, as HTTP/2 frames. An upgrade that does not suit is simply not
//! taken, which HTTP allows: the request is served as HTTP/1.1.
//! Source: RFC 7540, section 3.2; RFC 7541 for literal header fields; spec ingress 1.1.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Activity;
use super::frames::Frames;
use crate::error::{Answer, Rejection, empty};

const SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Belong to the HTTP/1.1 connection, or are pseudo-headers in HTTP/2.
const NOT_CARRIED: [HeaderName; 9] =
    [CONNECTION, UPGRADE, SETTINGS, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, TE, HOST, EXPECT];

/// Padding is not to be sent, and harmless.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The body of a request that upgrades: no more than a receiver may always be sent before it has said anything.
const BODY_BYTES: u64 = 32 * 1024;
/// Of a frame, unless agreed otherwise.
const FRAME_BYTES: usize = 16 * 1024;
const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;

/// What becomes of a request that asks for an upgrade.
pub(super) enum Prepared {
    /// Send the answer, then begin.
    Upgrade(Upgrade, Answer),
    /// Serve it as it is.
    Unchanged,
    Refused(Rejection),
}

/// A connection about to become one of HTTP/2.
pub(super) struct Upgrade {
    connection: OnUpgrade,
    request: Vec<u8>,
}

/// Whether the request may upgrade: `h2c`, with the client's settings, named as options of the connection.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    let Some(upgrade) = headers.get(UPGRADE) else { return false };
    let mut settings = headers.get_all(SETTINGS).iter();
    let (Some(settings), None) = (settings.next(), settings.next()) else { return false };
    let lists = |name: &str| {
        let options = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        options.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case(name))
    };
    upgrade.as_bytes().eq_ignore_ascii_case(b"h2c")
        && BASE64.decode(settings.as_bytes()).is_ok_and(|settings| settings.len() % 6 == 0)
        && lists("upgrade")
        && lists("http2-settings")
}

/// Reads the request whole and turns it into frames. `arrival` bounds the time for its body.
pub(super) async fn prepare(head: &mut Parts, body: &mut Incoming, arrival: Option<Duration>) -> Prepared {
    let is_small = body.size_hint().exact().is_some_and(|bytes| bytes <= BODY_BYTES);
    let Some(mut headers) = header_block(head).filter(|_| is_small) else { return Prepared::Unchanged };
    // The connection is among the extensions, and hyper gives it only to whole requests.
    let mut request = Request::new(());
    *request.extensions_mut() = std::mem::take(&mut head.extensions);
    let connection = hyper::upgrade::on(&mut request);
    let reading = body.collect();
    let read = match arrival {
        Some(limit) => match tokio::time::timeout(limit, reading).await {
            Ok(read) => read,
            Err(_) => return Prepared::Refused(Rejection::BodyTooSlow { limit }),
        },
        None => reading.await,
    };
    let Ok(body) = read.map(http_body_util::Collected::to_bytes) else {
        return Prepared::Refused(Rejection::BodyBroken);
    };
    append_data(&mut headers, &body);
    let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("h2c"));
    Prepared::Upgrade(Upgrade { connection, request: headers }, answer)
}

impl Upgrade {
    /// The connection as HTTP/2 sees it. Absent when it went away meanwhile.
    pub(super) async fn begin(self, activity: Arc<Activity>) -> Option<impl Read + Write + Unpin + Send + 'static> {
        let connection = self.connection.await.ok()?;
        activity.expect_preface();
        Some(TokioIo::new(Injected {
            connection: TokioIo::new(connection),
            activity,
            frames: Frames::default(),
            stage: Stage::Preface,
            seen: Vec::with_capacity(PREFACE_BYTES + FRAME_HEAD_BYTES),
            request: Bytes::from(self.request),
        }))
    }
}

/// A HEADERS frame for stream 1; absent when it does not fit into one. Fields are literal and never indexed, so they
/// leave no trace in the compression both sides share.
fn header_block(head: &Parts) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    field(&mut block, b":method", head.method.as_str().as_bytes());
    field(&mut block, b":scheme", b"http");
    field(&mut block, b":path", path.as_bytes());
    if let Some(host) = head.headers.get(HOST) {
        field(&mut block, b":authority", host.as_bytes());
    }
    for (name, value) in head.headers.iter().filter(|(name, _)| !NOT_CARRIED.contains(name)) {
        field(&mut block, name.as_str().as_bytes(), value.as_bytes());
    }
    (block.len() <= FRAME_BYTES).then(|| {
        let mut frame = Vec::new();
        // END_HEADERS; the stream ends with its data.
        append_frame(&mut frame, 1, 4, &block);
        frame
    })
}

fn field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0x10);
    for text in [name, value] {
        integer(block, text.len());
        block.extend_from_slice(text);
    }
}

/// An integer with a prefix of seven bits.
fn integer(block: &mut Vec<u8>, number: usize) {
    const PREFIX: usize = 127;
    let byte = |number: usize| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    let Some(mut rest) = number.checked_sub(PREFIX) else { return block.push(byte(number)) };
    block.push(byte(PREFIX));
    while rest >= 128 {
        block.push(byte(rest % 128 + 128));
        rest /= 128;
    }
    block.push(byte(rest));
}

fn append_data(frames: &mut Vec<u8>, body: &[u8]) {
    let mut rest = body;
    loop {
        let (part, after) = rest.split_at_checked(FRAME_BYTES).unwrap_or((rest, &[]));
        let is_last = after.is_empty();
        append_frame(frames, 0, u8::from(is_last), part);
        if is_last {
            return;
        }
        rest = after;
    }
}

/// A frame of stream 1.
fn append_frame(frames: &mut Vec<u8>, kind: u8, flags: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    frames.extend_from_slice(length.get(1..).unwrap_or_default());
    frames.extend_from_slice(&[kind, flags, 0, 0, 0, 1]);
    frames.extend_from_slice(payload);
}

/// The connection, with the request put in behind the client's preface and its first frame.
struct Injected {
    connection: TokioIo<Upgraded>,
    activity: Arc<Activity>,
    /// Of the client: what it sent along with its request never comes by the socket again.
    frames: Frames,
    stage: Stage,
    seen: Vec<u8>,
    request: Bytes,
}

#[derive(Clone, Copy)]
enum Stage {
    /// The preface and the head of the SETTINGS frame after it.
    Preface,
    /// So many bytes of that frame are still to come.
    Settings(usize),
    Request,
    Through,
}

impl Injected {
    /// Passes on up to `most` bytes of the client.
    fn poll_some(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, most: usize) -> Poll<io::Result<usize>> {
        let mut space = [0; 256];
        let most = most.min(buf.remaining()).min(space.len());
        let (space, _) = space.split_at_mut(most);
        let mut part = ReadBuf::new(space);
        ready!(Pin::new(&mut self.connection).poll_read(cx, &mut part))?;
        self.activity.note(&mut self.frames, part.filled());
        buf.put_slice(part.filled());
        if matches!(self.stage, Stage::Preface) {
            self.seen.extend_from_slice(part.filled());
        }
        Poll::Ready(Ok(part.filled().len()))
    }
}

impl AsyncRead for Injected {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.stage {
            Stage::Preface => {
                let missing = (PREFACE_BYTES + FRAME_HEAD_BYTES).saturating_sub(self.seen.len());
                let read = ready!(self.poll_some(cx, buf, missing))?;
                if read == missing {
                    let length = self.seen.get(PREFACE_BYTES..).unwrap_or_default().iter().take(3);
                    let length = length.fold(0, |length, byte| length << 8 | usize::from(*byte));
                    self.stage = if length == 0 { Stage::Request } else { Stage::Settings(length) };
                }
                Poll::Ready(Ok(()))
            }
            Stage::Settings(missing) => {
                let read = ready!(self.poll_some(cx, buf, missing))?;
                let missing = missing.saturating_sub(read);
                self.stage = if missing == 0 { Stage::Request } else { Stage::Settings(missing) };
                Poll::Ready(Ok(()))
            }
            Stage::Request => {
                let part = self.request.len().min(buf.remaining());
                buf.put_slice(&self.request.split_to(part));
                if self.request.is_empty() {
                    self.stage = Stage::Through;
                }
                Poll::Ready(Ok(()))
            }
            Stage::Through => {
                let before = buf.filled().len();
                let this = &mut *self;
                let polled = Pin::new(&mut this.connection).poll_read(cx, buf);
                this.activity.note(&mut this.frames, buf.filled().get(before..).unwrap_or_default());
                polled
            }
        }
    }
}

impl AsyncWrite for Injected {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
