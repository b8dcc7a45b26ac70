//! A subscriber that is scripted byte by byte: it answers in ways that no HTTP server would.
//!
//! Each connection goes through the same steps and is then closed. Threads of its own; must not read more than it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Longer than any attempt in a test lasts.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens next on a connection.
#[derive(Clone, Debug)]
pub enum Step {
    /// A whole request is read.
    Read,
    /// The head is read, or a part of it; some bytes stay unread.
    ReadSome,
    /// These bytes are written.
    Write(Vec<u8>),
    /// Written again and again, until the client has had enough.
    WriteForever(&'static [u8]),
    /// Nothing, until the client closes.
    Hang,
    /// The connection is cut: closed with bytes unread, which TCP tells as a reset.
    Reset,
    /// Nothing more is written; the client may go on.
    HalfClose,
}

/// A running subscriber; its threads end with the test's process.
#[derive(Debug)]
pub struct WireSubscriber {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl WireSubscriber {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("a listener has an address");
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (connected, requested) = (Arc::clone(&connections), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connected.fetch_add(1, Ordering::SeqCst);
                let (steps, requested) = (steps.clone(), Arc::clone(&requested));
                thread::spawn(move || serve(stream, &steps, &requested));
            }
        });
        Self { address, connections, requests }
    }

    /// Its URL with this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections there have been.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many requests have been read, whole or in part.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, steps: &[Step], requests: &AtomicUsize) {
    stream.set_nodelay(true).ok();
    stream.set_read_timeout(Some(PATIENCE)).ok();
    stream.set_write_timeout(Some(PATIENCE)).ok();
    for step in steps {
        if take(&mut stream, step, requests).is_none() {
            return;
        }
    }
}

/// `None` when the connection is over.
fn take(stream: &mut TcpStream, step: &Step, requests: &AtomicUsize) -> Option<()> {
    match step {
        Step::Read => {
            read_request(stream)?;
            requests.fetch_add(1, Ordering::SeqCst);
        }
        Step::ReadSome => {
            stream.read_exact(&mut [0; 16]).ok()?;
            requests.fetch_add(1, Ordering::SeqCst);
        }
        Step::Write(bytes) => stream.write_all(bytes).ok()?,
        Step::WriteForever(bytes) => while stream.write_all(bytes).is_ok() {},
        Step::Hang => while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {},
        Step::Reset => {
            // Something is there that nobody will read.
            stream.peek(&mut [0]).ok()?;
            return None;
        }
        Step::HalfClose => stream.shutdown(Shutdown::Write).ok()?,
    }
    Some(())
}

fn read_request(stream: &mut TcpStream) -> Option<()> {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    let mut whole = usize::MAX;
    while read.len() < whole {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        read.extend_from_slice(buffer.get(..count)?);
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(read.get(..end)?).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            whole = end + 4 + length.unwrap_or(0);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TestEvent;
    use crate::raw_http::RawClient;
    use std::io::ErrorKind;

    #[test]
    fn a_reset_is_a_reset_and_an_answer_is_an_answer() {
        let post = |steps: Vec<Step>| {
            let subscriber = WireSubscriber::start(steps);
            let mut client = RawClient::connect(subscriber.address).unwrap();
            client.post("x", "/", &TestEvent::new("a")).map(|answer| answer.status)
        };
        assert_eq!(post(vec![Step::ReadSome, Step::Reset]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n".to_vec();
        assert_eq!(post(vec![Step::Read, Step::Write(answer)]).unwrap(), 201);
    }
}
