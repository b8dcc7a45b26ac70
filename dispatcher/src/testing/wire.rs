//! A subscriber that is scripted byte by byte: it answers in ways that no HTTP server would.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What happens next on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A whole request is read.
    Read,
    /// Some bytes of a request are read.
    ReadSome,
    Write(Vec<u8>),
    /// Written again and again, until the client has had enough.
    WriteForever(&'static [u8]),
    /// One byte at a time, so many milliseconds apart.
    Trickle(&'static [u8], u64),
    /// Nothing, until the client closes.
    Hang,
    /// The connection is cut, not closed.
    Reset,
    /// Nothing more is written; the client may go on.
    HalfClose,
    /// From the first step on.
    Again,
}

/// Steps that read a request and answer it with these bytes.
pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Vec<Step> {
    vec![Step::Read, Step::Write(answer.into())]
}

/// Listens on a port of its own; ends with its value. Each connection goes through the same steps and is then closed.
#[derive(Debug)]
pub(crate) struct WireSubscriber {
    pub(crate) url: String,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    requests: AtomicUsize,
    open: AtomicUsize,
    open_most: AtomicUsize,
    /// Connections that the client closed while nothing was due.
    closed_by_client: AtomicUsize,
}

impl WireSubscriber {
    pub(crate) async fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/wire", listener.local_addr().unwrap());
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        #[expect(clippy::disallowed_methods, reason = "ended by Drop")]
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _address) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, steps.clone(), Arc::clone(&counted)));
            }
        });
        Self { url, counts, task }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// The most connections there were at a time.
    pub(crate) fn open_most(&self) -> usize {
        self.counts.open_most.load(Ordering::SeqCst)
    }

    /// Waits until the client has closed so many connections on which nothing was due.
    pub(crate) async fn wait_for_closed(&self, count: usize) {
        let closed = tokio::time::timeout(Duration::from_secs(10), async {
            while self.counts.closed_by_client.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(closed.await.is_ok(), "the client keeps its connections open");
    }
}

impl Drop for WireSubscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, steps: Vec<Step>, counts: Arc<Counts>) {
    counts.accepted.fetch_add(1, Ordering::SeqCst);
    let open = counts.open.fetch_add(1, Ordering::SeqCst) + 1;
    counts.open_most.fetch_max(open, Ordering::SeqCst);
    let mut index = 0;
    while let Some(step) = steps.get(index) {
        index += 1;
        if matches!(step, Step::Again) {
            index = 0;
        } else if take(&mut stream, step, &counts).await.is_none() {
            break;
        }
    }
    counts.open.fetch_sub(1, Ordering::SeqCst);
}

/// `None` when the connection is over.
async fn take(stream: &mut TcpStream, step: &Step, counts: &Counts) -> Option<()> {
    match step {
        Step::Read => {
            if !read_request(stream).await {
                counts.closed_by_client.fetch_add(1, Ordering::SeqCst);
                return None;
            }
            counts.requests.fetch_add(1, Ordering::SeqCst);
        }
        Step::ReadSome => {
            stream.read_exact(&mut [0; 16]).await.ok()?;
            counts.requests.fetch_add(1, Ordering::SeqCst);
        }
        Step::Write(bytes) => stream.write_all(bytes).await.ok()?,
        Step::WriteForever(bytes) => while stream.write_all(bytes).await.is_ok() {},
        Step::Trickle(bytes, millis) => {
            for byte in *bytes {
                stream.write_all(&[*byte]).await.ok()?;
                tokio::time::sleep(Duration::from_millis(*millis)).await;
            }
        }
        Step::Hang => {
            while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
            counts.closed_by_client.fetch_add(1, Ordering::SeqCst);
        }
        Step::Reset => SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap(),
        Step::HalfClose => stream.shutdown().await.ok()?,
        Step::Again => {}
    }
    Some(())
}

/// Whether a whole request came.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    };
    let text = String::from_utf8_lossy(read.get(..head).unwrap_or_default()).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let whole = head + length.unwrap_or(0);
    while read.len() < whole {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    true
}
