//! Reads a request's body, bounded in size and time.
//!
//! The usual event arrives in one piece together with its head and is passed on without a copy.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::EXPECT;
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;

use crate::error::Rejection;
use crate::producer::admission::Admission;
use crate::routes::Target;

/// How much of a refused body is read so that its connection can be used again, and for how long.
const DISCARDED_BYTES: u64 = 64 * 1024;
const DISCARDING: Duration = Duration::from_millis(500);

/// A body with its place among the records under way.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    pub(crate) admission: Admission,
}

/// Reads the whole body. Nothing is buffered before the target has admitted it, and never more than it allows.
/// `arrival` bounds the time for the whole body; absent: none.
///
/// # Errors
///
/// When the body is too large, too slow or broken, or when too much is under way already.
pub(crate) async fn receive<B>(target: &Target, body: &mut B, arrival: Option<Duration>) -> Result<Received, Rejection>
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
    let reading = read(body, declared.unwrap_or(0), limit_bytes, grow);
    let bytes = in_time(reading, arrival).await?;
    Ok(Received { bytes, admission })
}

async fn in_time(
    reading: impl Future<Output = Result<Bytes, Rejection>>,
    limit: Option<Duration>,
) -> Result<Bytes, Rejection> {
    let mut reading = std::pin::pin!(reading);
    // Nearly always the whole body is there already, and then a timer would only cost.
    if let Some(read) = reading.as_mut().now_or_never() {
        return read;
    }
    match limit {
        Some(limit) => tokio::time::timeout(limit, reading).await.unwrap_or(Err(Rejection::BodyTooSlow { limit })),
        None => reading.await,
    }
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
    mut grow: impl FnMut(usize) -> Result<(), Rejection>,
) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are no part of an event.
        let Ok(data) = frame.map_err(|_| Rejection::BodyBroken)?.into_data() else { continue };
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
        let read = read(&mut frames(parts), 0, limit, |bytes| {
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
