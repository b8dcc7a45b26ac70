//! A subscriber: reads a request to its end, counts its id, answers 200, at once or after a while.
//!
//! Works on bytes, since it shares a processor with the broker. Knows ids that are numbers, in `ce-id` (HTTP binding) or
//! `ce_id` (the limit program passes record headers on as they are).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A running subscriber; ends with this value.
#[derive(Debug)]
pub struct Responder {
    address: SocketAddr,
    seen: Seen,
    _stop: oneshot::Sender<()>,
}

/// Which ids arrived.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Ids>>);

#[derive(Debug, Default)]
struct Ids {
    known: Vec<bool>,
    unique: usize,
    total: usize,
}

impl Responder {
    /// Listens on a free port; expects ids below `ids`.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(ids: usize) -> Self {
        Self::slow(ids, Duration::ZERO)
    }

    /// As [`Self::start`], but each answer takes this long.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn slow(ids: usize, delay: Duration) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let seen = Seen(Arc::new(Mutex::new(Ids { known: vec![false; ids], unique: 0, total: 0 })));
        let (stop, stopped) = oneshot::channel();
        let counted = seen.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
                tokio::select! {
                    () = accept(listener, counted, delay) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, seen, _stop: stop }
    }

    /// Where to post to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Different ids and all requests so far.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let ids = self.seen.lock();
        (ids.unique, ids.total)
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, id: Option<usize>) {
        let mut ids = self.lock();
        ids.total += 1;
        let new = id.and_then(|id| ids.known.get_mut(id)).is_some_and(|known| !std::mem::replace(known, true));
        ids.unique += usize::from(new);
    }
}

async fn accept(listener: TcpListener, seen: Seen, delay: Duration) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, seen.clone(), delay));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, seen: Seen, delay: Duration) {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    stream.set_nodelay(true).ok();
    while let Ok(count) = stream.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        while let Some((length, id)) = whole_request(&bytes) {
            bytes.drain(..length);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            seen.count(id);
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}

/// The length of the first request if it is there to its end, and its id.
fn whole_request(bytes: &[u8]) -> Option<(usize, Option<usize>)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (mut body, mut id) = (0, None);
    for line in bytes.get(..head)?.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let number = || std::str::from_utf8(value.get(1..)?).ok()?.trim().parse().ok();
        if name.eq_ignore_ascii_case(b"content-length") {
            body = number()?;
        } else if name.eq_ignore_ascii_case(b"ce-id") || name.eq_ignore_ascii_case(b"ce_id") {
            id = number();
        }
    }
    let length = head + 4 + body;
    (bytes.len() >= length).then_some((length, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_only_with_its_body() {
        let bytes = b"POST / HTTP/1.1\r\nCE-ID: 007\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(whole_request(bytes), Some((bytes.len(), Some(7))));
        assert_eq!(whole_request(&bytes[..bytes.len() - 1]), None);
        assert_eq!(whole_request(b"POST / HTTP/1.1\r\n"), None);
    }
}
