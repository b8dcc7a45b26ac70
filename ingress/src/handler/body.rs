//! Reads a request's body, bounded in size and time.
//!
//! The usual event arrives in one piece together with its head and is passed on without a copy.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::HeaderMap;
use http::header::EXPECT;
use http::request::Parts;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::inflate::inflate;
use super::limits::RequestLimits;
use crate::error::Rejection;
use crate::producer::admission::Admission;
use crate::routes::Target;

/// How much of a refused body is read so that its connection can be used again, and for how long.
const DISCARDED_BYTES: u64 = 64 * 1024;
const DISCARDING: Duration = Duration::from_millis(500);

/// How long a body may take before its pace counts: slow starts are common, and so are clients that wait for
/// "100 Continue" in vain.
const GRACE: Duration = Duration::from_secs(5);

/// A body with its place among the records under way.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    pub(crate) admission: Admission,
}

/// Reads the whole body. Nothing is buffered before the target has admitted it, and never more than it allows.
///
/// # Errors
///
/// When the body is too large, too slow or broken, or when too much is under way already.
pub(crate) async fn receive<B>(
    target: &Target,
    headers: &HeaderMap,
    body: &mut B,
    limits: &RequestLimits,
) -> Result<Received, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    let declared = declared_bytes(body);
    let limit_bytes = target.max_body_bytes;
    if declared.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(Rejection::BodyTooLarge { limit_bytes });
    }
    let mut admission = target.admit(declared.unwrap_or(0))?;
    let grow = |bytes| match declared {
        Some(_) => Ok(()),
        None => admission.grow(bytes).map_err(|_| target.overloaded()),
    };
    let bytes = read(body, declared.unwrap_or(0), limit_bytes, Pace::of(limits), grow).await?;
    if !limits.inflate {
        return Ok(Received { bytes, admission });
    }
    match inflate(headers, &bytes, limit_bytes)? {
        None => Ok(Received { bytes, admission }),
        Some(plain) => {
            let more = plain.len().saturating_sub(bytes.len());
            admission.grow(more).map_err(|_| target.overloaded())?;
            Ok(Received { bytes: plain, admission })
        }
    }
}

/// How fast a body must arrive. No clock is looked at while its parts are there already.
#[derive(Clone, Copy, Debug)]
struct Pace {
    whole: Option<Duration>,
    bytes_per_second: Option<u32>,
    since: Option<Instant>,
}

impl Pace {
    fn of(limits: &RequestLimits) -> Self {
        Self { whole: limits.body_arrival, bytes_per_second: limits.bytes_per_second, since: None }
    }

    /// The next part of a body of which `arrived` bytes have come.
    async fn next<B>(&mut self, body: &mut B, arrived: usize) -> Result<Option<Frame<Bytes>>, Rejection>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut frame = std::pin::pin!(body.frame());
        // Nearly always the part is there already, and then a timer would only cost.
        let found = match frame.as_mut().now_or_never() {
            Some(found) => found,
            None => {
                let since = *self.since.get_or_insert_with(Instant::now);
                let stalled = self
                    .bytes_per_second
                    .map(|rate| (behind(arrived, rate), Rejection::BodyStalled { bytes_per_second: rate }));
                let whole = self.whole.map(|limit| (limit, Rejection::BodyTooSlow { limit }));
                let first = match (stalled, whole) {
                    (Some(stalled), Some(whole)) => Some(if stalled.0 < whole.0 { stalled } else { whole }),
                    (stalled, whole) => stalled.or(whole),
                };
                match first {
                    None => frame.await,
                    Some((limit, rejection)) => match tokio::time::timeout_at(since + limit, frame).await {
                        Ok(found) => found,
                        Err(_) => return Err(rejection),
                    },
                }
            }
        };
        found.transpose().map_err(|_| Rejection::BodyBroken)
    }
}

/// How long after its beginning a body of which `arrived` bytes have come is slower than `rate`.
fn behind(arrived: usize, rate: u32) -> Duration {
    let arrived = u64::try_from(arrived).unwrap_or(u64::MAX);
    GRACE + Duration::from_millis(arrived.saturating_mul(1000) / u64::from(rate.max(1)))
}

/// The `Content-Length`; absent for a chunked body.
fn declared_bytes(body: &impl Body) -> Option<usize> {
    // A length that no address space holds is over any limit.
    body.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

async fn read<B>(
    body: &mut B,
    expected_bytes: usize,
    limit_bytes: usize,
    mut pace: Pace,
    mut grow: impl FnMut(usize) -> Result<(), Rejection>,
) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = pace.next(body, first.len() + joined.len()).await? {
        // Trailers are no part of an event.
        let Ok(data) = frame.into_data() else { continue };
        let total = first.len() + joined.len() + data.len();
        if total > limit_bytes {
            return Err(Rejection::BodyTooLarge { limit_bytes });
        }
        grow(data.len())?;
        if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                joined.reserve(expected_bytes.max(total));
                joined.extend_from_slice(&std::mem::take(&mut first));
            }
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

/// Reads what is left of a refused request's body. True when all of it is gone, so that the connection can go on.
pub(crate) async fn discard<B>(head: &Parts, body: &mut B) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return true;
    }
    // A client that waits for "100 Continue" has not sent its body; reading would ask for it.
    if head.headers.contains_key(EXPECT) || body.size_hint().lower() > DISCARDED_BYTES {
        return false;
    }
    let reading = async {
        let mut left = DISCARDED_BYTES;
        while let Some(frame) = body.frame().await {
            let length = frame.ok()?.data_ref().map_or(0, Bytes::len);
            left = left.checked_sub(u64::try_from(length).ok()?)?;
        }
        Some(())
    };
    matches!(tokio::time::timeout(DISCARDING, reading).await, Ok(Some(())))
}

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn frames(parts: &'static [&'static str]) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let frames = parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
        StreamBody::new(Frames(frames.collect::<std::collections::VecDeque<_>>()))
    }

    struct Frames(std::collections::VecDeque<std::io::Result<Frame<Bytes>>>);

    impl futures_util::Stream for Frames {
        type Item = std::io::Result<Frame<Bytes>>;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(self.0.pop_front())
        }
    }

    async fn read_all(parts: &'static [&'static str], limit: usize) -> (Result<Bytes, Rejection>, usize) {
        let mut grown = 0;
        let pace = Pace { whole: None, bytes_per_second: None, since: None };
        let read = read(&mut frames(parts), 0, limit, pace, |bytes| {
            grown += bytes;
            Ok(())
        })
        .await;
        (read, grown)
    }

    #[tokio::test]
    async fn a_body_is_joined_whatever_its_pieces() {
        for parts in [&["event"][..], &["", "eve", "", "nt"], &["e", "v", "e", "n", "t"]] {
            let (body, grown) = read_all(parts, 5).await;
            assert_eq!((body.unwrap(), grown), (Bytes::from_static(b"event"), 5), "{parts:?}");
        }
        assert_eq!(read_all(&[], 5).await.0.unwrap(), Bytes::new());
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_before_it_is_buffered() {
        let (body, grown) = read_all(&["eve", "nts"], 5).await;
        assert!(matches!(body, Err(Rejection::BodyTooLarge { limit_bytes: 5 })));
        assert_eq!(grown, 3);
    }

    /// A body of one byte every `pause`, for ever.
    fn drip(pause: Duration) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let byte = async move || {
            tokio::time::sleep(pause).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        };
        StreamBody::new(Box::pin(futures_util::stream::unfold((), move |()| async move { Some((byte().await, ())) })))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_given_up_when_it_falls_behind() {
        let pace = |whole, rate| Pace { whole, bytes_per_second: rate, since: None };
        let read = async |pause, pace| {
            let started = Instant::now();
            let read = read(&mut drip(pause), 0, usize::MAX, pace, |_| Ok(())).await;
            (read.unwrap_err(), started.elapsed().as_secs())
        };
        let (error, seconds) = read(Duration::from_millis(500), pace(None, Some(10))).await;
        assert!(matches!(error, Rejection::BodyStalled { bytes_per_second: 10 }), "{error:?}");
        assert!((5..8).contains(&seconds), "{seconds}");
        let whole = Duration::from_secs(20);
        let (error, seconds) = read(Duration::from_millis(50), pace(Some(whole), Some(10))).await;
        assert!(matches!(error, Rejection::BodyTooSlow { .. }) && seconds == 20, "{error:?} after {seconds}");
    }

    #[tokio::test]
    async fn a_small_rest_is_discarded_and_a_large_one_is_not() {
        let head = |headers: &[(&str, &str)]| {
            let mut request = http::Request::builder();
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.body(()).unwrap().into_parts().0
        };
        assert!(discard(&head(&[]), &mut Full::<Bytes>::default()).await);
        assert!(discard(&head(&[]), &mut frames(&["some", "thing"])).await);
        assert!(!discard(&head(&[]), &mut Full::new(Bytes::from(vec![0; 65_537]))).await);
        assert!(!discard(&head(&[("expect", "100-continue")]), &mut frames(&["some"])).await);
    }
}
