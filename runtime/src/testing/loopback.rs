//! A web server on a thread and a runtime of its own, for the stand-ins of tests; it ends with its owner.

use std::net::SocketAddr;
use std::sync::mpsc;

use axum::Router;
use tokio::sync::oneshot;

/// Ends the server when dropped.
#[derive(Debug)]
pub(crate) struct Loopback {
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Loopback {
    /// Serves on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When the machine has no port or thread left.
    pub(crate) fn serve(router: Router) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a test machine has descriptors for one more runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.expect("loopback has a free port");
                bound.send(listener.local_addr()).expect("the test waits for the address");
                tokio::select! {
                    _ended = stopped => {}
                    _ended = axum::serve(listener, router) => {}
                }
            });
        });
        let address = address.recv().expect("the thread has bound").expect("a bound listener has an address");
        Self { address, _stop: stop }
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
