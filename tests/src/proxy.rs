//! A byte-level proxy on loopback that makes a network fail: answers that never come, connections that are cut or refused.
//!
//! Knows nothing of what it carries. One target; every connection to the proxy is one to the target.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How soon a change is seen; also how long an accepted connection may wait for its thread.
const PACE: Duration = Duration::from_millis(2);

const PASS: u8 = 0;
const HOLD: u8 = 1;
const REFUSE: u8 = 2;

/// A running proxy; ends with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    mode: AtomicU8,
    stop: AtomicBool,
    held: AtomicUsize,
    accepted: AtomicUsize,
    connections: Mutex<Vec<Arc<Connection>>>,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    target: TcpStream,
    /// Answers were kept from the client: what follows would make no sense to it.
    spoiled: AtomicBool,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || accept(listener, target, &shared));
        Self { address, state, thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the target answers is kept back from now on; requests still reach it.
    pub fn hold_answers(&self) {
        self.state.mode.store(HOLD, Ordering::SeqCst);
    }

    /// All connections are cut, and nobody listens any more.
    pub fn refuse(&self) {
        self.state.mode.store(REFUSE, Ordering::SeqCst);
        self.state.cut(|_| true);
    }

    /// Everything is passed on again; connections whose answers were kept back are cut.
    pub fn pass(&self) {
        self.state.mode.store(PASS, Ordering::SeqCst);
        self.state.cut(|connection| connection.spoiled.load(Ordering::SeqCst));
    }

    /// Cuts all connections; new ones are welcome.
    pub fn cut(&self) {
        self.state.cut(|_| true);
    }

    /// Bytes of answers that were kept back so far.
    #[must_use]
    pub fn held(&self) -> usize {
        self.state.held.load(Ordering::SeqCst)
    }

    /// Connections that were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        self.state.cut(|_| true);
    }
}

impl State {
    fn cut(&self, concerned: impl Fn(&Connection) -> bool) {
        let mut all = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|connection| {
            let cut = concerned(connection);
            if cut {
                // Gone already is as good.
                connection.client.shutdown(Shutdown::Both).ok();
                connection.target.shutdown(Shutdown::Both).ok();
            }
            !cut
        });
    }
}

fn accept(listener: TcpListener, target: SocketAddr, state: &Arc<State>) {
    let address = listener.local_addr().expect("a listener has an address");
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    let mut open = Some(listener);
    while !state.stop.load(Ordering::SeqCst) {
        if state.mode.load(Ordering::SeqCst) == REFUSE {
            open = None;
        } else if open.is_none() {
            open = TcpListener::bind(address).ok().filter(|listener| listener.set_nonblocking(true).is_ok());
        }
        match open.as_ref().map(TcpListener::accept) {
            Some(Ok((client, _))) => carry(client, target, state),
            Some(Err(_)) | None => thread::sleep(PACE),
        }
    }
}

fn carry(client: TcpStream, target: SocketAddr, state: &Arc<State>) {
    state.accepted.fetch_add(1, Ordering::SeqCst);
    // A target that is away: the client sees its connection close.
    let Ok(target) = TcpStream::connect(target) else { return };
    let ready = client.set_nonblocking(false).and(client.set_nodelay(true)).and(target.set_nodelay(true));
    let copies = client.try_clone().and_then(|client| Ok((client, target.try_clone()?)));
    let (Ok(()), Ok((from_client, from_target))) = (ready, copies) else { return };
    let connection = Arc::new(Connection { client, target, spoiled: AtomicBool::new(false) });
    state.connections.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&connection));
    let up = Arc::clone(&connection);
    thread::spawn(move || pump(from_client, &up.target, |_| true));
    let state = Arc::clone(state);
    thread::spawn(move || {
        pump(from_target, &connection.client, |bytes| {
            let held = state.mode.load(Ordering::SeqCst) == HOLD || connection.spoiled.load(Ordering::SeqCst);
            if held {
                connection.spoiled.store(true, Ordering::SeqCst);
                state.held.fetch_add(bytes, Ordering::SeqCst);
            }
            !held
        });
    });
}

/// Copies until one side ends; `passes` is asked about each piece.
fn pump(mut from: TcpStream, mut to: &TcpStream, passes: impl Fn(usize) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        if passes(count) && to.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
            break;
        }
    }
    // Gone already is as good.
    to.shutdown(Shutdown::Write).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TestEvent;
    use crate::raw_http::RawClient;
    use crate::subscriber::Subscriber;

    #[test]
    fn answers_that_are_held_never_come_and_those_after_the_fault_do() {
        let subscriber = Subscriber::accepting();
        let proxy = Proxy::start(subscriber.address());
        let post = |id: &str| {
            let mut client = RawClient::connect_with_timeout(proxy.address(), Duration::from_millis(300))?;
            client.post("x", "/", &TestEvent::new(id)).map(|answer| answer.status)
        };
        assert_eq!(post("a").unwrap(), 202);
        proxy.hold_answers();
        post("b").unwrap_err();
        assert!(proxy.held() > 0 && subscriber.count_on("/") == 2, "the request arrived, its answer did not");
        proxy.pass();
        assert_eq!(post("c").unwrap(), 202);
        proxy.refuse();
        crate::wait::wait_until("refusal", crate::PATIENCE, || post("d").is_err());
        proxy.pass();
        crate::wait::wait_until("service", crate::PATIENCE, || post("e").is_ok());
    }
}
